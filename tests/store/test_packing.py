"""Packed hours: a day's hourly summaries in one row say what they said one by one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.config.load import load
from daemon.store import Store, summaries
from daemon.store.migrations import migrate
from daemon.store.summaries import DAY_MS, SummarySpan
from daemon.work.retention import Retention
from tests.helpers_sources import NOW
from tests.store.test_readings import MINUTE, keep, known, spent

HOUR = 60 * MINUTE
LATER = NOW + timedelta(days=30)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "b.db")
    migrate(store)
    yield store
    store.close()


def live(store: Store, hours: int) -> None:
    for hour in range(hours):
        keep(
            store,
            known(NOW + hour * HOUR, spent(hour * 1000)),
            known(NOW + hour * HOUR + 20 * MINUTE, spent(hour * 1000 + 7)),
        )


def hours(store: Store, since: datetime = NOW - HOUR, until: datetime = LATER) -> list[summaries.Summary]:
    return list(summaries.summaries(store.reader, "clips", SummarySpan.HOUR, since, until))


def pack(store: Store, before: datetime) -> int:
    packed = 0
    with store.write(durable=False) as tx:
        while summaries.pack_old(tx, "clips", before):
            packed += 1
    return packed


def test_packed_hours_say_what_they_said(store: Store) -> None:
    live(store, 100)
    before = hours(store)
    some = hours(store, NOW + 30 * HOUR, NOW + 60 * HOUR)
    assert pack(store, NOW + 80 * HOUR) == 3
    assert hours(store) == before
    assert hours(store, NOW + 30 * HOUR, NOW + 60 * HOUR) == some
    (left,) = store.reader.execute("SELECT count(*) FROM summaries WHERE span = 'hour'").fetchone()
    assert left < 40
    assert pack(store, NOW + 80 * HOUR) == 0


def test_an_hour_that_comes_late_joins_its_packed_day(store: Store) -> None:
    live(store, 50)
    pack(store, NOW + 49 * HOUR)
    keep(store, known(NOW + 3 * HOUR + 50 * MINUTE, spent(60_000)), known(NOW + 60 * HOUR, spent(60_001)))
    joined = hours(store)
    assert [one.samples for one in joined if one.start_at == NOW.replace(minute=0) + 3 * HOUR] == [3]
    assert pack(store, NOW + 49 * HOUR) == 1
    assert hours(store) == joined


VALUES = st.none() | st.integers(-(2**62), 2**62)


@given(st.lists(st.tuples(st.integers(0, 2**50), *[VALUES] * len(summaries.COLUMNS)), min_size=1, max_size=24))
def test_whatever_is_packed_comes_out_as_it_went_in(rows: list[tuple[Any, ...]]) -> None:
    assert summaries.unpack(summaries.pack(rows)) == rows


def test_a_day_of_hours_takes_a_fraction_of_its_space(store: Store) -> None:
    live(store, 48)
    pack(store, NOW + 47 * HOUR)
    (day,) = store.reader.execute("SELECT max(length(hours)) FROM packed_hours").fetchone()
    assert day < 24 * 30


async def test_retention_packs_and_folds_a_bounded_piece_at_a_time(store: Store, tmp_path: Path) -> None:
    live(store, 24 * 10)
    before = hours(store)
    (tmp_path / "c.toml").write_text(
        f'[store]\npath = "{store.path}"\nkeep_readings = "5d"\n'
        '[accounts.clips]\nprovider = "contentstats"\napi_key = "x"\n'
    )
    retention = Retention(load(tmp_path / "c.toml"), store)
    now = NOW + timedelta(days=10)
    for _ in range(100):
        if (next_at := await retention.fold(now)) - now > timedelta(hours=1):
            break
        now = next_at
    assert hours(store) == before
    (oldest,) = store.reader.execute("SELECT min(start_ms) FROM summaries WHERE span = 'hour'").fetchone()
    assert oldest >= int((now - timedelta(days=3)).timestamp() * 1000) // DAY_MS * DAY_MS
    (run,) = store.reader.execute("SELECT min(last_ms) FROM runs").fetchone()
    assert run >= int((now - timedelta(days=5, minutes=1)).timestamp() * 1000)
