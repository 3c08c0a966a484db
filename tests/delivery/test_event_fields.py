"""The numbers of an event as a person reads them: exact, in the zone that is named, and never a zero for an unknown."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.events.messages.event_fields import DASH, EventFields, Figure, show_moment
from alerts.model.instants import EPOCH

BERLIN = ZoneInfo("Europe/Berlin")
MORNING = "2026-11-01T08:00:00Z"
SHOWN = "Sun 1 Nov 2026, 09:00 CET"


def figures(**data: object) -> EventFields:
    return EventFields(data, BERLIN)


@pytest.mark.parametrize(
    "show",
    [
        *(
            EventFields.usd,
            EventFields.gb,
            EventFields.number,
            EventFields.percent,
            EventFields.burn,
            EventFields.text,
            EventFields.at,
        ),
        *(EventFields.span, EventFields.likely, EventFields.rule, EventFields.days, EventFields.change),
        *(EventFields.findings, EventFields.duration, EventFields.words),
    ],
)
@pytest.mark.parametrize("data", [{}, {"this": None}])
def test_what_is_not_known_is_a_dash_whatever_it_is_shown_as(show: object, data: dict[str, None]) -> None:
    assert callable(show)
    assert show(EventFields(data, BERLIN), "this") == DASH


def test_a_zero_that_was_said_is_a_zero() -> None:
    zero = figures(this=0)
    assert (zero.usd("this"), zero.gb("this"), zero.number("this"), zero.percent("this"), zero.days("this")) == (
        "$0.00",
        "0.00 GB",
        "0",
        "0 %",
        "0",
    )


def test_numbers_are_grouped_and_carry_no_idle_digits() -> None:
    assert figures(this=1200).number("this", " polls") == "1,200 polls"
    assert figures(this=92.0).percent("this") == "92 %"
    assert figures(this=1234.5).number("this") == "1,234.5"
    assert figures(this=0.015).number("this") == "0.015"
    assert figures(this=1e-06).number("this") == "0.000001"


@given(st.decimals(0, 10_000, places=2))
def test_days_left_are_shown_to_a_tenth_and_never_overstated(days: Decimal) -> None:
    shown = Decimal(figures(this=float(days)).days("this").replace(",", ""))
    assert shown <= days < shown + Decimal("0.1")


def test_burn_names_its_basis_where_that_is_known() -> None:
    assert figures(burn=1.08, basis="scheduled").burn("burn") == "$1.08 (scheduled)"
    assert figures(burn=1.08, basis=None).burn("burn") == "$1.08"


def test_an_instant_is_shown_in_the_zone_and_names_it() -> None:
    assert figures(this=MORNING).at("this") == SHOWN
    assert figures(this="2026-07-01T08:00:00Z").at("this") == "Wed 1 Jul 2026, 10:00 CEST"
    assert figures(this="2026-11-01T08:00:00.250Z").at("this") == SHOWN


def test_what_is_no_instant_is_shown_as_it_was_said() -> None:
    assert figures(this="soon").at("this") == "soon"


def test_the_hour_that_comes_twice_is_told_apart_by_its_zone() -> None:
    first = datetime.fromisoformat("2026-10-25T00:30:00Z")
    assert show_moment(first, BERLIN) == "Sun 25 Oct 2026, 02:30 CEST"
    assert show_moment(first + timedelta(hours=1), BERLIN) == "Sun 25 Oct 2026, 02:30 CET"


@given(st.integers(0, 10**6).map(lambda hours: EPOCH + timedelta(hours=hours)))
def test_instants_an_hour_apart_never_look_the_same(at: datetime) -> None:
    assert show_moment(at, BERLIN) != show_moment(at + timedelta(hours=1), BERLIN)


def test_a_foreseen_instant_tells_its_range_where_both_ends_are_known() -> None:
    foreseen = {"likely": MORNING, "earliest": "2026-10-31T08:00:00Z", "latest": "2026-11-02T08:00:00Z"}
    assert figures(this=foreseen).span("this") == (
        f"{SHOWN} (between Sat 31 Oct 2026, 09:00 CET and Mon 2 Nov 2026, 09:00 CET)"
    )
    assert figures(this={**foreseen, "latest": None}).span("this") == SHOWN
    assert figures(this={**foreseen, "earliest": MORNING, "latest": MORNING}).span("this") == SHOWN
    assert figures(this=MORNING).span("this") == figures(this=foreseen).likely("this") == SHOWN


def test_a_rule_that_nobody_configured_is_not_shown() -> None:
    assert figures(this="low").rule("this") == "low"
    assert figures(this="account:reading").rule("this") == DASH


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(40, "1 min"), (5340, "89 min"), (5400, "1.5 h"), (172_799, "2.0 days"), (864_000, "10.0 days")],
)
def test_how_long_something_lasted_is_said_in_the_unit_that_fits(seconds: int, said: str) -> None:
    assert figures(this=seconds).duration("this") == said


def test_what_is_implausible_is_said_with_its_unit() -> None:
    found = [
        {"field": "total_charged_usd", "kind": "backwards", "before": 1050, "after": 12},
        {"field": "used_gb", "kind": "jump", "before": 1, "after": 2048},
        {"field": "calls", "kind": "new", "before": 1, "after": 2},
    ]
    assert figures(this=found).findings("this") == (
        "total charged ran backwards from $1,050.00 to $12.00; used jumped from 1.00 GB to 2,048.00 GB; "
        "calls moved from 1 to 2"
    )


def test_every_limit_that_changed_is_named_old_and_new() -> None:
    changes = [
        {"limit": "limit_gb", "old": 1024, "new": 2048.5},
        {"limit": "max_resolution_limit", "old": "1080p", "new": None},
        {"limit": "cost_per_snapshot", "old": 0.015, "new": 0.02},
        {"limit": "frames_per_second", "old": None, "new": 60},
    ]
    assert figures(this=changes).change("this") == (
        "quota 1,024 GB → 2,048.5 GB; largest resolution 1080p → none; "
        "price of a snapshot $0.015 → $0.02; frames per second none → 60"
    )


def test_rows_are_those_that_are_known_in_one_order_whatever_the_event_s() -> None:
    event = figures(rule="account:balance", since=MORNING, threshold_usd=5, available_usd=-0.25, basis=None, reason="")
    assert list(event.rows()) == [
        Figure("Available", "−$0.25"),
        Figure("Threshold", "$5.00"),
        Figure("Since", SHOWN),
    ]
