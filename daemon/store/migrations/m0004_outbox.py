"""Events with their numbers and bytes, one delivery a receiver, every attempt, and how each receiver fares."""

STATEMENTS: tuple[str, ...] = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE sequence (account TEXT PRIMARY KEY, last INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    """CREATE TABLE event (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        type TEXT NOT NULL,
        at_ms INTEGER NOT NULL,
        committed_ms INTEGER NOT NULL,
        account TEXT,
        severity TEXT NOT NULL,
        rule TEXT,
        episode TEXT,
        sequence INTEGER,
        body BLOB NOT NULL
    ) STRICT""",
    "CREATE INDEX event_by_time ON event (committed_ms)",
    "CREATE INDEX event_by_episode ON event (episode, number) WHERE episode IS NOT NULL",
    """CREATE TABLE delivery (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        event INTEGER NOT NULL REFERENCES event (number),
        receiver TEXT NOT NULL,
        account TEXT,
        state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'dead')),
        failures INTEGER NOT NULL DEFAULT 0,
        attempts INTEGER NOT NULL DEFAULT 0,
        created_ms INTEGER NOT NULL,
        next_attempt_ms INTEGER,
        settled_ms INTEGER,
        parcel TEXT,
        rest TEXT,
        reason TEXT NOT NULL DEFAULT '',
        UNIQUE (event, receiver)
    ) STRICT""",
    "CREATE INDEX delivery_due ON delivery (receiver, next_attempt_ms, number) WHERE state = 'pending'",
    "CREATE INDEX delivery_holding ON delivery (receiver, account, number) WHERE state = 'pending' AND failures = 1",
    "CREATE INDEX delivery_dead ON delivery (settled_ms) WHERE state = 'dead'",
    "CREATE INDEX delivery_sent ON delivery (receiver, settled_ms) WHERE state = 'delivered' AND parcel IS NOT NULL",
    "CREATE INDEX delivery_parcel ON delivery (receiver, parcel) WHERE state = 'pending' AND parcel IS NOT NULL",
    """CREATE TABLE attempt (
        delivery INTEGER NOT NULL REFERENCES delivery (number),
        ordinal INTEGER NOT NULL,
        at_ms INTEGER NOT NULL,
        elapsed_ms INTEGER NOT NULL,
        status INTEGER,
        error TEXT NOT NULL,
        answer TEXT NOT NULL,
        PRIMARY KEY (delivery, ordinal)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE receiver (
        key TEXT PRIMARY KEY,
        failures INTEGER NOT NULL,
        failing_since_ms INTEGER,
        blocked_until_ms INTEGER,
        paused_since_ms INTEGER,
        stopped_ms INTEGER,
        told_ms INTEGER,
        last_error TEXT NOT NULL
    ) STRICT, WITHOUT ROWID""",
)
