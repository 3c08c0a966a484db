"""The tables of this concern."""

STATEMENTS: tuple[str, ...] = ()
