"""The rules: one module per kind, each a pure function from a view of the account to a verdict."""
