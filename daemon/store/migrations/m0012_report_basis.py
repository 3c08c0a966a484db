"""What reports rest on: a period's facts and boundary values, what was given back, refusals by day, cards."""

_AMOUNT = "coalesce(CAST(round(json_extract(e.body, '$.data.returned_usd') * 100) AS INTEGER), t.amount_cents)"

STATEMENTS: tuple[str, ...] = (
    """
    CREATE TABLE report_basis (
        report TEXT NOT NULL,
        period TEXT NOT NULL,
        start_ms INTEGER NOT NULL,
        end_ms INTEGER NOT NULL,
        made_ms INTEGER NOT NULL,
        facts BLOB NOT NULL,
        PRIMARY KEY (report, start_ms, end_ms)
    ) STRICT
    """,
    """
    CREATE TABLE report_edge (
        account TEXT NOT NULL,
        at_ms INTEGER NOT NULL,
        edge TEXT NOT NULL,
        PRIMARY KEY (account, at_ms)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE topup_returns (
        topup TEXT NOT NULL REFERENCES topups (id),
        kind TEXT NOT NULL CHECK (kind IN ('refund', 'dispute')),
        reference TEXT NOT NULL,
        amount_cents INTEGER NOT NULL CHECK (amount_cents >= 1),
        at INTEGER NOT NULL,
        seen_at INTEGER NOT NULL,
        PRIMARY KEY (topup, kind, reference)
    ) STRICT, WITHOUT ROWID
    """,
    # What was told of refunds and disputes so far, each by the instant at which it was seen.
    f"""
    INSERT OR IGNORE INTO topup_returns
    SELECT t.id, CASE e.why WHEN 'refunded' THEN 'refund' ELSE 'dispute' END, e.id, {_AMOUNT}, e.at_ms, e.at_ms
    FROM (SELECT id, at_ms, CAST(body AS TEXT) AS body, json_extract(CAST(body AS TEXT), '$.data.reason') AS why
          FROM event WHERE type = 'topup.suspended') e
    JOIN topups t ON t.id = json_extract(e.body, '$.data.topup') WHERE e.why IN ('refunded', 'disputed')
    """,
    """
    CREATE TABLE topup_refusals (
        account TEXT NOT NULL,
        day TEXT NOT NULL,
        gate TEXT NOT NULL,
        count INTEGER NOT NULL CHECK (count >= 1),
        detail TEXT NOT NULL,
        PRIMARY KEY (account, day, gate)
    ) STRICT, WITHOUT ROWID
    """,
    "ALTER TABLE topups ADD COLUMN card TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE topups ADD COLUMN receipt TEXT NOT NULL DEFAULT ''",
)

POSTGRESQL = {"INSERT OR IGNORE INTO topup_returns": ""}  # no database of an earlier version is on PostgreSQL
