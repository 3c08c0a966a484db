"""Learning: each estimator wins where it should, calm accounts get narrow ranges, and a restart changes nothing."""

import json
import random
from datetime import datetime, timedelta
from itertools import pairwise
from math import log

import pytest

from alerts.forecast.burn import burn
from alerts.forecast.forecast import spend_forecast, used_forecast
from alerts.forecast.hourly import HOUR_MS, Hourly
from alerts.forecast.learning import BELIEFS_KEPT, LEADS, YOUNG, learn, weighted_median
from alerts.forecast.memory import BurnMemory
from alerts.forecast.runway import runway
from alerts.model.readings import Metrics
from tests.helpers_hours import MONDAY, forecast_of, lived, office_hours


def test_nothing_is_learnt_before_a_day() -> None:
    memory, _ = lived(0, office_hours)
    assert memory.spend is not None
    assert learn(memory.spend) is None


def test_a_first_day_is_forecast_by_its_mean_with_the_usual_width() -> None:
    memory, now = lived(1, office_hours)
    found = forecast_of(memory, now)
    assert found.growth_over(12) == pytest.approx(5_000_000)
    assert found.width_over(24) == pytest.approx(YOUNG[LEADS.index(24)], rel=0.1)


def test_idle_nights_are_learnt_within_days() -> None:
    memory, now = lived(4, office_hours)
    found = forecast_of(memory, now)
    assert found.growth_over(8) < 100_000
    assert found.growth_over(18) == pytest.approx(10_000_000, rel=0.01)
    assert found.per_day == pytest.approx(10_000_000, rel=0.01)


def test_idle_weekends_are_learnt_within_two_weeks() -> None:
    memory, now = lived(14, lambda at: 1_000_000 if at.weekday() < 5 else 50_000)
    found = forecast_of(memory, now)
    assert found.growth_over(5 * 24) == pytest.approx(120_000_000, rel=0.1)
    assert found.growth_over(7 * 24) - found.growth_over(5 * 24) < 15_000_000
    assert found.growth_over(14 * 24) == pytest.approx(2 * found.growth_over(7 * 24))


def test_an_hour_under_way_is_not_forecast_again() -> None:
    memory, now = lived(6, office_hours)
    found = forecast_of(memory, now.replace(hour=8, minute=30))
    assert found.growth_over(0.5) == pytest.approx(500_000)
    assert found.growth_over(9.5) == pytest.approx(9_500_000)


