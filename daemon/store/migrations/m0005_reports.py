"""Which report was sent for which period, and what became of the tries that failed."""

STATEMENTS: tuple[str, ...] = (
    """
    CREATE TABLE report (
        report TEXT NOT NULL,
        period TEXT NOT NULL,
        start_ms INTEGER NOT NULL,
        end_ms INTEGER NOT NULL,
        message_id TEXT NOT NULL,
        sent_ms INTEGER,
        failures INTEGER NOT NULL DEFAULT 0 CHECK (failures >= 0),
        next_attempt_ms INTEGER,
        last_error TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (report, period)
    ) STRICT, WITHOUT ROWID
    """,
)
