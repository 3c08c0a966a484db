"""The rows of the API's tokens: a token itself is never kept, only its SHA-256."""

from __future__ import annotations

from typing import NamedTuple

from daemon.store.connection import Connection, Transaction

_COLUMNS = "id, name, role, owner, accounts, created_ms, expires_ms, last_used_ms, revoked_ms"


class TokenRow(NamedTuple):
    """One token, as its columns say it; `accounts` is JSON, None where it is not limited to some."""

    id: str
    name: str
    role: str
    owner: str
    accounts: str | None
    created_ms: int
    expires_ms: int | None
    last_used_ms: int | None
    revoked_ms: int | None


def insert(tx: Transaction, row: TokenRow, digest: str) -> None:
    """Write a new token."""
    tx.execute(
        f"INSERT INTO token ({_COLUMNS}, digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*row, digest),
    )


def by_digest(conn: Connection, digest: str) -> TokenRow | None:
    """Return the token with a digest: whoever does not know the token gains nothing from how long this takes."""
    row = conn.execute(f"SELECT {_COLUMNS} FROM token WHERE digest = ?", (digest,)).fetchone()
    return None if row is None else TokenRow(*row)


def find(conn: Connection, id: str) -> TokenRow | None:
    """Return the token with an id."""
    row = conn.execute(f"SELECT {_COLUMNS} FROM token WHERE id = ?", (id,)).fetchone()
    return None if row is None else TokenRow(*row)


def page(conn: Connection, after: str, limit: int) -> list[TokenRow]:
    """Return tokens by id, beginning after an id."""
    rows = conn.execute(f"SELECT {_COLUMNS} FROM token WHERE id > ? ORDER BY id LIMIT ?", (after, limit))
    return [TokenRow(*row) for row in rows]


def revoke(tx: Transaction, id: str, now_ms: int) -> None:
    """Revoke a token; one that is revoked stays as it was."""
    tx.execute("UPDATE token SET revoked_ms = ? WHERE id = ? AND revoked_ms IS NULL", (now_ms, id))


def mark_used(tx: Transaction, id: str, now_ms: int) -> None:
    """Note when a token was used last."""
    tx.execute("UPDATE token SET last_used_ms = ? WHERE id = ?", (now_ms, id))
