"""Every reason that stops an account stands for itself; whether a customer was read to its end is asked an account."""

STATEMENTS: tuple[str, ...] = (
    """
    CREATE TABLE topup_stops_by_reason (
        scope TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('pause', 'suspension', 'breaker')),
        reason TEXT NOT NULL,
        message TEXT NOT NULL DEFAULT '',
        topup TEXT,
        fingerprint TEXT,
        since_at INTEGER NOT NULL,
        probe_at INTEGER,
        PRIMARY KEY (scope, kind, reason)
    ) STRICT
    """,
    "INSERT INTO topup_stops_by_reason SELECT scope, kind, reason, message, topup, fingerprint, since_at, probe_at"
    " FROM topup_stops",
    "DROP TABLE topup_stops",
    "ALTER TABLE topup_stops_by_reason RENAME TO topup_stops",
    "DROP TABLE stripe_looks",
)