def test_a_burst_is_not_taken_for_a_level() -> None:
    chance = random.Random(4)
    bursts = {chance.randrange(14 * 24) for _ in range(30)}
    memory, now = lived(14, lambda at: 8_000_000 if (at - MONDAY) // timedelta(hours=1) in bursts else 100_000)
    assert memory.spend is not None
    burst = memory.fold(now + timedelta(hours=1), memory.spend.last + 8_000_000)
    after = forecast_of(burst, now + timedelta(hours=1))
    mean = 24 * memory.spend.last / (14 * 24)
    assert after.per_day == pytest.approx(mean, rel=0.35)


def test_a_level_that_stays_is_believed_within_a_day() -> None:
    memory, now = lived(11, lambda at: 1_000_000 if (at - MONDAY) < timedelta(days=10) else 3_000_000)
    assert forecast_of(memory, now).per_day == pytest.approx(72_000_000, rel=0.1)


@pytest.mark.parametrize("times", [3, 10, 100])
def test_a_steady_account_that_rises_is_followed_in_six_hours_with_the_range_of_a_young_one(times: int) -> None:
    rise = MONDAY + timedelta(days=10)
    for hours, level in ((0, 1), (6, times), (24, times), (47, times), (72, times)):
        memory, now = lived(10 + hours / 24, lambda at: 1_000_000 * (times if at >= rise else 1))
        found = forecast_of(memory, now)
        assert found.per_day == pytest.approx(24_000_000 * level, rel=0.01)
        assert found.width_over(24) >= (YOUNG[LEADS.index(24)] if level > 1 and hours < 48 else 0)


def test_a_burst_of_hours_moves_little_and_one_that_has_ended_is_no_level() -> None:
    begin = MONDAY + timedelta(days=10)
    for lasts, hours, most in ((5, 5, 1.5), (5, 6, 1.5), (9, 10, 1.6), (9, 30, 1.6)):
        end = begin + timedelta(hours=lasts)
        memory, now = lived(10 + hours / 24, lambda at, end=end: 10_000_000 if begin <= at < end else 1_000_000)  # type: ignore[misc]
        assert forecast_of(memory, now).per_day < most * 24_000_000


def test_a_burst_that_has_ended_leaves_nothing_behind_and_one_within_the_usual_is_not_cut() -> None:
    begin = MONDAY + timedelta(days=10)
    for level, after, low, high in ((10, 4, 0.99, 1.01), (10, 30, 0.99, 1.6), (1.9, 15, 1.0, 1.9)):
        end = begin + timedelta(hours=9)
        memory, now = lived(
            10 + (9 + after) / 24,
            lambda at, end=end, level=level: round(1e6 * (level if begin <= at < end else 1)),  # type: ignore[misc]
        )
        assert low <= forecast_of(memory, now).per_day / 24_000_000 <= high


def test_a_rise_of_office_hours_is_known_on_its_second_day() -> None:
    rise = MONDAY + timedelta(days=10, hours=8)
    memory, now = lived(11.5, lambda at: (office_hours(at) + 50_000) * (3 if at >= rise else 1))
    assert forecast_of(memory, now).per_day > 2.5 * 11_200_000


def test_a_rise_by_day_is_none_of_the_nights() -> None:
    rise = MONDAY + timedelta(days=10, hours=8)
    memory, now = lived(10 + 15 / 24, lambda at: (office_hours(at) + 50_000) * (3 if at >= rise else 1))
    assert forecast_of(memory, now).per_day == pytest.approx(33_600_000, rel=0.01)


def test_a_rise_from_nothing_is_a_level() -> None:
    memory, now = lived(5 + 8 / 24, lambda at: 1_000_000 if at >= MONDAY + timedelta(days=5) else 0)
    assert forecast_of(memory, now).per_day == pytest.approx(24_000_000)


def test_a_rise_that_the_schedule_says_too_leaves_it_the_basis_and_one_beside_it_does_not() -> None:
    rise = MONDAY + timedelta(days=10)

    def level(at: datetime) -> int:
        return 3_000_000 if at >= rise else 1_000_000

    planned, now = lived(10 + 8 / 24, level, lambda at: 24 * level(at))
    beside, _ = lived(10 + 8 / 24, level, lambda at: 24_000_000)
    assert forecast_of(planned, now, 72_000_000).basis == "scheduled"
    found = forecast_of(beside, now, 24_000_000)
    assert (found.basis, round(found.per_day)) == ("observed", 72_000_000)
    assert "far above" in found.why


def test_nothing_spent_never_runs_out() -> None:
    memory, now = lived(9, lambda at: 0)
    left = runway(memory, Metrics(balance_microusd=1_000_000), now)
    assert left is not None
    assert left.days is None
    assert left.latest_at is None
    assert left.burn_microusd_per_day == 0


def test_calm_accounts_have_narrower_ranges_than_wild_ones() -> None:
    chance = random.Random(3)
    calm, now = lived(14, lambda at: 1_000_000 + chance.randrange(20_000))
    wild, _ = lived(14, lambda at: chance.choice((0, 0, 0, 0, 9_000_000)))
    narrow, wide = forecast_of(calm, now), forecast_of(wild, now)
    assert narrow.width_over(24) < 0.1 < 0.3 < wide.width_over(24)
    assert narrow.width_over(4 * LEADS[-1]) == 2 * narrow.widths[-1]
    for before, after in pairwise(zip(LEADS, wide.widths, strict=True)):
        assert abs(after[1] - before[1]) < log(after[0] / before[0])


def test_a_range_that_was_left_widens_and_one_that_holds_narrows_again() -> None:
    """By half of its logarithm for a miss, back by a tenth for each range that holds, and a tenth is forgotten."""
    found = []
    for hours in (0, 6, 12, 18, 72):
        memory, _ = lived(8 + hours / 24, lambda at: 1_700_000 if at >= MONDAY + timedelta(days=8) else 1_000_000)
        assert memory.spend is not None
        belief = learn(memory.spend)
        assert belief is not None
        found.append((belief.learnt.stretched[0], belief.learnt.widths[0]))
    calm, missed, again, held, later = (stretched for stretched, _ in found)
    assert calm == pytest.approx(-0.95, abs=0.01)
    assert missed == pytest.approx(0.9 * calm + 0.4)
    assert again == pytest.approx(0.9 * missed + 0.4)
    assert held == pytest.approx(0.9 * again - 0.1)
    assert later < 0
    assert found[2][1] > 2 * found[0][1]
    assert found[4][1] < found[2][1]


def test_what_the_range_of_a_fall_held_widens_no_other() -> None:
    """The fall itself was a miss; from six hours later on its range reaches from there to what was before."""
    found = []
    for hours in (0, 6, 12, 18):
        memory, _ = lived(8 + hours / 24, lambda at: 200_000 if at >= MONDAY + timedelta(days=8) else 1_000_000)
        assert memory.spend is not None
        belief = learn(memory.spend)
        assert belief is not None
        found.append(belief.learnt.stretched[0])
    assert found[1] == pytest.approx(0.9 * found[0] + 0.4)
    assert found[2] == found[3] == found[1]


def test_half_of_the_weight_lies_at_or_below_the_median() -> None:
    assert weighted_median([3.0, 1.0, 2.0], [1.0, 1.0, 1.0]) == 2
    assert weighted_median([3.0, 1.0, 2.0], [5.0, 1.0, 1.0]) == 3
    assert weighted_median([3.0, 1.0], [1.0, 1.0]) == 1


def test_the_schedule_is_the_basis_where_it_explains_what_is_spent() -> None:
    memory, now = lived(5, lambda at: 1_000_000, lambda at: 24_000_000)
    forecast = forecast_of(memory, now, 48_000_000)
    assert (forecast.basis, round(forecast.per_day)) == ("scheduled", 48_000_000)


def test_a_schedule_with_a_shape_leads_the_level() -> None:
    """The rate of one moment is no day's burn where it follows the clock; but when it doubles, so does the level."""
    memory, now = lived(6 + 10 / 24, office_hours, lambda at: 24 * office_hours(at))
    usual = spend_forecast(memory, 24_000_000, now)
    doubled = spend_forecast(memory, 48_000_000, now)
    assert usual is not None
    assert doubled is not None
    assert usual.basis == "observed"
    assert usual.per_day == pytest.approx(10_000_000, rel=0.1)
    assert doubled.per_day > 1.2 * usual.per_day


def test_a_schedule_that_is_not_said_any_more_is_forgotten() -> None:
    memory, now = lived(5, lambda at: 1_000_000, lambda at: 24_000_000)
    for hour in range(1, 6):
        memory = memory.fold(now + timedelta(hours=hour), 120_000_000 + hour * 1_000_000)
    forecast = spend_forecast(memory, None, now + timedelta(hours=5))
    assert forecast is not None
    assert forecast.basis == "observed"
    assert forecast.per_day == pytest.approx(24_000_000, rel=0.05)


def test_a_schedule_with_a_shape_that_is_not_said_any_more_is_forgotten_too() -> None:
    memory, now = lived(6, office_hours, lambda at: 24 * office_hours(at))
    assert memory.spend is not None
    learn(memory.spend, memory.schedule.counter if memory.schedule else None)
    for hour in range(1, 4):
        memory = memory.fold(now + timedelta(hours=hour), memory.spend.last)
        assert memory.spend is not None
    forecast = spend_forecast(memory, None, now + timedelta(hours=3))
    assert forecast is not None
    assert forecast.per_day == pytest.approx(10_000_000, rel=0.1)


def test_a_restart_changes_no_forecast() -> None:
    chance = random.Random(2)
    amounts = [chance.randrange(2_000_000) for _ in range(40 * 24)]
    memory, spent = BurnMemory(), 0
    for hour, amount in enumerate(amounts):
        memory = memory.fold(MONDAY + timedelta(hours=hour), spent, 24_000_000)
        if memory.spend is not None and hour % 5 == 0:
            learn(memory.spend, memory.schedule.counter if memory.schedule else None)
        spent += amount
    now = MONDAY + timedelta(hours=len(amounts) - 1)
    metrics = Metrics(balance_microusd=200_000_000)
    assert runway(BurnMemory.decode(memory.encode()), metrics, now) == runway(memory, metrics, now)


def test_volume_has_a_forecast_from_its_first_hours() -> None:
    memory = BurnMemory()
    assert used_forecast(memory, MONDAY) is None
    for hour in range(4):
        memory = memory.fold(MONDAY + timedelta(hours=hour), None, used_microgb=hour * 1_000_000)
    early = used_forecast(memory, MONDAY + timedelta(hours=3))
    assert early is not None
    assert early.partial
    assert round(early.per_day) == 24_000_000
    for hour in range(4, 60):
        memory = memory.fold(MONDAY + timedelta(hours=hour), None, used_microgb=hour * 1_000_000)
    later = used_forecast(memory, MONDAY + timedelta(hours=59))
    assert later is not None
    assert not later.partial


def test_minutes_of_history_say_nothing_of_a_rate() -> None:
    memory = BurnMemory().fold(MONDAY, 0).fold(MONDAY + timedelta(minutes=5), 1_000_000)
    assert spend_forecast(memory, None, MONDAY + timedelta(minutes=5)) is None
    none_active = spend_forecast(memory, 0, MONDAY + timedelta(minutes=5))
    assert none_active is not None
    assert none_active.per_day == 0


def test_a_schedule_that_leaves_out_much_of_what_is_spent_is_no_basis() -> None:
    """Failed snapshots are no reason; a third that is spent beside it is, however noisy the account."""
    for spent, basis in ((0.97, "scheduled"), (1.3, "observed")):
        chance = random.Random(5)
        noisy, now = lived(
            9,
            lambda at, spent=spent, chance=chance: round(spent * chance.uniform(0, 2e6)),  # type: ignore[misc]
            lambda at: 24_000_000,
        )
        assert forecast_of(noisy, now, 24_000_000).basis == basis


def test_a_schedule_that_is_new_leads_nothing_yet() -> None:
    memory, now = lived(5, lambda at: 1_000_000)
    found = forecast_of(memory, now, 48_000_000)
    assert (found.basis, round(found.per_day)) == ("observed", 24_000_000)


def test_a_schedule_of_nothing_leads_nothing() -> None:
    memory, now = lived(5, lambda at: 1_000_000, lambda at: 0 if at.day < 6 else 1)
    assert forecast_of(memory, now, 0).per_day == pytest.approx(24_000_000)


def counted(hours: int, hourly: int) -> Hourly:
    counter = Hourly.begin(0, 0)
    for hour in range(1, hours + 1):
        counter = counter.fold(hour * HOUR_MS, hour * hourly)
    return counter


def test_what_is_learnt_is_kept_within_the_hour_and_handed_on_within_the_day() -> None:
    counter = counted(59, 10)
    found = learn(counter)
    assert found is not None
    assert learn(counter.fold(59 * HOUR_MS + 60_000, 600)) is found
    following = counter.fold(60 * HOUR_MS, 600)
    assert following.memo.learnt is counter.memo.learnt
    later = learn(following)
    assert later is not None
    assert len(later.past.hours) == 60
    assert learn(Hourly.decode(*json.loads(f"[{following.encode()},{following.encode_hours()}]"))) == later


def test_what_was_learnt_of_a_later_hour_is_not_taken() -> None:
    """A counter that is asked of again after its successors were: as in a replay beside another."""
    counters = [Hourly.begin(0, 0)]
    for hour in range(1, 60):
        counters.append(counters[-1].fold(hour * HOUR_MS, hour * 10))
    learn(counters[59])
    counters[50].memo.learnt = counters[59].memo.learnt
    found = [learn(counters[hour]) for hour in (59, 50)]
    assert [one.learnt.hour for one in found if one is not None] == [54, 48]


def test_beliefs_of_many_accounts_are_dropped_and_those_of_an_hour_that_is_over() -> None:
    """They are large. What was learnt is kept, so that the same is believed again."""
    counters = [counted(48, number + 1) for number in range(BELIEFS_KEPT + 1)]
    first = counters[0]
    believed, *_ = [learn(counter) for counter in counters]
    dropped, learnt = first.memo.found, first.memo.learnt
    assert dropped is None
    assert believed is not None
    assert believed.learnt is learnt
    assert learn(first) == believed == first.memo.found
    first.fold(first.last_ms + HOUR_MS, first.last)
    assert [first.memo.found, first.memo.learnt] == [None, learnt]


def test_what_a_day_costs_is_kept_for_the_hour_and_for_the_schedule_as_it_is() -> None:
    memory, now = lived(5, lambda at: 45_000, lambda at: 1_080_000)
    metrics = Metrics(active_videos=1, cost_per_snapshot_microusd=45_000)
    first = burn(memory, metrics, now)
    assert first is not None
    assert burn(memory, metrics, now + timedelta(minutes=20)) is first
    twice = burn(memory, Metrics(active_videos=2, cost_per_snapshot_microusd=45_000), now)
    assert twice is not None
    assert (first.microusd_per_day, twice.microusd_per_day) == (1_080_000, 2_160_000)
    assert burn(memory, metrics, now) == first
