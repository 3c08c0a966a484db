"""Advice: the smallest threshold and amount, and that more safety never costs less."""

import random
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.forecast.advice import Advice, Terms, advise, whole_hours
from alerts.forecast.hourly import HOUR_MS


def _terms(risk: str = "0.01", charges: int = 4, delay: int = 2) -> Terms:
    return Terms(Decimal(risk), charges, delay, 5 / 60, 10_000_000)


def _advise(hours: list[int], terms: Terms) -> Advice:
    advice = advise(hours, terms)
    assert advice is not None
    return advice


STEADY = [1_000_000] * 24 * 20
CHANCE = random.Random(7)
BURSTS = [CHANCE.choice((0, 0, 0, 0, 0, 0, 0, 0, 0, 8_000_000)) for _ in range(24 * 30)]


def test_a_week_of_past_is_needed() -> None:
    assert advise(STEADY[: 24 * 6], _terms()) is None
    assert advise([0] * 24 * 20, _terms()) is None


def test_steady_spend_needs_what_is_spent_until_a_credit_is_seen() -> None:
    advice = _advise(STEADY, _terms())
    # A dollar an hour: some three dollars pass from crossing the line to the credit; 720 a month in four charges.
    assert 3_000_000 <= advice.threshold_microusd <= 5_000_000
    assert 170_000_000 <= advice.amount_microusd <= 190_000_000
    assert advice.charges_most <= 4
    assert advice.month_mean_microusd == 720_000_000


def test_the_smallest_charge_is_the_providers() -> None:
    advice = _advise([1_000] * 24 * 20, _terms())
    assert advice.amount_microusd == 10_000_000


def test_bursts_need_a_higher_threshold_than_the_same_spend_evenly() -> None:
    even = [sum(BURSTS) // len(BURSTS)] * len(BURSTS)
    assert _advise(BURSTS, _terms()).threshold_microusd > 2 * _advise(even, _terms()).threshold_microusd


def test_a_longer_delay_and_a_smaller_risk_need_a_higher_threshold() -> None:
    usual = _advise(BURSTS, _terms())
    assert _advise(BURSTS, _terms(delay=24)).threshold_microusd > usual.threshold_microusd
    assert _advise(BURSTS, _terms(risk="0.2")).threshold_microusd < usual.threshold_microusd


def test_fewer_charges_need_a_larger_amount() -> None:
    assert _advise(BURSTS, _terms(charges=2)).amount_microusd > _advise(BURSTS, _terms(charges=8)).amount_microusd


def test_the_risk_is_kept() -> None:
    assert _advise(BURSTS, _terms(risk="0")).risk == 0
    assert _advise(BURSTS, _terms(risk="0.1")).risk <= Decimal("0.1")


def test_the_same_past_gives_the_same_advice() -> None:
    assert _advise(BURSTS, _terms()) == _advise(BURSTS, _terms())


@given(st.lists(st.tuples(st.integers(1, 3 * HOUR_MS), st.integers(0, 9_000)), min_size=2, max_size=50))
@settings(max_examples=60, deadline=None)
def test_whole_hours_add_up(moves: list[tuple[int, int]]) -> None:
    at_ms, value, points = 0, 0, [(0, 0)]
    for wait_ms, grown in moves:
        at_ms, value = at_ms + wait_ms, value + grown
        points.append((at_ms, value))
    hours = whole_hours(points)
    assert len(hours) == at_ms // HOUR_MS
    assert 0 <= sum(hours) <= value
    assert all(hour >= 0 for hour in hours)


def test_the_part_of_an_hour_at_the_beginning_is_left_out() -> None:
    half = HOUR_MS // 2
    assert whole_hours([(half, 0), (2 * HOUR_MS, 30), (3 * HOUR_MS, 50)]) == [20, 20]
