"""Addresses that put a report off, each with the server's words: they still wait for it, the others have it."""

STATEMENTS: tuple[str, ...] = ("ALTER TABLE report ADD COLUMN waiting TEXT NOT NULL DEFAULT '{}'",)
