"""The daemons that share one store on a server, and what each of them holds. In a file both stay empty."""

STATEMENTS: tuple[str, ...] = (
    """
    CREATE TABLE daemon (
        number INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        host TEXT NOT NULL,
        pid INTEGER NOT NULL,
        since_ms INTEGER NOT NULL,
        renewed_ms INTEGER NOT NULL,
        until_ms INTEGER NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE lease (
        kind TEXT NOT NULL CHECK (kind IN ('accounts', 'receivers', 'duties')),
        bucket INTEGER NOT NULL,
        holder INTEGER NOT NULL REFERENCES daemon (number) ON DELETE CASCADE,
        PRIMARY KEY (kind, bucket)
    ) STRICT, WITHOUT ROWID
    """,
)
