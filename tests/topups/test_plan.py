"""The pure part: sizes, gates, caps, keys and parameters."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.forecast.pace import BurnNow, BurnPace
from alerts.model.periods import calendar
from alerts.model.readings import Metrics
from alerts.model.reasons import CapReason
from alerts.model.specs import Period
from alerts.model.values import replace
from alerts.rules.falls import Falls
from daemon.store.topup_rows import Spend, Stop, StopKind
from daemon.stripe.intents import Metadata, UnreadableMetadata, read_metadata
from daemon.stripe.requests import confirm_params, create_key, create_params
from daemon.topups.policy.amounts import Cap, counted, size
from daemon.topups.policy.gates import GateInputs, evaluate_gates
from tests.helpers_topups import DOLLAR, topup_config

NOW = datetime(2026, 11, 15, 12, 0, tzinfo=UTC)
DAY_AGO = NOW - timedelta(hours=24, minutes=2)
NEW_MONTH = datetime(2026, 12, 1, 0, 2, tzinfo=UTC)


def facts(**changes: Any) -> GateInputs:
    low = Metrics(balance_microusd=4_960_000, uncharged_microusd=750_000, total_charged_microusd=100 * DOLLAR)
    plain = GateInputs(
        now=NOW,
        zone=ZoneInfo("UTC"),
        config=topup_config(),
        stops=(),
        ledger_at=None,
        metrics=low,
        read_at=NOW,
        second=low,
        open_topups={},
        last_attempt_at=None,
        spends=(),
        burn=BurnNow(),
    )
    return replace(plain, **changes)


def refused(**changes: Any) -> str | None:
    gate = evaluate_gates(facts(**changes)).refused
    return None if gate is None else gate.name


def spend(dollars: int, at: datetime, *, stripe_at: datetime | None = None, is_open: bool = False) -> Spend:
    return Spend(f"clips-{at}", dollars * DOLLAR, at, stripe_at, is_open)


def total(dollars: int) -> Cap:
    return Cap(CapReason.DAY_TOTAL, 5000 * DOLLAR, dollars * DOLLAR, "day 2026-11-15 over all accounts")


def test_the_days_total_reduces_an_amount_as_every_cap_does() -> None:
    said = evaluate_gates(
        facts(config=topup_config(amount_microusd=None, to_microusd=60 * DOLLAR), total=(total(4970),))
    )
    assert (said.refused, said.amount_microusd) == (None, 30 * DOLLAR)
    gate = next(gate for gate in said.gates if gate.name == "cap_day_total")
    assert (gate.number, gate.detail) == (7, "$4,970.00 spent or open of $5,000.00 a day over all accounts")


def test_a_low_balance_with_nothing_against_it_passes_every_gate() -> None:
    said = evaluate_gates(facts())
    assert said.refused is None
    assert said.amount_microusd == 50 * DOLLAR
    assert [gate.number for gate in said.gates] == sorted(gate.number for gate in said.gates)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("pause", {"stops": (Stop("*", StopKind.PAUSE, "paused", "", NOW),)}),
        ("suspension", {"stops": (Stop("clips", StopKind.SUSPENSION, "declined", "", NOW),)}),
        ("breaker", {"stops": (Stop("*", StopKind.BREAKER, "stripe_credentials", "", NOW),)}),
        ("clock", {"ledger_at": NOW + timedelta(minutes=1)}),
        ("stripe_clock", {"stripe_now": NOW - timedelta(hours=25)}),
        ("stripe_clock", {"stripe_now": NOW + timedelta(minutes=5, seconds=1)}),
        ("database", {"in_place": False}),
        ("possible", {"falls": Falls(funded_microusd=200 * DOLLAR, fallen_since=NOW)}),
        ("possible", {"falls": Falls(funded_microusd=DOLLAR, fallen_since=NOW)}),  # stuck at zero
        ("possible", {"credited_microusd": 200 * DOLLAR}),
        ("drop", {"falls": Falls(dropped_at=NOW, dropped_from_microusd=100 * DOLLAR)}),
        ("twin", {"twins": {"reels-1": "paid"}}),
        ("reading", {"read_at": NOW - timedelta(minutes=6)}),
        ("reading", {"read_at": NOW + timedelta(minutes=6)}),
        ("reading", {"second": None}),
        ("reading", {"metrics": Metrics()}),
        ("threshold", {"second": Metrics(balance_microusd=10 * DOLLAR)}),
        ("threshold", {"metrics": Metrics(balance_microusd=10 * DOLLAR)}),
        ("slot", {"open_topups": {"clips-1": "paid"}}),
        ("cooldown", {"last_attempt_at": NOW - timedelta(minutes=59)}),
        ("hold", {"hold_until": NOW + timedelta(seconds=1)}),
        ("card", {"attempts_on_card": 15}),
        ("card", {"card_refused": True}),
        ("size", {"config": topup_config(max_charge_microusd=40 * DOLLAR)}),
        ("cap_day", {"spends": (spend(51, NOW - timedelta(hours=23)),)}),
        ("cap_day", {"spends": (spend(51, NOW - timedelta(days=3), stripe_at=NOW - timedelta(hours=23)),)}),
        ("cap_day", {"spends": (spend(51, NOW - timedelta(days=3), is_open=True),)}),
        ("cap_month", {"spends": (spend(451, NOW - timedelta(days=10)),)}),
        (
            "cap_month",
            {
                "now": NEW_MONTH,
                "read_at": NEW_MONTH,
                "stripe_now": NEW_MONTH - timedelta(minutes=4),
                "spends": (spend(451, NEW_MONTH - timedelta(days=10)),),
            },
        ),
        (
            "cap_day",
            {
                "stripe_now": NOW - timedelta(minutes=4),
                "spends": (spend(51, DAY_AGO, stripe_at=DAY_AGO),),
            },
        ),
        ("cap_day_total", {"total": (total(4951),)}),
        ("cap_day_total", {"total": (total(4951),), "itself": "clips-1", "amount_microusd": 50 * DOLLAR}),
        ("brake", {"burn": BurnNow(pace=BurnPace(400 * DOLLAR, DOLLAR, DOLLAR))}),
    ],
)
def test_each_gate_says_no(name: str, changes: dict[str, Any]) -> None:
    assert refused(**changes) == name


@pytest.mark.parametrize(
    "changes",
    [
        {"stops": (Stop("clips", StopKind.SUSPENSION, "declined", "", NOW, fingerprint="fp"),), "probe": True},
        {"ledger_at": NOW + timedelta(seconds=3)},
        {"stripe_now": NOW - timedelta(minutes=5)},
        {"falls": Falls(risen_microusd=500 * DOLLAR)},
        {"last_attempt_at": NOW - timedelta(minutes=60)},
        {"hold_until": NOW},
        {"spends": (spend(50, NOW - timedelta(hours=23)),)},
        {"total": (total(4950),)},
        {"spends": (spend(100, NOW - timedelta(hours=25)),)},
        {"spends": (spend(500, NOW - timedelta(days=16)),)},
        {"burn": BurnNow(pace=BurnPace(400 * DOLLAR, DOLLAR, DOLLAR)), "released": True},
        {"burn": BurnNow(pace=BurnPace(4 * DOLLAR, 0, 0))},
        {"itself": "clips-1", "amount_microusd": 50 * DOLLAR, "second": None, "open_topups": {"clips-1": "created"}},
        {"itself": "clips-1", "amount_microusd": 50 * DOLLAR, "last_attempt_at": NOW},
    ],
)
def test_what_does_not_stop_a_charge(changes: dict[str, Any]) -> None:
    assert refused(**changes) is None


def test_the_first_gate_that_says_no_decides() -> None:
    said = evaluate_gates(facts(stops=(Stop("*", StopKind.PAUSE, "paused", "", NOW),), open_topups={"clips-1": "paid"}))
    assert said.refused is not None
    assert said.refused.name == "pause"
    assert sum(not gate.passed for gate in said.gates) == 2


def test_a_charge_in_the_last_hour_of_the_month_elsewhere_counts_by_the_configured_zone() -> None:
    zone = ZoneInfo("Europe/Berlin")
    now = datetime(2026, 11, 1, 0, 30, tzinfo=UTC)
    assert calendar(Period.MONTH, now, zone).start == datetime(2026, 10, 31, 23, 0, tzinfo=UTC)
    before, after = (
        spend(50, datetime(2026, 10, 31, 22, 59, tzinfo=UTC)),
        spend(50, datetime(2026, 10, 31, 23, 0, tzinfo=UTC)),
    )
    start = calendar(Period.MONTH, now, zone).start
    assert counted((before, after), start, start, None) == (after,)


@given(
    available=st.integers(-200 * DOLLAR, 9_999_999),
    amount=st.integers(50, 30_000).map(lambda cents: cents * 10_000),
    spent=st.lists(st.tuples(st.integers(1, 300), st.integers(0, 60), st.booleans()), max_size=8),
    kind=st.sampled_from(["fixed", "to", "cover"]),
)
def test_no_amount_ever_exceeds_a_cap(
    available: int, amount: int, spent: list[tuple[int, int, bool]], kind: str
) -> None:
    sizes: dict[str, Any] = {
        "fixed": {"amount_microusd": amount},
        "to": {"amount_microusd": None, "to_microusd": 10 * DOLLAR + amount},
        "cover": {"amount_microusd": None, "cover_days": Decimal(14)},
    }
    config = topup_config(**sizes[kind])
    spends = [spend(dollars, NOW - timedelta(hours=hours), is_open=is_open) for dollars, hours, is_open in spent]
    metrics = Metrics(balance_microusd=available)
    said = evaluate_gates(
        facts(config=config, metrics=metrics, second=metrics, spends=spends, burn=BurnNow(5 * DOLLAR))
    )
    if said.refused is None:
        day = sum(s.amount_microusd for s in spends if s.is_open or s.local_at >= NOW - timedelta(hours=24))
        assert said.amount_microusd % 10_000 == 0
        assert said.amount_microusd >= config.min_charge_microusd or kind == "fixed"
        assert said.amount_microusd <= config.max_charge_microusd
        assert day + said.amount_microusd <= config.max_per_day_microusd
        assert sum(s.amount_microusd for s in spends) + said.amount_microusd <= config.max_per_month_microusd


@given(available=st.integers(-200 * DOLLAR, 9_999_999), cents=st.integers(1000, 20_000))
def test_whole_increments_land_above_the_threshold(available: int, cents: int) -> None:
    wanted = size(topup_config(amount_microusd=cents * 10_000), available, None)
    assert wanted.wanted_microusd % (cents * 10_000) == 0
    assert available + wanted.wanted_microusd > 10 * DOLLAR
    assert available + wanted.wanted_microusd - cents * 10_000 <= 10 * DOLLAR


@pytest.mark.parametrize(
    ("changes", "available", "burn", "expected"),
    [
        ({"to_microusd": 60 * DOLLAR}, 4_210_000, None, 55_790_000),
        ({"to_microusd": 60 * DOLLAR}, 4_210_001, None, 55_790_000),
        ({"to_microusd": 12 * DOLLAR}, 9_000_000, None, 10 * DOLLAR),
        ({"cover_days": Decimal(14)}, 4 * DOLLAR, 3 * DOLLAR, 38 * DOLLAR),
        ({"cover_days": Decimal(14)}, 4 * DOLLAR, None, 10 * DOLLAR),
        ({"cover_days": Decimal(14)}, -15 * DOLLAR, None, 30 * DOLLAR),
    ],
)
def test_sizes_by_example(changes: dict[str, Any], available: int, burn: int | None, expected: int) -> None:
    assert size(topup_config(amount_microusd=None, **changes), available, burn).wanted_microusd == expected


def test_an_amount_is_reduced_in_whole_increments_to_what_a_cap_still_allows() -> None:
    metrics = Metrics(balance_microusd=-80 * DOLLAR)
    said = evaluate_gates(facts(metrics=metrics, second=metrics, spends=(spend(30, NOW - timedelta(hours=2)),)))
    assert said.refused is None
    assert said.amount_microusd == 50 * DOLLAR


SAID = Metadata("clips", 4, 104_960_000, 4_960_000)


def example() -> dict[str, Any]:
    return create_params(SAID, "cus_1", 5000, "pm_1", suffix="CLIPS", receipt_email="a@example.com")


def test_the_parameters_are_a_pure_function_of_the_plan_and_confirm_nothing() -> None:
    assert example() == example()
    assert create_key("cus_1", "clips", 4) == "brimful:cus_1:clips:4:create"
    assert "confirm" not in example()
    assert example()["automatic_payment_methods"] == {"enabled": True, "allow_redirects": "never"}
    assert (example()["statement_descriptor_suffix"], example()["receipt_email"]) == ("CLIPS", "a@example.com")
    assert example()["metadata"] == {
        "app": "brimful",
        "account": "clips",
        "seq": "4",
        "topup": "clips-4",
        "funded": "104960000",
    }


def test_what_is_not_configured_is_no_parameter() -> None:
    assert {"statement_descriptor_suffix", "receipt_email"}.isdisjoint(create_params(SAID, "cus_1", 5000, "pm_1"))


def test_a_confirm_names_its_method_and_never_waits_for_a_person() -> None:
    assert confirm_params("pm_1") == {"payment_method": "pm_1", "off_session": True, "error_on_requires_action": True}


def test_metadata_is_read_as_it_was_written() -> None:
    said = read_metadata(SAID.encode())
    assert said is not None
    assert (said.account, said.seq, said.funded_microusd) == ("clips", 4, 104_960_000)
    assert read_metadata({"app": "another"}) is None


@pytest.mark.parametrize("broken", [{"seq": "many"}, {"seq": "0"}, {"account": ""}, {"funded": "1.5"}, {"seq": "٤"}])
def test_metadata_that_cannot_be_read_is_never_taken_for_somebody_elses(broken: dict[str, str]) -> None:
    with pytest.raises(UnreadableMetadata):
        read_metadata({**SAID.encode(), **broken})
