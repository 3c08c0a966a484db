"""PostgreSQL beside SQLite: the same tables and rules, the same words, and what becomes of a server that is gone."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daemon.places import ServerUrl, problem_of
from daemon.store import Store, StoreError
from daemon.store.connection import once_committed
from daemon.store.dialects import postgresql, postgresql_lock
from daemon.store.dialects.translation import translated
from daemon.store.lock import DatabaseHeldError, held, holder
from daemon.store.migrations import migrate, pending
from tests.postgres import PostgresServer

pytestmark = pytest.mark.sqlite  # both are opened by each test itself

_COLUMNS = """
SELECT table_name, column_name, data_type, is_nullable = 'NO', column_default FROM information_schema.columns
WHERE table_schema = current_schema() ORDER BY table_name, ordinal_position
"""
_KEYS = """
SELECT c.conrelid::regclass::text, c.contype::text, array_agg(a.attname::text ORDER BY k.n),
    CASE WHEN c.confrelid = 0 THEN '' ELSE c.confrelid::regclass::text END
FROM pg_constraint c, unnest(c.conkey) WITH ORDINALITY AS k (attnum, n), pg_attribute a
WHERE a.attrelid = c.conrelid AND a.attnum = k.attnum AND c.connamespace = current_schema()::regnamespace
GROUP BY c.oid, 1, 2, 4
"""
_INDEXES = """
SELECT i.indrelid::regclass::text, i.indisunique, i.indpred IS NOT NULL, pg_get_indexdef(i.indexrelid)
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relnamespace = current_schema()::regnamespace
AND NOT i.indisprimary AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid)
"""
_TYPES = {"INTEGER": "bigint", "TEXT": "text", "BLOB": "bytea"}


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "a.db")
    migrate(store)
    yield store
    store.close()


@pytest.fixture
def remote(server: ServerUrl) -> Iterator[Store]:
    store = Store(server)
    yield store
    store.close()


def tables_of(file: Store) -> list[str]:
    names = file.reader.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
    return sorted(name for (name,) in names)


# ── the same tables ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_both_have_the_same_columns(file: Store, remote: Store) -> None:
    found: dict[tuple[str, str], tuple[str, bool, str | None]] = {}
    for table in tables_of(file):
        for _, name, kind, needed, default, key in file.reader.execute(f"PRAGMA table_info({table})"):
            found[table, name] = _TYPES[kind], bool(needed or key), default
    rows = remote.reader.execute(_COLUMNS).fetchall()
    on_server = {
        (table, name): (kind, needed, None if default is None else re.sub(r"::\w+$", "", default))
        for table, name, kind, needed, default in rows
    }
    assert on_server == found


def test_both_have_the_same_keys_indexes_and_checks(file: Store, remote: Store) -> None:
    keys: set[tuple[str, str, tuple[str, ...], str]] = set()
    indexes: set[tuple[str, bool, bool, str]] = set()
    checks = 0
    for table in tables_of(file):
        info = file.reader.execute(f"PRAGMA table_info({table})").fetchall()
        if key := tuple(row[1] for row in sorted(info, key=lambda row: row[5]) if row[5]):
            keys.add((table, "p", key, ""))
        for row in file.reader.execute(f"PRAGMA foreign_key_list({table})"):
            keys.add((table, "f", (row[3],), row[2]))
        for _, name, unique, origin, partial in file.reader.execute(f"PRAGMA index_list({table})").fetchall():
            columns = tuple(row[2] for row in file.reader.execute(f"PRAGMA index_info({name})"))
            if origin == "u":
                keys.add((table, "u", columns, ""))
            elif origin == "c":
                indexes.add((table, bool(unique), bool(partial), ", ".join(columns)))
        (made,) = file.reader.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
        checks += made.count("CHECK (")
    on_server = remote.reader.execute(_KEYS).fetchall()
    found = {(table, kind, tuple(columns), to) for table, kind, columns, to in on_server if kind != "c"}
    assert found == keys
    assert sum(kind == "c" for _, kind, _, _ in on_server) == checks
    said = remote.reader.execute(_INDEXES).fetchall()
    assert {(t, unique, part, re.search(r"\(([^()]*)\)", made)[1]) for t, unique, part, made in said} == indexes  # type: ignore[index]


def test_the_steps_of_a_top_up_are_the_same(file: Store, remote: Store) -> None:
    asked = "SELECT before, after FROM topup_steps ORDER BY before, after"
    assert remote.reader.execute(asked).fetchall() == file.reader.execute(asked).fetchall()


def test_a_new_database_is_brought_up_to_date_once(postgres_server: PostgresServer) -> None:
    url = postgres_server.empty()
    one, other = Store(url), Store(url)
    assert pending(one.reader) == pending(other.reader)
    migrate(one)
    migrate(other)
    assert pending(other.reader) == ()
    one.close()
    other.close()
    postgres_server.drop(url)


# ── the same words ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("sql", "said", "names"),
    [
        ("SELECT ? , '?' , ?", "SELECT $1 , '?' , $2", None),
        ("SELECT ?2, ?1, ?2", "SELECT $2, $1, $2", None),
        ("SELECT :b, :a, :b", "SELECT $1, $2, $1", ("b", "a")),
        ("SELECT x FROM d INDEXED BY d_due WHERE +account = ? AND a + b = 1", None, None),
        (
            "IN (SELECT value FROM json_each(?))",
            "IN (SELECT value FROM json_array_elements_text(CAST($1 AS json)))",
            None,
        ),
    ],
)
def test_a_statement_is_said_in_postgresqls_words(sql: str, said: str | None, names: tuple[str, ...] | None) -> None:
    assert translated(sql) == ((said or "SELECT x FROM d WHERE account = $1 AND a + b = 1").encode(), names)


def test_the_lesser_and_the_greater_of_two_are_sqlites(file: Store, remote: Store) -> None:
    for pair in ((1, 2), (2, 1), (None, 1), (1, None), (2**62, -(2**62))):
        asked = "SELECT max(CAST(?1 AS BIGINT), CAST(?2 AS BIGINT)), min(CAST(?1 AS BIGINT), CAST(?2 AS BIGINT))"
        assert remote.reader.execute(asked, pair).fetchone() == file.reader.execute(asked, pair).fetchone()


def test_text_is_ordered_by_its_bytes(file: Store, remote: Store) -> None:
    for store in (file, remote):
        with store.write(durable=False) as tx:
            tx.executemany("INSERT INTO meta (key, value) VALUES (?, '')", [("b",), ("ä",), ("Z",), ("a-b",), ("ab",)])
    asked = "SELECT key FROM meta WHERE key <> 'beside' ORDER BY key"
    assert remote.reader.execute(asked).fetchall() == file.reader.execute(asked).fetchall()


def test_text_with_a_nul_is_kept_with_a_sign_for_it(remote: Store) -> None:
    with remote.write(durable=False) as tx:
        tx.execute("INSERT INTO meta (key, value) VALUES (?, ?)", ("one", "a\0b"))
        tx.executemany("INSERT INTO meta (key, value) VALUES (?, ?)", [("two", "c"), ("three", "\0")])
    found = remote.reader.execute("SELECT value FROM meta WHERE key <> 'beside' ORDER BY key").fetchall()
    assert found == [("a\ufffdb",), ("\ufffd",), ("c",)]


_TEXTS = st.text(alphabet="ab,\"\\{}'\0\n\x1fé\U0001f600") | st.just("NULL") | st.none()
_ROWS = st.lists(st.tuples(_TEXTS, st.none() | st.integers(-(2**62), 2**62), _TEXTS), min_size=1, max_size=5)


@given(_ROWS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_many_rows_at_once_are_written_as_one_by_one(remote: Store, rows: list[tuple[Any, ...]]) -> None:
    insert = (
        "INSERT INTO extras_of (key, account, number, extra) VALUES (?, ?, ?, coalesce(?, '-'))"
        " ON CONFLICT (key) DO UPDATE SET account = excluded.account, number = excluded.number, extra = excluded.extra"
    )
    update = "UPDATE extras_of SET number = max(number, ?1) + 1, extra = ?2 WHERE key = ?3"
    found = []
    for all_at_once in (True, False):
        with remote.write(durable=False) as tx:
            tx.execute(
                "CREATE TEMPORARY TABLE extras_of (key bigint PRIMARY KEY, account text, number bigint, extra text)"
            )
            write = tx.write_rows if all_at_once else tx.executemany
            keyed = list(enumerate(rows))
            count = write(insert, [(key, *row) for key, row in keyed]).rowcount
            write(insert, [(key, row[0], row[1], row[0]) for key, row in keyed[::2]])
            count += write(update, [(number, text, key) for key, (text, number, _) in keyed]).rowcount
            count += write("UPDATE extras_of SET number = ? WHERE key = ?", [(None, -1)]).rowcount
            found.append((count, tx.execute("SELECT * FROM extras_of ORDER BY key").fetchall()))
            tx.execute("DROP TABLE extras_of")
    assert found[0] == found[1]
    assert found[0][0] == 2 * len(rows)


def test_what_no_array_holds_is_written_row_by_row(remote: Store) -> None:
    with remote.write(durable=False) as tx:
        tx.execute("CREATE TEMPORARY TABLE blobs (key bigint PRIMARY KEY, body bytea)")
        tx.write_rows("INSERT INTO blobs (key, body) VALUES (?, ?)", [(1, b"\0{"), (2, None)])
        assert tx.execute("SELECT * FROM blobs ORDER BY key").fetchall() == [(1, b"\0{"), (2, None)]


# ── transactions ────────────────────────────────────────────────────────────────────────────────────────────────────


def put(store: Store, key: str, *, durable: bool = True) -> None:
    with store.write(durable=durable) as tx:
        tx.execute("INSERT INTO meta (key, value) VALUES (?, '')", (key,))


def test_a_transaction_that_fails_leaves_nothing(remote: Store) -> None:
    put(remote, "a")
    with pytest.raises(sqlite3.IntegrityError, match="duplicate key"), remote.write(durable=True) as tx:
        tx.executemany("INSERT INTO meta (key, value) VALUES (?, '')", [("b",), ("a",)])
    assert remote.reader.execute("SELECT key FROM meta WHERE key IN ('a', 'b')").fetchall() == [("a",)]


def test_what_need_not_be_durable_does_not_wait_for_the_disk(remote: Store) -> None:
    for durable, said in ((True, "on"), (False, "off")):
        with remote.write(durable=durable) as tx:
            assert tx.execute("SHOW synchronous_commit").fetchone() == (said,)
    assert remote.reader.execute("SHOW synchronous_commit").fetchone() == ("on",)


def test_a_snapshot_stays_whatever_is_committed(remote: Store, server: ServerUrl) -> None:
    other = Store(server)
    with remote.snapshot() as conn:
        before = conn.execute("SELECT count(*) FROM meta").fetchone()
        put(other, "a")
        assert conn.execute("SELECT count(*) FROM meta").fetchone() == before
    assert remote.reader.execute("SELECT 1 FROM meta WHERE key = 'a'").fetchone() == (1,)
    other.close()


def test_a_command_beside_the_daemon_is_noticed_and_its_own_commits_are_not(remote: Store, server: ServerUrl) -> None:
    assert not remote.changed_elsewhere()
    put(remote, "own")
    assert not remote.changed_elsewhere()
    command = Store(server)
    put(command, "a")
    command.close()
    assert remote.changed_elsewhere()
    assert not remote.changed_elsewhere()


async def test_a_lane_works_apart_and_tells_once_it_is_committed(remote: Store) -> None:
    lane, told, asked = remote.lane("one"), list[object](), "SELECT 1 FROM meta WHERE key = 'apart'"
    remote.changed_elsewhere()
    loops = threading.get_ident()

    def tell() -> None:
        told.append((threading.get_ident() == loops, remote.reader.execute(asked).fetchone()))

    def work() -> int:
        with lane.write(durable=True) as tx:
            tx.execute("INSERT INTO meta (key, value) VALUES ('apart', '')")
            once_committed(tx, tell)
        assert not told
        return threading.get_ident()

    assert await lane.apart(work) != loops
    assert told == [(True, (1,))]
    with pytest.raises(sqlite3.IntegrityError):
        await lane.apart(work)
    assert len(told) == 1
    assert not remote.changed_elsewhere()
    lane.close_lane()


async def test_work_of_a_lane_that_is_cancelled_ends_and_is_told_before_its_caller_goes_on(remote: Store) -> None:
    lane, told = remote.lane("one"), list[str]()
    begun, goes_on = threading.Event(), threading.Event()

    def work() -> None:
        with lane.write(durable=True) as tx:
            once_committed(tx, lambda: told.append("committed"))
            begun.set()
            goes_on.wait()

    running = asyncio.ensure_future(lane.apart(work))
    await asyncio.to_thread(begun.wait)
    running.cancel()
    await asyncio.sleep(0)
    assert not running.done()
    goes_on.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert told == ["committed"]
    lane.close_lane()


def test_a_store_that_was_closed_is_never_opened_again(remote: Store) -> None:
    remote.close()
    for _ in range(2):
        with pytest.raises(sqlite3.OperationalError, match="was closed"):
            remote.reader.execute("SELECT 1")


# ── a server that is gone ───────────────────────────────────────────────────────────────────────────────────────────


def cut(remote: Store, server: ServerUrl) -> None:
    (pid,) = remote.reader.execute("SELECT pg_backend_pid()").fetchone()
    other = Store(server)
    other.reader.execute("SELECT pg_terminate_backend(?::int)", (pid,))
    other.close()


def test_a_connection_that_was_cut_is_made_anew(remote: Store, server: ServerUrl) -> None:
    cut(remote, server)
    put(remote, "a")
    cut(remote, server)
    assert remote.reader.execute("SELECT key FROM meta WHERE key = 'a'").fetchall() == [("a",)]
    cut(remote, server)
    with remote.snapshot() as conn:
        assert conn.execute("SELECT key FROM meta WHERE key = 'a'").fetchall() == [("a",)]
    assert remote.misplaced() == ""


def test_a_transaction_that_is_cut_is_not_gone_on_with_on_another_connection(remote: Store, server: ServerUrl) -> None:
    def write() -> None:
        with remote.write(durable=True) as tx:
            tx.execute("INSERT INTO meta (key, value) VALUES ('a', '')")
            cut(remote, server)
            with pytest.raises(sqlite3.OperationalError):
                tx.execute("INSERT INTO meta (key, value) VALUES ('b', '')")
            tx.execute("INSERT INTO meta (key, value) VALUES ('c', '')")

    with pytest.raises(sqlite3.OperationalError, match="lost within a transaction"):
        write()
    assert remote.reader.execute("SELECT 1 FROM meta WHERE key IN ('a', 'b', 'c')").fetchone() is None


def test_a_server_that_stays_away_is_said_and_asked_again_later(
    remote: Store, server: ServerUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote.changed_elsewhere()
    cut(remote, server)
    remote.dialect.connection.url = ServerUrl("postgresql://brimful:hidden@127.0.0.1:9/a")  # type: ignore[attr-defined]
    for _ in range(2):
        with pytest.raises(sqlite3.Error):
            put(remote, "lost")
    assert not remote.changed_elsewhere()
    assert "cannot open the database postgresql://127.0.0.1:9/a: connection failed" in remote.misplaced()
    assert "hidden" not in remote.misplaced()
    remote.dialect.connection.url = server  # type: ignore[attr-defined]
    monkeypatch.setattr(postgresql, "monotonic", lambda: float("inf"))
    assert remote.changed_elsewhere()
    assert remote.misplaced() == ""


def test_a_server_that_is_not_there_is_a_sentence_without_the_password() -> None:
    with pytest.raises(StoreError, match=r"cannot open the database postgresql://127\.0\.0\.1:9/brimful: ") as error:
        Store(ServerUrl("postgresql://me:hidden@127.0.0.1:9/brimful"))
    assert "hidden" not in str(error.value)
    with pytest.raises(StoreError, match="the URL cannot be read") as error:
        Store(ServerUrl("postgresql://me:hid%den@127.0.0.1:9/brimful"))
    assert "hid" not in str(error.value)


def test_where_the_driver_is_missing_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError, match=r"needs psycopg: pip install 'brimful\[postgresql\]'"):
        Store(ServerUrl("postgresql://127.0.0.1/brimful"))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://me:pass@host:5432/brimful", ""),
        ("postgres:///brimful?host=/run/postgresql", ""),
        ("postgresql://host/?dbname=brimful", ""),
        ("postgresql://me:pass@one:5432,two:5433/brimful?target_session_attrs=read-write", ""),
        ("postgresql://me:pass@one:5432,two:port/brimful", "it cannot be read"),
        ("mysql://host/brimful", "it does not begin with postgresql://"),
        ("postgresql://host", "it names no database"),
        ("postgresql://host:port/brimful", "it cannot be read"),
    ],
)
def test_what_is_wrong_with_a_url_is_said(url: str, said: str) -> None:
    assert problem_of(url).startswith(said)
    assert bool(problem_of(url)) is bool(said)


def test_a_url_is_shown_without_its_password() -> None:
    assert (
        str(ServerUrl("postgresql://me:hidden@host:5432/brimful?sslmode=require")) == "postgresql://host:5432/brimful"
    )
    assert "hidden" not in repr(ServerUrl("postgresql://me:hidden@host/brimful"))


# ── one daemon a database ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_second_daemon_is_refused_until_the_first_has_ended(server: ServerUrl) -> None:
    assert holder(server) is None
    with held(server):
        with pytest.raises(DatabaseHeldError, match=r"a daemon \(brimful .*:\d+\) holds postgresql://.*: stop it"):
            held(server).__enter__()
        assert holder(server) is not None
    with held(server):
        pass


def test_the_lock_is_free_when_its_holder_has_ended_and_not_some_moments_later(server: ServerUrl) -> None:
    """Commands follow one another in a script."""
    for _ in range(50):
        with postgresql_lock.session(server) as following:
            with postgresql_lock.session(server) as session:
                assert session.take()
            assert following.take()


def test_a_lock_whose_server_is_gone_is_let_go_of_quietly(server: ServerUrl) -> None:
    with postgresql_lock.session(server) as other, postgresql_lock.session(server) as session:
        assert session.take()
        end = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
        other._connection.execute(end)
        wait = "SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"
        while other._connection.execute(wait).fetchone()[0]:
            time.sleep(0.01)
    assert holder(server) is None
