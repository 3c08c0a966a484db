"""The status: how accounts and top-ups stand, in values and in words. Nothing here sends or changes."""
