"""The commands: a module each, small functions that `daemon.cli` registers."""
