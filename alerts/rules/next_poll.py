"""When an account with `poll = "auto"` is polled next: a 240th of the time until anything can happen to it. Pure.

What lasts ten days is polled hourly. Until what is left shrinks to `PARTS` times the shortest interval no breach of a
level can lie between two polls: the account would have to burn `PARTS` times its known pace. Then it is polled as often
as is allowed. What is unknown, doubtful or not yet confirmed is polled so at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from hashlib import blake2b

from msgspec import Struct

from alerts.forecast.burn import burn
from alerts.forecast.hourly import DAY_MS, HOUR_MS, Hourly
from alerts.forecast.memory import MILLISECOND, spent_over
from alerts.model.accounts import AccountInfo
from alerts.model.instants import EPOCH
from alerts.model.polling import AutoPoll
from alerts.model.readings import Known, Metrics
from alerts.model.specs import Budget, LowBalance, Measure, Period, Quota, RuleSpec, Runway, Spike, Stale
from alerts.rules.budget import counts_money, limit_of, unit_of
from alerts.rules.builtin import READING
from alerts.rules.quota import FULL_PERCENT
from alerts.rules.state import NEW_RULE, AccountState

PARTS = 240
"""Ten days in hours; four hours in minutes. More of them would ask for polls that no burst needs."""
HISTORY_PARTS = 24
"""An account that is known for a day is polled hourly at most, a younger one more often."""
WINDOW_PARTS = 3
"""A spike is looked for, and silence is broken, so often within what the rule looks at."""
OUTAGE_PARTS = 96
"""A provider that has failed for a day is asked each quarter of an hour."""
RETRY = timedelta(minutes=5)
"""A poll that failed is repeated after so long, unless the account is polled more often."""
SPREAD_PARTS = 8
"""The polls of accounts that are alike part: each is earlier by up to an eighth, by its id."""
_WINDOWS = (timedelta(hours=1), timedelta(days=1), timedelta(days=7))
_JUDGED = (
    "balance_microusd",
    "uncharged_microusd",
    "used_microgb",
    "reserved_microgb",
    "effective_said_microgb",
)
"""What levels are made of: while one is reported and unusable, nothing is known."""


class PollTerms(Struct, frozen=True, gc=False):
    """What counts of an account: the rules that cover it, and below what it is topped up (None: it is not)."""

    info: AccountInfo
    rules: tuple[RuleSpec, ...]
    topup_below_microusd: int | None = None


class NextPoll(Struct, frozen=True, gc=False):
    """When an account is polled next. `interval`: before it is spread. `why`: a clause for a person."""

    at: datetime
    interval: timedelta
    why: str


class _Limit(Struct, frozen=True, gc=False):
    """One reason for a poll within so many milliseconds."""

    within_ms: int
    why: str


def next_poll(auto: AutoPoll, terms: PollTerms, state: AccountState, polled_at: datetime) -> NextPoll:
    """Return the next poll of an account whose last one, at `polled_at`, left it in `state`."""
    fastest_ms, slowest_ms = auto.fastest // MILLISECOND, auto.slowest // MILLISECOND
    levels = sorted(_levels(terms, state, polled_at), key=lambda limit: limit.within_ms)
    limits = (*levels, _Limit(slowest_ms, "nothing is near"), *_others(terms, state, polled_at, fastest_ms))
    nearest = min(limits, key=lambda limit: min(limit.within_ms, slowest_ms))
    if state.outage is not None:
        failed_ms = (polled_at - state.outage.since) // MILLISECOND
        within_ms = max(min(nearest.within_ms, RETRY // MILLISECOND), failed_ms // OUTAGE_PARTS)
        nearest = _Limit(within_ms, f"unreadable for {_lasts(failed_ms)}")
    interval_ms = min(max(nearest.within_ms, fastest_ms), slowest_ms)
    spread_ms = interval_ms * _number(terms.info.id) // (SPREAD_PARTS << 16)
    at = polled_at + max(interval_ms - spread_ms, fastest_ms) * MILLISECOND
    return NextPoll(at, interval_ms * MILLISECOND, nearest.why)


def last_polled_at(state: AccountState) -> datetime:
    """Return when the account was polled last, as far as its state tells; the epoch where it never was."""
    at = EPOCH if state.last is None else state.last.at
    return at if state.outage is None else max(at, state.outage.last_at)


def _number(account: str) -> int:
    return int.from_bytes(blake2b(account.encode(), digest_size=2).digest(), "big")


def _lasts(ms: int) -> str:
    if ms >= 365 * DAY_MS:
        return "over a year"
    for unit, unit_ms in (("days", DAY_MS), ("h", HOUR_MS)):
        if ms >= 2 * unit_ms:
            return f"{ms // unit_ms} {unit}"
    return f"{max(ms, 0) // 60_000} min"


# ── levels: what is left until one is reached ───────────────────────────────────────────────────────────────────────


def _levels(terms: PollTerms, state: AccountState, now: datetime) -> Iterator[_Limit]:
    """Yield a limit for each level that usage can still reach, by the fastest pace that is known."""
    known = state.last
    if known is None:
        return
    per_day = _spend_pace(state, known.metrics, now)
    for rule in terms.rules:
        if isinstance(rule, Quota):
            yield from _quota_level(rule, state, known.metrics, now)
        elif isinstance(rule, Budget):
            yield from _budget_level(rule, terms, state, known.metrics, now, per_day)
    for room, name in _balance_rooms(terms, known.metrics):
        yield from _reached(room, per_day, name)
    yield from _runways(terms, state, known, now, per_day)


def _reached(room: int, per_day: int, name: str, before_ms: int = 0) -> Iterator[_Limit]:
    """Yield the limit of a level that so much is left to, or nothing where it is passed or nothing moves.

    `before_ms`: so long before it is reached something is to be told.
    """
    if room < 0 or (room and per_day <= 0):
        return
    ms = max(room * DAY_MS // per_day - before_ms, 0) if room else 0
    yield _Limit(ms // PARTS, f"{_lasts(ms)} to {name}")


def _pace(counter: Hourly | None, now: datetime) -> int:
    """Return the fastest pace of the last hour, day and week, a day's worth of micro-units, rounded up."""
    fastest = 0
    if counter is not None:
        for window in _WINDOWS:
            grown, known_ms = spent_over(counter, window, now)
            if known_ms > 0:
                fastest = max(fastest, -(-grown * DAY_MS // known_ms))
    return fastest


def _spend_pace(state: AccountState, metrics: Metrics, now: datetime) -> int:
    return max(_pace(state.burn.spend, now), metrics.scheduled_burn_microusd_per_day or 0)


def _balance_rooms(terms: PollTerms, metrics: Metrics) -> Iterator[tuple[int, str]]:
    """Yield what may be spent before each level of the balance, and the level's name."""
    available = metrics.available_microusd
    if available is None:
        return
    if available > 0:
        yield available, "an empty balance"
    if terms.topup_below_microusd is not None:
        yield max(available - terms.topup_below_microusd, 0), "the top-up"
    for rule in terms.rules:
        if isinstance(rule, LowBalance) and rule.unit in (None, terms.info.unit):
            # what is pending is taken off the balance at any moment
            measured = available if rule.measure is Measure.AVAILABLE else min(available, metrics.balance_microusd or 0)
            yield measured - rule.below_microusd, rule.id


def _runways(terms: PollTerms, state: AccountState, known: Known, now: datetime, per_day: int) -> Iterator[_Limit]:
    available = known.metrics.available_microusd
    for rule in terms.rules:
        if isinstance(rule, Runway) and available is not None and not _is_open(state, rule):
            found = burn(state.burn, known.metrics, now)
            pace = max(per_day, found.microusd_per_day if found is not None else 0)
            yield from _reached(max(available, 0), pace, rule.id, int(rule.below_days * DAY_MS))


def _quota_level(rule: Quota, state: AccountState, metrics: Metrics, now: datetime) -> Iterator[_Limit]:
    """Yield the limit of the next step, counted from the highest reservation of the last day: it may come again."""
    limit, effective = metrics.limit_microgb, metrics.effective_microgb
    if not limit or effective is None:
        return
    per_day, reserve = _pace(state.burn.used, now), state.burn.reserve
    highest = max(effective, (metrics.used_microgb or 0) + (reserve.peak if reserve is not None else 0))
    step = next((percent for percent in rule.at_percent if effective * 100 < limit * percent), None)
    if step is not None:
        yield from _reached(max(int(limit * step / 100) - highest, 0), per_day, f"{rule.id} ({step} %)")
    if rule.forecast_days is not None and not _is_open(state, rule):
        yield from _reached(max(limit - highest, 0), per_day, rule.id, int(rule.forecast_days * DAY_MS))


def _budget_level(
    rule: Budget, terms: PollTerms, state: AccountState, metrics: Metrics, now: datetime, spend_per_day: int
) -> Iterator[_Limit]:
    """Yield the limit of the next step. Where a projection is told, the limit is one: it is passed before its end."""
    spent = None if state.spend is None else state.spend.over(rule.period)
    if spent is None or unit_of(rule, terms.info, metrics) is None:
        return
    of_money, limit = counts_money(rule, metrics), limit_of(rule)
    amount = spent.microusd if of_money else spent.microgb
    if not of_money and rule.period is Period.BILLING and metrics.period_used_microgb is not None:
        amount = metrics.period_used_microgb
    passed_ms = (now - spent.since) // MILLISECOND
    mean = -(-amount * DAY_MS // passed_ms) if passed_ms > 0 else 0
    per_day = max(spend_per_day if of_money else _pace(state.burn.used, now), mean)
    steps = (*rule.at_percent, FULL_PERCENT) if rule.projected else rule.at_percent
    step = min((percent for percent in steps if amount * 100 < limit * percent), default=None)
    if step is not None:
        yield from _reached(max(int(limit * step / 100) - amount, 0), per_day, f"{rule.id} ({step} %)")


# ── what else is waited for ─────────────────────────────────────────────────────────────────────────────────────────


def _others(terms: PollTerms, state: AccountState, now: datetime, fastest_ms: int) -> Iterator[_Limit]:
    """Yield what does not depend on the pace: doubt, open alerts, ends of periods, what a rule looks at."""
    if state.last is None or state.spend is None:
        yield _Limit(0, "never read")
        return
    if state.last.metrics.is_unusable(*_JUDGED):
        yield _Limit(0, "what is left is not known")
    if state.falls.dropped_at is not None or state.falls.risen_microusd is not None:
        yield _Limit(0, "a change is to be confirmed")
    if state.falls.fallen_since is not None:
        yield _since(state.falls.fallen_since, now, "a fall")
    yield from _open_alerts(terms, state, now)
    known_ms = (now - state.spend.first_at) // MILLISECOND
    yield _Limit(known_ms // HISTORY_PARTS, f"known for {_lasts(known_ms)}")
    for rule in terms.rules:
        if isinstance(rule, Spike):
            yield _Limit(rule.window // MILLISECOND // WINDOW_PARTS, f"{rule.id} looks at the last hours")
        elif isinstance(rule, Stale) and rule.after is not None:
            yield _Limit(rule.after // MILLISECOND // WINDOW_PARTS, f"{rule.id} waits for readings")
        elif isinstance(rule, Budget) and (period := state.spend.over(rule.period)) is not None and period.end > now:
            # a last reading in the period, and a first one after it: what was spent between them is in doubt
            until_ms = (period.end - now) // MILLISECOND
            yield _Limit(until_ms - fastest_ms, f"{rule.id} begins anew in {_lasts(until_ms)}")


def _open_alerts(terms: PollTerms, state: AccountState, now: datetime) -> Iterator[_Limit]:
    """Yield a limit for each open alert, whose end is to be seen: the longer it has been open, the later.

    Not for a budget, which ends with its period, nor for silence, which ends with any reading.
    """
    silent = {READING, *(rule.id for rule in terms.rules if isinstance(rule, Stale | Budget))}
    for id, memory in state.rules.items():
        if memory.breaches:
            yield _Limit(0, f"{id} is to be confirmed")
        elif memory.episode is not None and id not in silent:
            yield _since(memory.episode.opened_at, now, id)


def _since(at: datetime, now: datetime, name: str) -> _Limit:
    ms = (now - at) // MILLISECOND
    return _Limit(ms // PARTS, f"{name} open for {_lasts(ms)}")


def _is_open(state: AccountState, rule: RuleSpec) -> bool:
    return state.rules.get(rule.id, NEW_RULE).episode is not None
