"""The configuration: read from TOML, checked whole, resolved and frozen."""
