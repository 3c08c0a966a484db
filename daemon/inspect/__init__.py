"""Looking at the ledger: why a charge was made or not, how an account stands. Nothing here sends or changes."""
