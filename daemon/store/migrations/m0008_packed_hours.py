"""Hourly summaries of days gone by, a day a row: a tenth of the space that they take one by one."""

STATEMENTS: tuple[str, ...] = (
    """CREATE TABLE packed_hours (
    account TEXT NOT NULL,
    day_ms INTEGER NOT NULL,
    hours BLOB NOT NULL,
    PRIMARY KEY (account, day_ms)
    ) STRICT, WITHOUT ROWID""",
)
