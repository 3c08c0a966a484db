"""Spend to the bound: where a period begins between two readings, moves, or is implausible."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from alerts.model.money import to_micro
from alerts.model.periods import PeriodBounds, begins_with, billing
from alerts.model.specs import LowBalance, Period, RuleIndex, Stale
from alerts.model.spend import SpendMemory, Spent
from alerts.model.values import replace
from alerts.rules.evaluation import Context
from alerts.rules.state import NO_TOPUP
from tests.helpers_alerts import Watched, metrics

ZONE = ZoneInfo("UTC")
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
HOUR, DAY, SECOND = timedelta(hours=1), timedelta(days=1), timedelta(seconds=1)


def began(**said: object) -> SpendMemory:
    return SpendMemory.begin(NOON, metrics(**said), ZONE)


def test_an_account_that_was_read_once_has_burnt_nothing() -> None:
    memory = began(total=100, used=10)
    assert (memory.money.value, memory.volume.value, memory.largest_burn_microusd_per_day) == (0, 0, 0)


def test_what_lies_over_a_days_silence_is_shared_out_between_the_days_evenly() -> None:
    """Of 54 hours 34 lie before the last midnight: that part of the money and of the volume is of the days before."""
    memory = began(total=100, used=10)
    memory = memory.fold(NOON + 2 * HOUR, metrics(total=102, used=14), ZONE)
    memory = memory.fold(NOON + 56 * HOUR, metrics(total=129, used=68), ZONE)
    midnight = datetime(2026, 11, 3, tzinfo=UTC)
    assert memory.over(Period.DAY) == Spent(to_micro(10), to_micro(20), midnight, midnight + DAY, midnight, True)


@pytest.mark.parametrize(("silent", "partial"), [(36 * HOUR, False), (36 * HOUR + SECOND, True)])
def test_a_reading_is_the_value_at_midnight_for_a_day_after_it_was_made(silent: timedelta, partial: bool) -> None:
    """The last reading is of a day before midnight, or of a second more than that."""
    midnight = datetime(2026, 11, 3, tzinfo=UTC)
    memory = SpendMemory.begin(midnight + 12 * HOUR - silent, metrics(total=0), ZONE)
    memory = memory.fold(midnight + 12 * HOUR, metrics(total=10), ZONE)
    spent = memory.over(Period.DAY)
    assert spent is not None
    assert (spent.partial, spent.start) == (partial, midnight)
    assert (spent.microusd == to_micro(10)) is not partial


def test_a_providers_period_whose_start_is_put_earlier_is_counted_from_there() -> None:
    end = NOON + 20 * DAY
    memory = began(total=100, period_start_at=NOON - 3 * DAY, period_end_at=end)
    dates = {"period_start_at": NOON - 10 * DAY, "period_end_at": end}
    memory = memory.fold(NOON + HOUR, metrics(total=104, **dates), ZONE)
    spent = memory.over(Period.BILLING)
    assert spent is not None
    assert (spent.start, spent.partial) == (NOON - 10 * DAY, True)


def test_a_providers_period_of_up_to_400_days_is_accepted() -> None:
    longest = metrics(period_start_at=NOON, period_end_at=NOON + 400 * DAY)
    assert billing(longest) == PeriodBounds(NOON, NOON + 400 * DAY)
    assert billing(replace(longest, period_end_at=NOON + 400 * DAY + SECOND)) is None


@pytest.mark.parametrize(("length", "jitter"), [(30 * DAY, timedelta(minutes=10)), (HOUR, timedelta(seconds=36))])
def test_a_start_may_be_off_by_ten_minutes_and_a_hundredth_of_the_length(length: timedelta, jitter: timedelta) -> None:
    one = PeriodBounds(NOON, NOON + length)
    assert begins_with(one, PeriodBounds(NOON + jitter, NOON + jitter + length))
    assert begins_with(one, PeriodBounds(NOON - jitter, NOON - jitter + length))
    assert not begins_with(one, PeriodBounds(NOON + jitter + SECOND, NOON + jitter + SECOND + length))


def test_a_memory_that_was_written_before_is_read() -> None:
    """The text of a version that is out there: a reader of another number would forget what everyone has spent."""
    assert json.loads(began(total=1).encode())[0] == 1


class _Believing(Watched):
    """A topped-up account whose falls are believed after an hour."""

    def context(self) -> Context:
        return replace(super().context(), info=replace(self.info, believe_falls_after=HOUR))


def test_a_total_that_began_anew_counts_from_there_once_the_fall_is_accepted() -> None:
    account = _Believing()
    account.standing = NO_TOPUP
    account.read(balance=100, total=40)
    account.read(balance=100, total=0)
    account.read(balance=98, total=2)
    assert account.state.spend is not None
    assert account.state.spend.money.value == 0, "it may be a mistake, and all of it would be counted when it ends"
    account.read(HOUR, balance=97, total=3)
    assert account.state.falls.fallen_since is None
    account.read(balance=92, total=8)
    assert account.state.spend.money.value == to_micro(5)


def test_a_rule_covers_the_accounts_that_it_names_and_those_of_its_patterns() -> None:
    named = LowBalance(id="named", accounts=("clips", "media"), below_microusd=1, clear_above_microusd=2)
    glob = Stale(id="glob", accounts=("cl*",))
    every = Stale(id="every")
    index = RuleIndex([named, glob, every])
    assert index.covering("clips") == (named, glob, every)
    assert index.covering("media") == (named, every)
    assert index.covering("cloud") == (glob, every)
    assert index.covering("other") == (every,)
    assert index.covering("cloth") is index.covering("cloud")


def test_a_rule_that_names_an_account_and_matches_it_too_is_found_once_and_thousands_cost_little() -> None:
    both = Stale(id="both", accounts=("clips", "c[lo]ips", "c?ips"))
    many = [Stale(id=f"own-{n}", accounts=(f"a{n}",)) for n in range(10_000)]
    started = time.process_time()
    index = RuleIndex([*many, both])
    assert time.process_time() - started < 0.1
    assert index.covering("clips") == index.covering("coips") == (both,)
    assert index.covering("a77") == (many[77],)
