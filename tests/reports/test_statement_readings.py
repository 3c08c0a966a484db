"""Statements rest on the kept runs, picked out by SQL, and on hourly summaries where those were folded away."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest

from alerts.model.readings import Known, Reason, Unavailable
from alerts.model.spans import span_named
from alerts.model.values import replace
from alerts.reports.past import AccountPast, past_of
from alerts.reports.statements import CardSide, Statement, build
from daemon.store import Store, readings
from daemon.store.statement_readings import past_over
from tests.helpers_statements import BERLIN, CLIPS, LATER, OCTOBER, at, cuts_of, level

CUTS = cuts_of(OCTOBER, LATER)


def past(store: Store, account: str = "clips") -> AccountPast:
    return past_over(store.reader, account, CUTS)


def statement_of(store: Store) -> Statement:
    return build(CLIPS, OCTOBER, past(store), CardSide(), now=LATER)


def test_a_month_of_runs_gives_the_month_and_counts_its_polls(october: Store) -> None:
    found = past(october)
    assert found.readings == 31 * 24 + 2, "an hour more where the clock went back, and the one at the very end"
    assert (found.jumps, found.by_total, len(found.edges)) == ((), True, 32)
    assert len(found.series) == 31, "a value that stands is one point"


@pytest.mark.parametrize("seed", range(12))
def test_what_sql_picks_is_what_walking_over_every_reading_finds(store: Store, seed: int) -> None:
    """Random lives: usage, credits, falls, resets, a total that comes and goes, new prices, gaps over midnight."""
    rng = random.Random(seed)
    when, balance, total, price = OCTOBER.start - timedelta(days=2), 50_000_000, 10**9, 15_000
    known: list[Known] = []
    while when < OCTOBER.end + timedelta(days=2):
        when += timedelta(minutes=rng.choice((5, 60, 600, 60, 600, 3000)))
        used = rng.choice((0, 0, 5_000, 900_000))
        balance, total = balance - used, total + used
        if rng.random() < 0.1:
            balance += rng.choice((-30_000_000, 50_000_000, 10_000))
        if rng.random() < 0.03:
            total = 0
        if rng.random() < 0.1:
            price = rng.choice((15_000, 20_000))
        said = None if seed % 3 == 0 and rng.random() < 0.3 else f"{total / 1e6:.6f}"
        more: dict[str, Any] = {
            "cost_per_snapshot_microusd": price,
            "used_microgb": 7 * len(known),
            "reserved_microgb": 3,
        }
        known.append(level(when, f"{balance / 1e6:.6f}", said, "0.01" if rng.random() < 0.5 else None, **more))
    with store.write(durable=False) as tx:
        readings.record(tx, known)
    picked, walked = past(store), past_of(known, CUTS)
    for name in ("prices", "readings", "by_total", "peak_microgb"):
        assert getattr(picked, name) == getattr(walked, name), name
    assert [e.partial for e in picked.edges] == [e.partial for e in walked.edges]
    one, two = (build(CLIPS, OCTOBER, each, CardSide(), now=LATER) for each in (picked, walked))
    assert (one.figures, one.days, one.partial) == (two.figures, two.days, two.partial)
    assert dict(walked.series).items() <= dict(picked.series).items(), "and both sides of every jump besides"


def test_a_folded_month_gives_the_same_money_as_its_readings_did(october: Store) -> None:
    before = statement_of(october)
    with october.write(durable=False) as tx:
        while readings.fold_old(tx, "clips", LATER):
            pass
    after = statement_of(october)
    assert after.figures == before.figures
    assert (after.spent, after.days) == (31_000_000, before.days)
    assert after.partial == before.partial == ()


def test_a_half_folded_month_is_joined_without_a_seam(october: Store) -> None:
    before = statement_of(october)
    with october.write(durable=False) as tx:
        while readings.fold_old(tx, "clips", at(15)):
            pass
    assert statement_of(october).figures == before.figures


def test_a_run_that_reaches_over_an_edge_is_cut_there(store: Store) -> None:
    start = OCTOBER.start - timedelta(hours=3)
    with store.write(durable=False) as tx:
        readings.record(tx, [level(start + timedelta(hours=n), "30", "1000") for n in range(6)])
    found = past(store)
    assert found.edges[0].known is not None
    assert (found.edges[0].known.at, found.readings) == (OCTOBER.start, 3)


def test_an_outage_is_no_reading_of_zero(store: Store) -> None:
    with store.write(durable=False) as tx:
        readings.record(tx, [level(OCTOBER.start, "30", "1000"), Unavailable("clips", at(2), Reason.TIMEOUT)])
        readings.record(tx, [level(at(3), "28", "1002"), level(OCTOBER.end, "28", "1002")])
    figures = statement_of(store).figures
    assert figures is not None
    assert (figures.spent, figures.unexplained) == (2_000_000, 0)


def test_an_account_that_was_never_read_has_nothing(store: Store) -> None:
    found = past(store)
    assert (found.first, found.readings, {edge.known for edge in found.edges}) == (None, 0, {None})
    assert build(CLIPS, OCTOBER, found, CardSide(), now=LATER).partial == ("no reading",)


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
            found = past_over(store.reader, account, cuts_of(span, span.end))
            made = build(replace(CLIPS, id=account), span, found, CardSide(), now=LATER + timedelta(days=60))
            assert made.figures is not None
            ends.append(made.figures)
        assert ends[0].closing == ends[1].opening, account


def test_a_level_that_a_report_was_made_with_stands(october: Store) -> None:
    stood = replace(past(october).edges[-1], known=Known("clips", OCTOBER.end, level(at(1), "7", "1").metrics))
    assert past_over(october.reader, "clips", CUTS, {OCTOBER.end: stood}).edges[-1] == stood
