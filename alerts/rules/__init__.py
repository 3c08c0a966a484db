"""The rules: one module a kind, each a pure function from what is known to a verdict."""
