"""Statements rest on the kept runs, and on hourly summaries where those were folded away."""

from __future__ import annotations

from datetime import timedelta

from alerts.model.readings import Reason, Unavailable
from alerts.model.spans import span_named
from alerts.model.values import replace
from alerts.reports.statements import Statement, build
from daemon.store import Store, readings
from daemon.store.statement_readings import readings_over
from tests.helpers_statements import BERLIN, CLIPS, LATER, OCTOBER, at, level


def statement_of(store: Store) -> Statement:
    known, _ = readings_over(store.reader, "clips", OCTOBER.start, OCTOBER.end)
    return build(CLIPS, OCTOBER, known, [], now=LATER)


def test_a_month_of_runs_gives_the_month_and_counts_its_polls(october: Store) -> None:
    known, polls = readings_over(october.reader, "clips", OCTOBER.start, OCTOBER.end)
    assert polls == 31 * 24 + 1 + 1, "an hour more where the clock went back, and the one at the very end"
    assert known[0].at <= OCTOBER.start
    assert known[-1].at > OCTOBER.end
    assert [one.at for one in known] == sorted(one.at for one in known)


def test_a_folded_month_gives_the_same_money_as_its_readings_did(october: Store) -> None:
    before = statement_of(october)
    with october.write(durable=False) as tx:
        while readings.fold_old(tx, "clips", LATER):
            pass
    after = statement_of(october)
    assert after.money == before.money
    assert before.money is not None
    assert before.money.charged == 31_000_000
    assert after.partial == before.partial == ()


def test_a_half_folded_month_is_joined_without_a_seam(october: Store) -> None:
    before = statement_of(october)
    with october.write(durable=False) as tx:
        while readings.fold_old(tx, "clips", at(15)):
            pass
    assert statement_of(october).money == before.money


def test_a_run_that_reaches_over_an_edge_is_cut_there(store: Store) -> None:
    start = OCTOBER.start - timedelta(hours=3)
    same = [level(start + timedelta(hours=n), "30", "1000") for n in range(6)]
    with store.write(durable=False) as tx:
        readings.record(tx, same)
    known, polls = readings_over(store.reader, "clips", OCTOBER.start, OCTOBER.end)
    assert OCTOBER.start in [one.at for one in known]
    assert polls == 3, "at the start, one and two hours later"
    assert statement_of(store).since == OCTOBER.start


def test_an_outage_is_no_reading_of_zero(store: Store) -> None:
    with store.write(durable=False) as tx:
        readings.record(tx, [level(OCTOBER.start, "30", "1000"), Unavailable("clips", at(2), Reason.TIMEOUT)])
        readings.record(tx, [level(at(3), "28", "1002"), level(OCTOBER.end, "28", "1002")])
    money = statement_of(store).money
    assert money is not None
    assert (money.charged, money.unexplained) == (2_000_000, 0)


def test_an_account_that_was_never_read_has_nothing(store: Store) -> None:
    assert readings_over(store.reader, "clips", OCTOBER.start, OCTOBER.end) == ([], 0)


def test_the_closing_of_a_month_is_the_opening_of_the_next_whatever_the_boundary_meets(store: Store) -> None:
    november = span_named("2026-11", BERLIN)
    for account, offsets in (
        ("at", (-15, 0, 15)),
        ("around", (-10, 5)),
        ("before", (-30, -20, 2000)),
        ("gap", (-3000, 9)),
    ):
        told = [
            replace(level(OCTOBER.end + timedelta(minutes=m), str(30 - n), str(1000 + n), "0.5"), account=account)
            for n, m in enumerate((-40_000, *offsets, 40_000))
        ]
        with store.write(durable=False) as tx:
            readings.record(tx, told)
        ends = []
        for span in (OCTOBER, november):
            known, _ = readings_over(store.reader, account, span.start, span.end)
            made = build(replace(CLIPS, id=account), span, known, [], now=LATER + timedelta(days=60))
            assert made.money is not None
            ends.append(made.money)
        assert (ends[0].closing, ends[0].uncharged_closing) == (ends[1].opening, ends[1].uncharged_opening), account
