"""Readings, kept: runs, outages, unknown fields, summaries, folding."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.model.readings import Known, Metrics, Reading, Reason, Unavailable
from alerts.model.values import replace
from daemon.store import Store, readings
from daemon.store.migrations import migrate
from daemon.store.reading_rows import OutageRun, Run
from daemon.store.summaries import Summary, SummarySpan, summaries
from tests.helpers_sources import NOW
from tests.helpers_store import effort

MINUTE = timedelta(minutes=1)
FAR = timedelta(days=4000)
PREPAID = Metrics(
    balance_microusd=12_450_000,
    uncharged_microusd=750_000,
    total_charged_microusd=6_750_000,
    total_snapshots=450,
    active_videos=3,
    cost_per_snapshot_microusd=15_000,
    estimated_snapshots_remaining=830,
)
STORAGE = Metrics(
    client_name="My Application",
    usage_count=1523,
    used_microgb=45_670_000,
    reserved_microgb=520_000,
    effective_said_microgb=46_190_000,
    limit_microgb=1_024_000_000,
    limit_bytes=1 << 40,
    remaining_microgb=977_810_000,
    period_start_at=datetime.fromisoformat("2026-11-01T00:00:00+00:00"),
    period_end_at=datetime.fromisoformat("2026-12-01T00:00:00+00:00"),
    period_used_microgb=1,
    billing_error="unreachable",
    max_resolution="720",
    max_duration_s=600,
    max_filesize_bytes=104_857_600,
    max_filesize_microunits_mb=100_000_000,
    extra='{"new":1}',
)


def keep(store: Store, *kept: Reading) -> None:
    with store.write(durable=False) as tx:
        readings.record(tx, kept)


def known(at: datetime, metrics: Metrics = PREPAID, account: str = "clips") -> Known:
    return Known(account, at, metrics)


def down(at: datetime, reason: Reason = Reason.TIMEOUT, account: str = "clips", detail: str = "slow") -> Unavailable:
    return Unavailable(account, at, reason, detail)


def spent(microusd: int) -> Metrics:
    return replace(PREPAID, uncharged_microusd=750_000 + microusd)


def past(store: Store, account: str = "clips") -> list[Run | OutageRun]:
    return list(readings.history(store.reader, account, NOW - FAR, NOW + FAR))


def rows(store: Store, table: str) -> int:
    return int(store.reader.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


@pytest.mark.parametrize("metrics", [PREPAID, STORAGE, Metrics()], ids=["prepaid", "storage", "nothing"])
def test_a_reading_comes_back_as_it_was(store: Store, metrics: Metrics) -> None:
    keep(store, known(NOW, metrics))
    assert readings.last(store.reader, "clips") == known(NOW, metrics)


def test_equal_consecutive_readings_are_one_row(store: Store) -> None:
    for number in range(100):
        keep(store, known(NOW + number * MINUTE))
    assert (rows(store, "latest"), rows(store, "runs")) == (1, 0)
    assert past(store) == [Run(NOW, NOW + 99 * MINUTE, 100, PREPAID)]


def test_a_different_reading_ends_the_run(store: Store) -> None:
    keep(store, known(NOW), known(NOW + MINUTE), known(NOW + 2 * MINUTE, spent(1)))
    assert past(store) == [
        Run(NOW, NOW + MINUTE, 2, PREPAID),
        Run(NOW + 2 * MINUTE, NOW + 2 * MINUTE, 1, spent(1)),
    ]


def test_an_outage_is_a_run_too_and_parts_equal_readings(store: Store) -> None:
    keep(store, known(NOW), down(NOW + MINUTE), down(NOW + 2 * MINUTE), known(NOW + 3 * MINUTE))
    assert past(store) == [
        Run(NOW, NOW, 1, PREPAID),
        OutageRun(NOW + MINUTE, NOW + 2 * MINUTE, 2, Reason.TIMEOUT, None, "slow"),
        Run(NOW + 3 * MINUTE, NOW + 3 * MINUTE, 1, PREPAID),
    ]
    assert readings.current_outage(store.reader, "clips") is None


def test_an_outage_changes_nothing_of_the_last_good_reading(store: Store) -> None:
    keep(store, known(NOW))
    keep(store, down(NOW + MINUTE), down(NOW + 2 * MINUTE, Reason.UNAUTHORIZED))
    assert readings.last(store.reader, "clips") == known(NOW)
    outage = readings.current_outage(store.reader, "clips")
    assert outage is not None
    assert (outage.reason, outage.count) == (Reason.UNAUTHORIZED, 1)
    assert rows(store, "summaries") == 0


def test_an_account_that_never_answered_has_no_reading(store: Store) -> None:
    keep(store, down(NOW))
    assert readings.last(store.reader, "clips") is None
    assert readings.first_at(store.reader, "clips") is None
    assert readings.accounts_seen(store.reader) == {"clips": None}


def test_unknown_fields_are_kept_when_they_change_and_end_no_run(store: Store) -> None:
    for minute, extra in enumerate(['{"a":1}', '{"a":1}', '{"a":2}', "{}"]):
        keep(store, known(NOW + minute * MINUTE, replace(PREPAID, extra=extra)))
    assert [run.count for run in past(store)] == [4]
    assert [extra for _, extra in readings.extras(store.reader, "clips", NOW, NOW + FAR)] == [
        '{"a":1}',
        '{"a":2}',
        "{}",
    ]


def test_two_different_readings_of_one_instant_are_both_kept(store: Store) -> None:
    keep(store, known(NOW), known(NOW, spent(1)), known(NOW, spent(2)), known(NOW))
    assert [run.count for run in past(store)] == [1, 1, 1, 1]


def test_a_clock_that_is_stepped_back_loses_no_reading(store: Store) -> None:
    times = [0, 60, 120, 30, 90, 300, 10]
    for number, minutes in enumerate(times):
        keep(store, known(NOW + minutes * MINUTE, spent(number)))
    assert sum(run.count for run in past(store)) == len(times)
    total = sum(one.samples for one in summaries(store.reader, "clips", SummarySpan.HOUR, NOW - FAR, NOW + FAR))
    assert total == len(times)


def test_history_is_what_touches_the_time_asked_for(store: Store) -> None:
    keep(store, *(known(NOW + 10 * number * MINUTE, spent(number // 2)) for number in range(10)))
    part = list(readings.history(store.reader, "clips", NOW + 25 * MINUTE, NOW + 45 * MINUTE))
    assert [run.metrics.uncharged_microusd for run in part if isinstance(run, Run)] == [750_001, 750_002]


def test_the_runs_around_an_instant_are_found(store: Store) -> None:
    keep(store, *(known(NOW + 10 * number * MINUTE, spent(number)) for number in range(3)))
    before, after = readings.around(store.reader, "clips", NOW + 12 * MINUTE)
    assert before is not None
    assert after is not None
    assert (before.metrics, after.metrics) == (spent(1), spent(2))
    assert readings.around(store.reader, "clips", NOW - MINUTE)[0] is None
    assert readings.around(store.reader, "clips", NOW + FAR)[1] is None


def test_a_rolled_back_batch_leaves_nothing(store: Store) -> None:
    keep(store, known(NOW))

    def killed() -> None:
        with store.write(durable=False) as tx:
            readings.record(tx, [known(NOW + MINUTE, spent(1))])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        killed()
    assert past(store) == [Run(NOW, NOW, 1, PREPAID)]


def test_summaries_say_spend_credit_and_the_lowest(store: Store) -> None:
    hour = NOW.replace(hour=0)
    credited = replace(spent(30_000), balance_microusd=12_450_000 + 50_000_000)
    keep(store, known(hour), known(hour + 20 * MINUTE, spent(10_000)), known(hour + 40 * MINUTE, spent(30_000)))
    keep(store, known(hour + 70 * MINUTE, credited))
    first, second = summaries(store.reader, "clips", SummarySpan.HOUR, hour, hour + FAR)
    assert (first.samples, first.spent, first.credited) == (3, 30_000, 0)
    assert (first.available_min, first.available_max) == (11_670_000, 11_700_000)
    assert (second.samples, second.spent, second.credited) == (1, 0, 50_000_000)
    (day,) = summaries(store.reader, "clips", SummarySpan.DAY, hour, hour + FAR)
    assert (day.samples, day.spent, day.credited, day.available_min) == (4, 30_000, 50_000_000, 11_670_000)
    assert (day.balance_first, day.balance_last) == (12_450_000, 62_450_000)


def test_a_counter_that_ran_backwards_adds_no_spend(store: Store) -> None:
    keep(store, known(NOW), known(NOW + MINUTE, replace(PREPAID, total_charged_microusd=0)))
    keep(store, known(NOW + 2 * MINUTE, replace(PREPAID, total_charged_microusd=5)))
    (day,) = summaries(store.reader, "clips", SummarySpan.DAY, NOW - FAR, NOW + FAR)
    assert day.spent == 5


def test_a_source_without_money_has_summaries_of_volume(store: Store) -> None:
    keep(store, known(NOW, STORAGE), known(NOW + MINUTE, replace(STORAGE, used_microgb=46_000_000)))
    (day,) = summaries(store.reader, "clips", SummarySpan.DAY, NOW - FAR, NOW + FAR)
    assert (day.used_grown, day.effective_max, day.spent, day.available_min) == (330_000, 46_190_000, None, None)


def test_old_history_is_folded_into_its_summaries(store: Store) -> None:
    for number in range(60):
        keep(store, known(NOW + 30 * number * MINUTE, spent(number)), down(NOW + (30 * number + 5) * MINUTE))
    days = list(summaries(store.reader, "clips", SummarySpan.DAY, NOW - FAR, NOW + FAR))
    kept = len(past(store))
    pieces = 0
    with store.write(durable=False) as tx:
        while readings.fold_old(tx, "clips", NOW + 24 * 60 * MINUTE, rows=7):
            assert 0 < kept - len(past(store)) <= 7 + 7
            kept = len(past(store))
            pieces += 1
    assert pieces == 48 // 7
    assert all(one.last_at >= NOW + 24 * 60 * MINUTE for one in past(store))
    assert list(summaries(store.reader, "clips", SummarySpan.DAY, NOW - FAR, NOW + FAR)) == days
    assert readings.first_at(store.reader, "clips") == NOW


def test_what_reaches_into_the_kept_time_is_never_folded(store: Store) -> None:
    """A run and an outage that began before the kept time and ended in it stay whole, and so does what they say."""
    before = NOW + 30 * MINUTE
    keep(store, *(known(NOW + number * MINUTE) for number in range(0, 50, 10)))
    keep(store, *(down(NOW + number * MINUTE) for number in (5, 15, 25, 35)))
    keep(store, known(NOW + 60 * MINUTE, spent(1)))
    whole = past(store)
    assert [(one.first_at < before, one.last_at < before) for one in whole] == [(True, False)] * 2 + [(False, False)]
    with store.write(durable=False) as tx:
        readings.fold_old(tx, "clips", before)
        readings.fold_old(tx, "clips", whole[1].last_at)
    assert past(store) == whole
    assert list(readings.history(store.reader, "clips", before, before + MINUTE)) == whole[:2]


def test_what_ended_just_before_the_kept_time_is_folded(store: Store) -> None:
    keep(store, known(NOW), known(NOW + 10 * MINUTE), down(NOW + 20 * MINUTE), down(NOW + 30 * MINUTE))
    keep(store, known(NOW + 60 * MINUTE, spent(1)))
    for ended in (NOW + 10 * MINUTE, NOW + 30 * MINUTE):
        first, *others = past(store)
        with store.write(durable=False) as tx:
            readings.fold_old(tx, "clips", ended)
        assert past(store) == [first, *others], "it is of the kept time to the millisecond of its end"
        with store.write(durable=False) as tx:
            readings.fold_old(tx, "clips", ended + timedelta(milliseconds=1))
        assert past(store) == others


def test_the_run_that_goes_on_is_never_folded(store: Store) -> None:
    keep(store, known(NOW))
    with store.write(durable=False) as tx:
        readings.fold_old(tx, "clips", NOW + FAR)
    assert readings.last(store.reader, "clips") == known(NOW)


@pytest.mark.parametrize("old", ["run", "outage", "fields", "hours", ""])
def test_what_has_old_history_is_found_in_pages_of_a_hundred(store: Store, old: str) -> None:
    for number in range(120):
        keep(store, known(NOW, account=f"a{number:03}"))
    if old == "run":
        keep(store, known(NOW - 9 * MINUTE, account="a110x"), known(NOW, spent(1), account="a110x"))
    elif old == "outage":
        keep(store, down(NOW - 9 * MINUTE, account="a110x"), known(NOW, account="a110x"))
    elif old == "fields":
        keep(store, known(NOW - 9 * MINUTE, replace(PREPAID, extra='{"new":1}'), account="a110x"))
    else:
        keep(store, known(NOW, account="a110x"), known(NOW + 60 * MINUTE, spent(1), account="a110x"))
    hours = NOW + timedelta(days=1 if old == "hours" else 0)
    first = readings.accounts_after(store.reader, "", NOW - MINUTE, hours)
    assert [name for name, _ in first] == [f"a{number:03}" for number in range(100)]
    rest = readings.accounts_after(store.reader, "a099", NOW - MINUTE, hours)
    assert len(rest) == 21
    assert [name for name, found in rest if found] == (["a110x"] if old else [])
    assert readings.accounts_after(store.reader, "a119", NOW - MINUTE, hours) == []


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["clips", "media"]),
        st.integers(min_value=1, max_value=90),
        st.one_of(st.integers(min_value=-2, max_value=3), st.sampled_from(list(Reason)[:2])),
    ),
    max_size=40,
)


@settings(max_examples=40, deadline=None)
@given(steps=STEPS, batch=st.integers(min_value=1, max_value=7))
def test_whatever_comes_in_whatever_batches_nothing_is_lost_or_invented(
    steps: list[tuple[str, int, int | Reason]], batch: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = Store(tmp_path_factory.mktemp("db") / "brimful.db")
    migrate(store)
    at, all_readings = NOW, []
    for account, minutes, what in steps:
        at += minutes * MINUTE
        all_readings.append(down(at, what, account) if isinstance(what, Reason) else known(at, spent(what), account))
    for start in range(0, len(all_readings), batch):
        keep(store, *all_readings[start : start + batch])
    for account in ("clips", "media"):
        mine = [one for one in all_readings if one.account == account]
        assert _unfolded(past(store, account)) == [
            one.reason if isinstance(one, Unavailable) else one.metrics for one in mine
        ]
        good = [one for one in mine if isinstance(one, Known)]
        assert readings.last(store.reader, account) == (good[-1] if good else None)
        for span in SummarySpan:
            _agrees(list(summaries(store.reader, account, span, NOW - FAR, NOW + FAR)), good)
    store.close()


def _unfolded(kept: list[Run | OutageRun]) -> list[Metrics | Reason]:
    return [one.metrics if isinstance(one, Run) else one.reason for one in kept for _ in range(one.count)]


def _agrees(kept: list[Summary], good: list[Known]) -> None:
    accrued = [one.metrics.accrued_microusd or 0 for one in good]
    assert sum(one.samples for one in kept) == len(good)
    assert sum(one.spent or 0 for one in kept) == sum(max(0, later - earlier) for earlier, later in pairwise(accrued))
    if good:
        available = [one.metrics.available_microusd for one in good]
        assert min(one.available_min for one in kept if one.available_min is not None) == min(a for a in available if a)
        assert kept[-1].uncharged_last == good[-1].metrics.uncharged_microusd


@pytest.mark.sqlite
def test_a_poll_costs_the_same_whatever_the_history_and_however_many_accounts(store: Store) -> None:
    def next_poll(at: datetime) -> Callable[[], None]:
        return lambda: keep(store, known(at, spent(1)), known(at + MINUTE, spent(2)), known(at + 2 * MINUTE, spent(2)))

    keep(store, known(NOW), known(NOW + MINUTE, spent(1)))
    young = effort(store, next_poll(NOW + 2 * MINUTE))
    keep(store, *(known(NOW + (10 + number) * MINUTE, spent(number)) for number in range(5000)))
    keep(store, *(known(NOW, account=f"other{number}") for number in range(1000)))
    later = NOW + 6000 * MINUTE
    keep(store, known(later, spent(1)))
    assert effort(store, next_poll(later + MINUTE)) < young * 2


@pytest.mark.sqlite
@pytest.mark.parametrize(
    "ask",
    [
        lambda conn: readings.last(conn, "clips"),
        lambda conn: readings.current_outage(conn, "clips"),
        lambda conn: readings.around(conn, "clips", NOW + 4000 * MINUTE),
        lambda conn: list(readings.history(conn, "clips", NOW + 4000 * MINUTE, NOW + 4010 * MINUTE)),
        lambda conn: list(readings.history(conn, "clips", NOW + 7990 * MINUTE, NOW + 7995 * MINUTE)),
    ],
    ids=["last", "outage", "around", "history", "history of outages"],
)
def test_a_question_costs_by_its_answer_not_by_the_history(store: Store, ask: Callable[[Any], object]) -> None:
    keep(store, *(known(NOW + number * MINUTE, spent(number)) for number in range(5000)))
    keep(store, *(down(NOW + (5000 + number) * MINUTE, list(Reason)[number % 2]) for number in range(3000)))
    assert effort(store, lambda: ask(store.reader)) < 2500
