"""What the API manages as data, its tokens, what was changed by whom, and what a POST was answered."""

STATEMENTS: tuple[str, ...] = (
    """
    CREATE TABLE resource (
        kind TEXT NOT NULL CHECK (kind IN ('account', 'topup', 'subscription', 'rule')),
        id TEXT NOT NULL,
        owner TEXT NOT NULL,
        version INTEGER NOT NULL CHECK (version >= 1),
        change INTEGER NOT NULL,
        body TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        changed_ms INTEGER NOT NULL,
        archived_ms INTEGER,
        PRIMARY KEY (kind, id)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE UNIQUE INDEX resource_change ON resource (change)",
    "CREATE INDEX resource_owner ON resource (kind, owner, id)",
    # One row: its lock makes numbers become visible in their order.
    "CREATE TABLE resource_last (one INTEGER PRIMARY KEY CHECK (one = 1), change INTEGER NOT NULL) STRICT",
    "INSERT INTO resource_last (one, change) VALUES (1, 0)",
    """
    CREATE TABLE provider_key (
        digest TEXT PRIMARY KEY,
        account TEXT NOT NULL UNIQUE
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE token (
        id TEXT PRIMARY KEY,
        digest TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL,
        role TEXT NOT NULL CHECK (role IN ('read', 'subscribe', 'write', 'money', 'admin')),
        owner TEXT NOT NULL,
        accounts TEXT,
        created_ms INTEGER NOT NULL,
        expires_ms INTEGER,
        last_used_ms INTEGER,
        revoked_ms INTEGER
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE audit (
        id INTEGER PRIMARY KEY,
        at_ms INTEGER NOT NULL,
        actor TEXT NOT NULL,
        source TEXT NOT NULL,
        owner TEXT NOT NULL,
        resource TEXT NOT NULL,
        action TEXT NOT NULL,
        changes TEXT NOT NULL,
        request TEXT NOT NULL
    ) STRICT
    """,
    "CREATE INDEX audit_resource ON audit (resource, id)",
    "CREATE INDEX audit_actor ON audit (actor, id)",
    "CREATE INDEX audit_owner ON audit (owner, id)",
    """
    CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit is only added to'); END
    """,
    """
    CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit is only added to'); END
    """,
    """
    CREATE TABLE idempotency (
        token TEXT NOT NULL,
        key TEXT NOT NULL,
        digest TEXT NOT NULL,
        status INTEGER NOT NULL,
        answer TEXT NOT NULL,
        at_ms INTEGER NOT NULL,
        PRIMARY KEY (token, key)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX idempotency_at ON idempotency (at_ms)",
)

_REFUSES = """
    CREATE OR REPLACE FUNCTION audit_is_only_added_to() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE integrity_constraint_violation USING MESSAGE = 'the audit is only added to';
    END $$;
    CREATE TRIGGER {name} BEFORE {what} ON audit EXECUTE FUNCTION audit_is_only_added_to();
"""
POSTGRESQL = {
    "CREATE TRIGGER audit_is_not_changed ": _REFUSES.format(name="audit_is_not_changed", what="UPDATE"),
    "CREATE TRIGGER audit_is_not_deleted ": _REFUSES.format(name="audit_is_not_deleted", what="DELETE OR TRUNCATE"),
}
