"""Ranges: earliest before likely before latest, never the wrong way round; quotas and the end of a period."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.forecast.afford import afford
from alerts.forecast.forecast import spend_forecast
from alerts.forecast.learning import LEADS, SCHEDULED_WIDTH, YOUNG
from alerts.forecast.memory import BurnMemory
from alerts.forecast.period import project
from alerts.forecast.quota import fills_within, full_at
from alerts.forecast.runway import days_remaining, runway
from alerts.model.readings import Metrics

NOW = datetime(2026, 11, 16, tzinfo=UTC)
GB = 1_000_000


def _spent(days: int, a_day: int, scheduled: int | None = None) -> BurnMemory:
    memory = BurnMemory()
    for hour in range(days * 24 + 1):
        memory = memory.fold(NOW + timedelta(hours=hour - days * 24), hour * a_day // 24, scheduled)
    return memory


@given(
    st.lists(st.integers(0, 3_000_000), min_size=30, max_size=200),
    st.integers(0, 200_000_000),
    st.integers(0, 50_000_000),
)
@settings(max_examples=60, deadline=None)
def test_percentiles_are_in_order_and_more_money_never_lasts_shorter(
    hours: list[int], available: int, more: int
) -> None:
    memory, spent = BurnMemory(), 0
    for index, amount in enumerate(hours):
        memory = memory.fold(NOW + timedelta(hours=index - len(hours) + 1), spent)
        spent += amount
    left = runway(memory, Metrics(balance_microusd=available), NOW)
    longer = runway(memory, Metrics(balance_microusd=available + more), NOW)
    assert left is not None
    assert longer is not None
    far = NOW + timedelta(days=10_000)
    assert NOW <= (left.earliest_at or far) <= (left.likely_at or far) <= (left.latest_at or far)
    slack = timedelta(minutes=5) + timedelta(days=0.002 * (((left.likely_at or NOW) - NOW) / timedelta(days=1)))
    assert (left.likely_at or far) <= (longer.likely_at or far) + slack
    assert left.days is None or longer.days is None or left.days <= longer.days


def test_nothing_left_is_no_day_left() -> None:
    assert days_remaining(0, 5) == days_remaining(-1, 0) == Decimal("0.00")
    assert days_remaining(5, 0) is None
    left = runway(_spent(4, 24_000_000), Metrics(balance_microusd=0, uncharged_microusd=5), NOW)
    assert left is not None
    assert left.days == left.days_p10 == left.days_p90 == Decimal("0.00")


def test_steady_spend_has_a_narrow_range_around_the_quotient() -> None:
    left = runway(_spent(10, 24_000_000), Metrics(balance_microusd=120_000_000), NOW)
    assert left is not None
    assert left.days == Decimal("5.00")
    assert left.days_p10 is not None
    assert left.days_p90 is not None
    assert Decimal("4.85") < left.days_p10 < Decimal("5") < left.days_p90 < Decimal("5.15")
    assert not left.partial


def test_what_lies_beyond_two_years_is_not_foretold() -> None:
    left = runway(_spent(4, 1_000), Metrics(balance_microusd=10_000_000), NOW)
    assert left is not None
    assert left.days is not None
    assert left.days > 5_000
    assert left.earliest_at is None
    assert left.days_p90 is None


def test_the_width_is_what_was_found_at_each_lead_and_grows_beyond() -> None:
    forecast = spend_forecast(BurnMemory(), 24_000_000, NOW)
    assert forecast is not None
    assert forecast.width_over(1) == SCHEDULED_WIDTH * YOUNG[0]
    for lead, width in zip(LEADS, YOUNG, strict=True):
        assert abs(forecast.width_over(lead) - SCHEDULED_WIDTH * width) < 1e-9
    assert forecast.width_over(LEADS[-1] * 4) == 2 * SCHEDULED_WIDTH * YOUNG[-1]


# ── quotas ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _stored(days: int, a_day_gb: int, reserved_gb: int = 0) -> BurnMemory:
    memory = BurnMemory()
    for hour in range(days * 24 + 1):
        memory = memory.fold(
            NOW + timedelta(hours=hour - days * 24),
            None,
            used_microgb=hour * a_day_gb * GB // 24,
            reserved_microgb=reserved_gb * GB if hour == days * 24 - 5 else 0,
        )
    return memory


def test_a_quota_is_full_first_at_the_peak_of_reservations_then_with_todays_then_by_use_alone() -> None:
    metrics = Metrics(used_microgb=40 * GB, reserved_microgb=10 * GB, limit_microgb=100 * GB)
    fill = full_at(_stored(4, 10, reserved_gb=20), metrics, NOW)
    assert fill is not None
    assert abs(fill.microgb_per_day - 10 * GB) < GB // 100
    for full, days in ((fill.used, 6), (fill.effective, 5), (fill.reserved, 4)):
        assert full.earliest_at is not None
        assert full.likely_at is not None
        assert full.latest_at is not None
        assert full.earliest_at < full.likely_at < full.latest_at
        assert abs(full.likely_at - NOW - timedelta(days=days)) < timedelta(hours=2)


def test_whether_it_fills_within_days_agrees_with_the_day_it_is_full() -> None:
    memory, metrics = _stored(4, 10), Metrics(used_microgb=40 * GB, reserved_microgb=10 * GB, limit_microgb=100 * GB)
    assert not fills_within(memory, metrics, Decimal("4.9"), NOW)
    assert fills_within(memory, metrics, Decimal("5.1"), NOW)
    assert fills_within(memory, Metrics(used_microgb=5 * GB, limit_microgb=5 * GB), Decimal(0), NOW)
    assert not fills_within(BurnMemory(), metrics, Decimal(9), NOW)
    assert not fills_within(memory, Metrics(used_microgb=GB), Decimal(9), NOW)


def test_a_quota_that_is_full_is_full_now() -> None:
    metrics = Metrics(used_microgb=100 * GB, limit_microgb=100 * GB)
    fill = full_at(_stored(2, 10), metrics, NOW)
    assert fill is not None
    assert fill.used.latest_at == NOW
    assert fill.partial


def test_a_volume_that_does_not_grow_is_never_full() -> None:
    fill = full_at(_stored(4, 0), Metrics(used_microgb=GB, limit_microgb=100 * GB), NOW)
    assert fill is not None
    assert fill.effective.earliest_at is None


def test_no_limit_or_no_history_has_no_day() -> None:
    assert full_at(_stored(4, 10), Metrics(used_microgb=GB), NOW) is None
    assert full_at(BurnMemory(), Metrics(used_microgb=GB, limit_microgb=GB), NOW) is None


# ── the end of a period ─────────────────────────────────────────────────────────────────────────────────────────────

START, END = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)


def test_nothing_is_projected_before_a_twentieth_of_the_period() -> None:
    memory = _spent(4, 24_000_000)
    assert project(memory, 1, START, END, START + timedelta(hours=35)) is None
    assert project(memory, 1, START, END, START + timedelta(hours=36)) is not None
    assert project(memory, 1, START, END, END) is None


def test_steady_spend_is_projected_to_its_total() -> None:
    ahead = project(_spent(15, 10_000_000), 150_000_000, START, END, NOW)
    assert ahead is not None
    assert abs(ahead.likely - 300_000_000) < 3_000_000
    assert 150_000_000 <= ahead.low < ahead.likely < ahead.high


def test_after_a_fall_a_projection_holds_what_goes_on_and_what_was_before() -> None:
    """Ten dollars a day for thirteen days and nothing for two: the rest of the month is at neither for certain."""
    memory = _spent(13, 10_000_000)
    assert memory.spend is not None
    for hour in range(1, 49):
        memory = memory.fold(NOW + timedelta(hours=hour), memory.spend.last)
    ahead = project(memory, 130_000_000, START, END, NOW + timedelta(days=2))
    assert ahead is not None
    left = (END - NOW).days - 2
    assert ahead.low == 130_000_000 <= ahead.likely
    assert ahead.high >= 130_000_000 + left * 10_000_000


def test_recent_burn_weighs_less_the_later_in_the_period() -> None:
    memory = _spent(15, 20_000_000)
    half = project(memory, 150_000_000, START, END, NOW)
    assert half is not None
    assert abs(half.likely - (150_000_000 + 225_000_000)) < 5_000_000


def test_without_any_history_the_periods_own_pace_is_all_there_is() -> None:
    ahead = project(BurnMemory(), 100_000_000, START, END, START + timedelta(days=10))
    assert ahead is not None
    assert (ahead.low, ahead.likely, ahead.high) == (100_000_000, 300_000_000, 500_000_000)


def test_a_period_of_volume_is_projected_by_what_is_stored() -> None:
    ahead = project(_stored(15, 2), 30 * GB, START, END, NOW, volume=True)
    assert ahead is not None
    assert abs(ahead.likely - 60 * GB) < GB


@given(st.integers(0, 500_000_000), st.integers(37, 700))
@settings(max_examples=40, deadline=None)
def test_a_projection_is_never_below_what_is_spent(spent: int, hours: int) -> None:
    ahead = project(_spent(2, 5_000_000), spent, START, END, START + timedelta(hours=hours))
    assert ahead is not None
    assert spent <= ahead.low <= ahead.likely <= ahead.high


# ── afford ──────────────────────────────────────────────────────────────────────────────────────────────────────────

PAGE = Metrics(
    balance_microusd=12_450_000, uncharged_microusd=750_000, active_videos=3, cost_per_snapshot_microusd=15_000
)


def test_one_video_for_a_week_fits_beside_the_three_that_run() -> None:
    answer = afford(BurnMemory(), PAGE, Decimal(7), 1, NOW)
    assert answer is not None
    assert (answer.cost_microusd, answer.left_microusd) == (2_520_000, 9_180_000)
    assert (answer.running_microusd, answer.left_beside_microusd) == (7_560_000, 1_620_000)
    assert answer.pays
    assert answer.pays_beside
    # 1.62 are left after the week, and last a day and a half more.
    assert answer.dry_beside_at is not None
    assert abs(answer.dry_beside_at - NOW - timedelta(days=8.5)) < timedelta(minutes=5)
    assert answer.dry_alone_at is not None
    assert abs(answer.dry_alone_at - NOW - timedelta(days=11.7 / 1.08)) < timedelta(minutes=20)


def test_what_is_affordable_alone_may_not_fit_beside_what_runs() -> None:
    answer = afford(BurnMemory(), PAGE, Decimal(7), 3, NOW)
    assert answer is not None
    assert answer.pays
    assert answer.pays_beside is False
    assert answer.left_beside_microusd == -3_420_000
    assert answer.dry_beside_at is not None
    assert abs(answer.dry_beside_at - NOW - timedelta(days=11.7 / 2.16)) < timedelta(minutes=5)


def test_what_costs_more_than_is_available_says_by_how_much() -> None:
    answer = afford(BurnMemory(), PAGE, Decimal(30), 3, NOW)
    assert answer is not None
    assert not answer.pays
    assert answer.left_microusd == -20_700_000


def test_exactly_enough_is_enough() -> None:
    metrics = Metrics(balance_microusd=2_520_000, cost_per_snapshot_microusd=15_000)
    answer = afford(BurnMemory(), metrics, Decimal(7), 1, NOW)
    assert answer is not None
    assert answer.pays
    assert answer.pays_beside is None
    assert answer.dry_beside_at is None


def test_an_empty_account_affords_nothing() -> None:
    metrics = Metrics(balance_microusd=0, active_videos=1, cost_per_snapshot_microusd=15_000, uncharged_microusd=10_000)
    answer = afford(BurnMemory(), metrics, Decimal(1), 1, NOW)
    assert answer is not None
    assert not answer.pays
    assert answer.dry_beside_at == NOW


def test_no_price_or_no_balance_has_no_answer() -> None:
    assert afford(BurnMemory(), Metrics(balance_microusd=5), Decimal(1), 1, NOW) is None
    assert afford(BurnMemory(), Metrics(cost_per_snapshot_microusd=5), Decimal(1), 1, NOW) is None
