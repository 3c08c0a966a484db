"""Learning: each estimator wins where it should, calm accounts get narrow ranges, and a restart changes nothing."""

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import accumulate, pairwise
from math import log

import pytest

from alerts.forecast.estimators import Hours
from alerts.forecast.forecast import Forecast, spend_forecast, used_forecast
from alerts.forecast.hourly import HOUR_MS, Hourly
from alerts.forecast.learning import LEADS, YOUNG, learn, weighted_median
from alerts.forecast.memory import BurnMemory
from alerts.forecast.runway import runway
from alerts.model.readings import Metrics

MONDAY = datetime(2026, 11, 2, tzinfo=UTC)


def _office(at: datetime) -> int:
    return 1_000_000 if 8 <= at.hour < 18 else 0


Hourwise = Callable[[datetime], int]


def _live(days: float, spend_in_hour: Hourwise, scheduled: Hourwise | None = None) -> tuple[BurnMemory, datetime]:
    """Fold hour by hour: both callables take the hour's start."""
    memory, at, spent = BurnMemory(), MONDAY, 0
    for hour in range(round(days * 24) + 1):
        at = MONDAY + timedelta(hours=hour)
        memory = memory.fold(at, spent, None if scheduled is None else scheduled(at))
        spent += spend_in_hour(at)
    return memory, at


def _forecast(memory: BurnMemory, now: datetime, scheduled: int | None = None) -> Forecast:
    found = spend_forecast(memory, scheduled, now)
    assert found is not None
    return found


def test_nothing_is_learnt_before_a_day() -> None:
    memory, _ = _live(0, _office)
    assert memory.spend is not None
    assert learn(memory.spend) is None


def test_a_first_day_is_forecast_by_its_mean_with_the_usual_width() -> None:
    memory, now = _live(1, _office)
    found = _forecast(memory, now)
    assert found.growth_over(12) == pytest.approx(5_000_000)
    assert found.width_over(24) == pytest.approx(YOUNG[LEADS.index(24)], rel=0.1)


def test_idle_nights_are_learnt_within_days() -> None:
    memory, now = _live(4, _office)
    found = _forecast(memory, now)
    assert found.growth_over(8) < 100_000
    assert found.growth_over(18) == pytest.approx(10_000_000, rel=0.01)
    assert found.per_day == pytest.approx(10_000_000, rel=0.01)


def test_idle_weekends_are_learnt_within_two_weeks() -> None:
    memory, now = _live(14, lambda at: 1_000_000 if at.weekday() < 5 else 50_000)
    found = _forecast(memory, now)
    assert found.growth_over(5 * 24) == pytest.approx(120_000_000, rel=0.1)
    assert found.growth_over(7 * 24) - found.growth_over(5 * 24) < 15_000_000
    assert found.growth_over(14 * 24) == pytest.approx(2 * found.growth_over(7 * 24))


def test_an_hour_under_way_is_not_forecast_again() -> None:
    memory, now = _live(6, _office)
    found = _forecast(memory, now.replace(hour=8, minute=30))
    assert found.growth_over(0.5) == pytest.approx(500_000)
    assert found.growth_over(9.5) == pytest.approx(9_500_000)


