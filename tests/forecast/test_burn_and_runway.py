"""Burn and runway: the pages' example, the basis that is named, and the range around the answer."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from alerts.forecast.burn import burn, observed
from alerts.forecast.estimate import providers_estimate
from alerts.forecast.memory import BurnMemory
from alerts.forecast.runway import runway
from alerts.model.readings import Metrics

NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
PAGE = Metrics(
    balance_microusd=12_450_000,
    uncharged_microusd=750_000,
    total_charged_microusd=6_750_000,
    total_snapshots=450,
    active_videos=3,
    cost_per_snapshot_microusd=15_000,
    estimated_snapshots_remaining=830,
)


def _remember(days: float, hourly: list[int], scheduled: int | None = None) -> BurnMemory:
    memory, spent = BurnMemory(), 0
    for hour in range(int(days * 24) + 1):
        memory = memory.fold(NOW + timedelta(hours=hour - days * 24), spent, scheduled)
        spent += hourly[hour % len(hourly)]
    return memory


def test_pages_example_is_scheduled_at_1_08_a_day_and_lasts_10_8_days() -> None:
    memory = BurnMemory().fold(NOW, PAGE.accrued_microusd, PAGE.scheduled_burn_microusd_per_day)
    rate = burn(memory, PAGE, NOW)
    assert rate is not None
    assert (rate.microusd_per_day, rate.basis, rate.partial) == (1_080_000, "scheduled", False)
    left = runway(memory, PAGE, NOW)
    assert left is not None
    assert left.days == Decimal("10.83")
    assert left.partial
    assert left.days_p10 is not None
    assert left.days_p90 is not None
    assert left.days_p10 < Decimal("10.83") < left.days_p90


def test_fourteen_videos_and_ten_dollars_last_1_98_days() -> None:
    metrics = Metrics(balance_microusd=10_000_000, active_videos=14, cost_per_snapshot_microusd=15_000)
    left = runway(BurnMemory(), metrics, NOW)
    assert left is not None
    assert left.days == Decimal("1.98")
    assert left.basis == "scheduled"


def test_providers_own_estimate_divides_the_whole_balance() -> None:
    estimate = providers_estimate(PAGE)
    assert estimate is not None
    assert (estimate.snapshots, estimate.days) == (830, Decimal("11.5"))


def test_an_estimate_that_is_not_said_is_reckoned_from_the_balance() -> None:
    said = providers_estimate(Metrics(balance_microusd=12_450_000, active_videos=3, cost_per_snapshot_microusd=15_000))
    assert said is not None
    assert (said.snapshots, said.days) == (830, Decimal("11.5"))
    idle = providers_estimate(Metrics(balance_microusd=12_450_000, active_videos=0, cost_per_snapshot_microusd=15_000))
    assert idle is not None
    assert idle.days is None
    assert providers_estimate(Metrics(balance_microusd=12_450_000)) is None


def test_an_observed_window_needs_time_to_have_passed() -> None:
    assert observed(BurnMemory(), timedelta(hours=3), NOW) is None
    assert observed(BurnMemory().fold(NOW, 5), timedelta(hours=3), NOW) is None


def test_spend_that_the_schedule_does_not_explain_is_observed() -> None:
    memory = _remember(4, [500_000], scheduled=1_080_000)
    rate = burn(memory, PAGE, NOW)
    assert rate is not None
    assert rate.basis == "observed"
    assert abs(rate.microusd_per_day - 12_000_000) < 120_000


def test_spend_that_the_schedule_explains_is_scheduled() -> None:
    memory = _remember(4, [45_000], scheduled=1_080_000)
    rate = burn(memory, PAGE, NOW)
    assert rate is not None
    assert (rate.basis, rate.microusd_per_day) == ("scheduled", 1_080_000)


def test_hours_of_history_without_a_schedule_are_observed_and_partial() -> None:
    rate = burn(_remember(0.25, [100_000]), Metrics(), NOW)
    assert rate is not None
    assert (rate.microusd_per_day, rate.basis, rate.partial) == (2_400_000, "observed", True)


def test_one_day_of_history_is_no_longer_partial() -> None:
    rate = burn(_remember(1, [100_000]), Metrics(), NOW)
    assert rate is not None
    assert (rate.basis, rate.partial) == ("observed", False)
    assert abs(rate.microusd_per_day - 2_400_000) < 24_000


def test_nothing_known_is_no_burn() -> None:
    assert burn(BurnMemory(), Metrics(), NOW) is None
    assert runway(BurnMemory(), Metrics(balance_microusd=5), NOW) is None


def test_observed_window_says_what_it_covers() -> None:
    memory = _remember(2, [100_000])
    window = observed(memory, timedelta(hours=3), NOW)
    assert window is not None
    assert (window.spent_microusd, window.microusd_per_day, window.partial) == (300_000, 2_400_000, False)
    longer = observed(memory, timedelta(days=7), NOW)
    assert longer is not None
    assert longer.partial
    assert longer.spent_microusd == 4_800_000
