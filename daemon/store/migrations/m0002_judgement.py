"""What the judgement remembers of each account, episodes, decisions not to tell, and mutes."""

STATEMENTS: tuple[str, ...] = (
    # One row an account, rewritten in place. `spend`, `burn` and `memory` are JSON text that the core encodes.
    """
    CREATE TABLE account_state (
        account TEXT PRIMARY KEY,
        last_at INTEGER,
        metrics TEXT,
        spend TEXT,
        burn TEXT NOT NULL,
        memory TEXT NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE episode (
        id TEXT PRIMARY KEY,
        account TEXT NOT NULL,
        rule TEXT NOT NULL,
        kind TEXT NOT NULL,
        severity TEXT NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
        opened_at INTEGER NOT NULL,
        closed_at INTEGER,
        told_at INTEGER,
        told_type TEXT,
        why TEXT NOT NULL,
        closed_why TEXT NOT NULL DEFAULT ''
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE UNIQUE INDEX episode_open ON episode (account, rule) WHERE closed_at IS NULL",
    "CREATE INDEX episode_recent ON episode (account, opened_at)",
    # Equal decisions of one episode are one row with a count.
    """
    CREATE TABLE decision (
        id INTEGER PRIMARY KEY,
        account TEXT NOT NULL,
        rule TEXT NOT NULL,
        episode TEXT NOT NULL DEFAULT '',
        reason TEXT NOT NULL,
        first_at INTEGER NOT NULL,
        last_at INTEGER NOT NULL,
        times INTEGER NOT NULL DEFAULT 1 CHECK (times > 0),
        UNIQUE (account, rule, episode, reason)
    ) STRICT
    """,
    """
    CREATE TABLE mute (
        rule TEXT PRIMARY KEY,
        muted_at INTEGER NOT NULL,
        until_at INTEGER NOT NULL CHECK (until_at > muted_at)
    ) STRICT, WITHOUT ROWID
    """,
)