def test_a_burst_is_not_taken_for_a_level() -> None:
    chance = random.Random(4)
    bursts = {chance.randrange(14 * 24) for _ in range(30)}
    memory, now = _live(14, lambda at: 8_000_000 if (at - MONDAY) // timedelta(hours=1) in bursts else 100_000)
    assert memory.spend is not None
    burst = memory.fold(now + timedelta(hours=1), memory.spend.last + 8_000_000)
    after = _forecast(burst, now + timedelta(hours=1))
    mean = 24 * memory.spend.last / (14 * 24)
    assert after.per_day == pytest.approx(mean, rel=0.35)


def test_a_level_that_stays_is_believed_within_a_day() -> None:
    memory, now = _live(11, lambda at: 1_000_000 if (at - MONDAY) < timedelta(days=10) else 3_000_000)
    assert _forecast(memory, now).per_day == pytest.approx(72_000_000, rel=0.1)


@pytest.mark.parametrize("times", [3, 10, 100])
def test_a_steady_account_that_rises_is_followed_in_six_hours_with_the_range_of_a_young_one(times: int) -> None:
    rise = MONDAY + timedelta(days=10)
    for hours, level in ((0, 1), (6, times), (24, times), (47, times), (72, times)):
        memory, now = _live(10 + hours / 24, lambda at: 1_000_000 * (times if at >= rise else 1))
        found = _forecast(memory, now)
        assert found.per_day == pytest.approx(24_000_000 * level, rel=0.01)
        assert found.width_over(24) >= (YOUNG[LEADS.index(24)] if level > 1 and hours < 48 else 0)


def test_a_burst_of_hours_moves_little_and_one_that_has_ended_is_no_level() -> None:
    begin = MONDAY + timedelta(days=10)
    for lasts, hours, most in ((5, 5, 1.5), (5, 6, 1.5), (9, 10, 1.6), (9, 30, 1.6)):
        end = begin + timedelta(hours=lasts)
        memory, now = _live(10 + hours / 24, lambda at, end=end: 10_000_000 if begin <= at < end else 1_000_000)  # type: ignore[misc]
        assert _forecast(memory, now).per_day < most * 24_000_000


def test_a_burst_that_has_ended_leaves_nothing_behind_and_one_within_the_usual_is_not_cut() -> None:
    begin = MONDAY + timedelta(days=10)
    for level, after, low, high in ((10, 4, 0.99, 1.01), (10, 30, 0.99, 1.6), (1.9, 15, 1.0, 1.9)):
        end = begin + timedelta(hours=9)
        memory, now = _live(
            10 + (9 + after) / 24,
            lambda at, end=end, level=level: round(1e6 * (level if begin <= at < end else 1)),  # type: ignore[misc]
        )
        assert low <= _forecast(memory, now).per_day / 24_000_000 <= high


def test_a_rise_of_office_hours_is_known_on_its_second_day() -> None:
    rise = MONDAY + timedelta(days=10, hours=8)
    memory, now = _live(11.5, lambda at: (_office(at) + 50_000) * (3 if at >= rise else 1))
    assert _forecast(memory, now).per_day > 2.5 * 11_200_000


def test_a_stretch_without_spend_is_no_miss_of_the_range() -> None:
    memory, _ = _live(3.5, _office)
    assert memory.spend is not None
    found = learn(memory.spend)
    assert found is not None
    assert [len(errors) for errors in found.learnt.errors] == [5, 7, 7, 3, 0]


def test_a_rise_by_day_is_none_of_the_nights() -> None:
    rise = MONDAY + timedelta(days=10, hours=8)
    memory, now = _live(10 + 15 / 24, lambda at: (_office(at) + 50_000) * (3 if at >= rise else 1))
    assert _forecast(memory, now).per_day == pytest.approx(33_600_000, rel=0.01)


def test_what_was_before_the_first_spend_is_no_history() -> None:
    """An account that is read for days before anything runs: its first day is a first day, and no mean is diluted."""
    begun = MONDAY + timedelta(days=4, hours=6)

    def spend_in_hour(at: datetime) -> int:
        return 1_000_000 if at >= begun and at.hour % 5 else 0

    memory, now = _live(6.25, spend_in_hour)
    late, _ = _live(2, lambda at: spend_in_hour(at + timedelta(days=4, hours=6)))
    found, same = _forecast(memory, now), _forecast(late, MONDAY + timedelta(days=2))
    assert found.history_days == 2
    assert (found.per_day, found.widths) == (same.per_day, same.widths)
    assert _forecast(*_live(5, spend_in_hour)).history_days == 5


def test_history_that_happens_to_begin_on_an_idle_weekend_begins_there() -> None:
    """Whether that was before the first spend is known a week later, by the next weekend."""
    saturday = timedelta(days=5)
    for days, known in ((6.5, 4.5), (9.5, 9.5)):
        memory, now = _live(days, lambda at: 1_000_000 if (at + saturday).weekday() < 5 else 0)
        assert _forecast(memory, now).history_days == known


def test_one_huge_hour_makes_nothing_of_the_weeks_before_it() -> None:
    huge = MONDAY + timedelta(days=20)
    memory, now = _live(21, lambda at: 300_000_000 if at == huge else 10_000)
    found = _forecast(memory, now)
    assert found.history_days == 21
    assert found.per_day == pytest.approx(240_000)


def test_a_stop_is_believed_for_longer_than_the_account_took_to_begin() -> None:
    begun, stops = MONDAY + timedelta(days=5), MONDAY + timedelta(days=14)
    for days in (18, 19, 20, 22):
        memory, now = _live(days, lambda at: 1_000_000 if begun <= at < stops else 0)
        assert _forecast(memory, now).per_day == 0


def test_a_night_before_the_first_spend_is_a_night() -> None:
    memory, now = _live(2 + 8 / 24, _office)
    assert _forecast(memory, now).history_days == pytest.approx(2 + 8 / 24)


def test_the_schedule_of_the_days_before_the_first_spend_is_left_out_too() -> None:
    memory, now = _live(7, lambda at: 1_000_000 if at.day >= 5 else 0, lambda at: 24_000_000)
    assert memory.spend is not None
    assert memory.schedule is not None
    belief = learn(memory.spend, memory.schedule.counter)
    assert belief is not None
    assert belief.past.scheduled is not None
    assert len(belief.past.scheduled) == len(belief.past.sums) == 4 * 24 + 1
    assert _forecast(memory, now, 24_000_000).basis == "scheduled"


def _hours_apart(*gaps: int) -> Hourwise:
    """Nothing but one hour of work after each of so many idle ones, again and again."""
    busy = set(accumulate(gap + 1 for gap in gaps * 40))
    return lambda at: 10_000_000 if (at - MONDAY) // timedelta(hours=1) in busy else 0


def test_an_account_that_works_now_and_then_does_not_last_for_ever_between() -> None:
    """In most of its hours nothing is spent, and who says "nothing" is right there: of days left that says nothing."""
    spend_in_hour = _hours_apart(30, 45, 20, 50)
    begun = 14 * 24
    found = [_forecast(*_live((begun + hour) / 24, spend_in_hour)).per_day for hour in range(0, 160, 7)]
    mean = 24 * 10_000_000 / (149 / 4)
    assert all(mean / 2 < per_day < 2 * mean for per_day in found)


def test_on_an_idle_sunday_an_office_does_not_last_for_ever() -> None:
    """The first weekend, and the second: neither is known by heart yet, and both are shorter than a pause."""

    def office(at: datetime) -> int:
        return _office(at) if at.weekday() < 5 else 0

    for days in (6.5, 13.5):
        memory, now = _live(days, office)
        found = _forecast(memory, now)
        assert 5_000_000 < found.per_day < 11_000_000
        until = found.hours_until(30_000_000)
        assert until is not None
        assert 48 < until < 7 * 24


@pytest.mark.parametrize("spend_in_hour", [_office, lambda at: 1_000_000 + 37_000 * (at.hour * at.day % 29)])
def test_an_account_that_stops_is_believed_to_within_four_days_and_for_as_long_as_it_lasts(
    spend_in_hour: Hourwise,
) -> None:
    stops = MONDAY + timedelta(days=14)
    found = [
        _forecast(*_live(14 + days, lambda at: spend_in_hour(at) if at < stops else 0)).per_day
        for days in (0, 4, 6, 9, 13, 20)
    ]
    assert found[0] > 1_000_000
    assert max(found[1:]) == 0


def test_a_fall_to_a_hundredth_is_a_level_and_no_idleness() -> None:
    falls = MONDAY + timedelta(days=10)
    for hours in (24, 48, 66):
        memory, now = _live(10 + hours / 24, lambda at: 3_000_000 if at < falls else 30_000)
        assert _forecast(memory, now).per_day == pytest.approx(720_000)


def test_a_rise_from_nothing_is_a_level() -> None:
    memory, now = _live(5 + 8 / 24, lambda at: 1_000_000 if at >= MONDAY + timedelta(days=5) else 0)
    assert _forecast(memory, now).per_day == pytest.approx(24_000_000)


def test_a_rise_that_the_schedule_says_too_leaves_it_the_basis_and_one_beside_it_does_not() -> None:
    rise = MONDAY + timedelta(days=10)

    def level(at: datetime) -> int:
        return 3_000_000 if at >= rise else 1_000_000

    planned, now = _live(10 + 8 / 24, level, lambda at: 24 * level(at))
    beside, _ = _live(10 + 8 / 24, level, lambda at: 24_000_000)
    assert _forecast(planned, now, 72_000_000).basis == "scheduled"
    found = _forecast(beside, now, 24_000_000)
    assert (found.basis, round(found.per_day)) == ("observed", 72_000_000)
    assert "far above" in found.why


def test_nothing_spent_never_runs_out() -> None:
    memory, now = _live(9, lambda at: 0)
    left = runway(memory, Metrics(balance_microusd=1_000_000), now)
    assert left is not None
    assert left.days is None
    assert left.latest_at is None
    assert left.burn_microusd_per_day == 0


def test_calm_accounts_have_narrower_ranges_than_wild_ones() -> None:
    chance = random.Random(3)
    calm, now = _live(14, lambda at: 1_000_000 + chance.randrange(20_000))
    wild, _ = _live(14, lambda at: chance.choice((0, 0, 0, 0, 9_000_000)))
    narrow, wide = _forecast(calm, now), _forecast(wild, now)
    assert narrow.width_over(24) < 0.1 < 0.3 < wide.width_over(24)
    assert narrow.width_over(4 * LEADS[-1]) == 2 * narrow.widths[-1]
    for before, after in pairwise(zip(LEADS, wide.widths, strict=True)):
        assert abs(after[1] - before[1]) < log(after[0] / before[0])


def test_a_range_that_was_left_widens_and_one_that_holds_narrows_again() -> None:
    """By half of its logarithm for a miss, back by a tenth for each range that holds, and a tenth is forgotten."""
    found = []
    for hours in (0, 6, 12, 18, 72):
        memory, _ = _live(8 + hours / 24, lambda at: 1_700_000 if at >= MONDAY + timedelta(days=8) else 1_000_000)
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
        memory, _ = _live(8 + hours / 24, lambda at: 200_000 if at >= MONDAY + timedelta(days=8) else 1_000_000)
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
    memory, now = _live(5, lambda at: 1_000_000, lambda at: 24_000_000)
    forecast = _forecast(memory, now, 48_000_000)
    assert (forecast.basis, round(forecast.per_day)) == ("scheduled", 48_000_000)


def test_a_schedule_with_a_shape_leads_the_level() -> None:
    """The rate of one moment is no day's burn where it follows the clock; but when it doubles, so does the level."""
    memory, now = _live(6 + 10 / 24, _office, lambda at: 24 * _office(at))
    usual = spend_forecast(memory, 24_000_000, now)
    doubled = spend_forecast(memory, 48_000_000, now)
    assert usual is not None
    assert doubled is not None
    assert usual.basis == "observed"
    assert usual.per_day == pytest.approx(10_000_000, rel=0.1)
    assert doubled.per_day > 1.2 * usual.per_day


def test_a_schedule_that_is_not_said_any_more_is_forgotten() -> None:
    memory, now = _live(5, lambda at: 1_000_000, lambda at: 24_000_000)
    for hour in range(1, 6):
        memory = memory.fold(now + timedelta(hours=hour), 120_000_000 + hour * 1_000_000)
    forecast = spend_forecast(memory, None, now + timedelta(hours=5))
    assert forecast is not None
    assert forecast.basis == "observed"
    assert forecast.per_day == pytest.approx(24_000_000, rel=0.05)


def test_a_schedule_with_a_shape_that_is_not_said_any_more_is_forgotten_too() -> None:
    memory, now = _live(6, _office, lambda at: 24 * _office(at))
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
        noisy, now = _live(
            9,
            lambda at, spent=spent, chance=chance: round(spent * chance.uniform(0, 2e6)),  # type: ignore[misc]
            lambda at: 24_000_000,
        )
        assert _forecast(noisy, now, 24_000_000).basis == basis


def test_a_schedule_that_is_new_leads_nothing_yet() -> None:
    memory, now = _live(5, lambda at: 1_000_000)
    found = _forecast(memory, now, 48_000_000)
    assert (found.basis, round(found.per_day)) == ("observed", 24_000_000)


def test_a_schedule_of_nothing_leads_nothing() -> None:
    memory, now = _live(5, lambda at: 1_000_000, lambda at: 0 if at.day < 6 else 1)
    assert _forecast(memory, now, 0).per_day == pytest.approx(24_000_000)


def test_what_is_learnt_is_kept_within_the_hour_and_handed_on_within_the_day() -> None:
    counter = Hourly.begin(0, 0)
    for hour in range(1, 60):
        counter = counter.fold(hour * HOUR_MS, hour * 10)
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


def _pausing(*pauses: tuple[int, int]) -> Hourwise:
    """Office hours over a few cents, and nothing at all between each two days."""
    return lambda at: 0 if any(begin <= (at - MONDAY).days < end for begin, end in pauses) else _office(at) + 50_000


def test_a_pause_that_has_ended_is_no_level_and_one_that_lasts_is() -> None:
    usual, lasting, ended = (
        11_200_000,
        *(_forecast(*_live(days, _pausing((8, 12)))).per_day for days in (12, 12 + 4 / 24)),
    )
    assert lasting < 0.7 * usual
    assert ended == pytest.approx(usual, rel=0.02)


def test_a_range_forgets_no_pause() -> None:
    widths = []
    for pauses in ((), ((8, 12),)):
        memory, _ = _live(13, _pausing(*pauses))
        assert memory.spend is not None
        belief = learn(memory.spend)
        assert belief is not None
        widths.append(belief.learnt.widths[-1])
    assert widths[1] > 1.5 * widths[0]


@pytest.mark.parametrize(
    ("pauses", "days"),
    [
        (((5, 7),), 8),  # two days, as a weekend
        (((4, 8), (10, 13)), 14),  # idle stretches are usual
        (((0, 1),), 1 + 10 / 24),  # begun for less than a day
        (((4, 8), (9, 13)), 14),  # two of the same length
        (((0, 9),), 9),  # nothing at all
    ],
)
def test_what_is_no_pause_is_left_as_it_is(pauses: tuple[tuple[int, int], ...], days: int) -> None:
    memory, _ = _live(days, _pausing(*pauses))
    assert memory.spend is not None
    hours = memory.spend.hours
    assert Hours.of(0, hours).paused is None
    assert list(Hours.of(0, hours).hours) == list(hours)


def test_a_pause_is_filled_with_the_days_before_it_and_what_was_spent_stays_known() -> None:
    memory, _ = _live(14, _pausing((4, 8)))
    assert memory.spend is not None
    hours = list(memory.spend.hours)
    past = Hours.of(1000, hours)
    assert past.paused == (1000 + 4 * 24, 4 * 24)
    assert list(past.hours) == hours[: 4 * 24] + hours[3 * 24 : 4 * 24] * 4 + hours[8 * 24 :]
    assert past.sums[-1] == sum(past.hours)
    assert past.spent[-1] == sum(hours)


def test_a_restart_after_a_pause_changes_no_forecast() -> None:
    memory = BurnMemory()
    spent, metrics, spend = 0, Metrics(balance_microusd=50_000_000), _pausing((9, 13))
    for hour in range(16 * 24):
        at = MONDAY + timedelta(hours=hour)
        memory = memory.fold(at, spent)
        spent += spend(at)
        if hour > 12 * 24:
            assert runway(BurnMemory.decode(memory.encode()), metrics, at) == runway(memory, metrics, at)
