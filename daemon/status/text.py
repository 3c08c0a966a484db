"""What is said of an account, in lines for a person: `status` prints them, the local page shows them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from functools import partial
from zoneinfo import ZoneInfo

from alerts.model.money import format_amount, format_usd, show_amount
from alerts.model.readings import Metrics
from daemon.status.overview import Overview
from daemon.status.polls import next_poll_words
from daemon.store.reading_rows import OutageRun

_TENTH = Decimal("0.1")


def has_money(one: Overview) -> bool:
    """Whether the account has a balance."""
    return one.known is not None and one.known.metrics.available_microusd is not None


def lines(one: Overview, zone: ZoneInfo) -> Iterator[tuple[str, str]]:
    """Yield a label and its words; a line that goes on has no label of its own."""
    if one.outage is not None:
        yield "unreadable", outage_words(one.outage, zone)
    if one.known is not None and one.is_old:
        yield "old", f"all that follows is of the last reading, {local(one.known.at, zone)}"
    if one.known is not None:
        yield from _money_lines(one, zone)
    words = quota_words(one, short=False)
    if words:
        yield "quota", words
        if one.quota is not None and one.quota.fill is not None and one.quota.fill.effective.likely_at is not None:
            yield "", f"full about {local(one.quota.fill.effective.likely_at, zone)}"
    for number_, month in enumerate(month_words(one, short=False)):
        yield "this month" if not number_ else "", month
    if one.known is not None and one.known.metrics.billing_error is not None:
        yield "billing", f"the provider says: {one.known.metrics.billing_error}"
    if one.known is not None and one.known.metrics.unusable:
        yield "not used", not_used(one.known.metrics)
    if not one.episodes:
        yield "alerts", "none"
    for number_, episode in enumerate(one.episodes):
        since = local(episode.opened_at, zone)
        yield "" if number_ else "alerts", f"{episode.rule} ({episode.severity.value}) since {since}: {episode.why}"
    yield "top-up", topup_words(one)
    if one.next_poll is not None:
        yield "polled", next_poll_words(one.next_poll, one.now, zone)


def outage_words(outage: OutageRun, zone: ZoneInfo) -> str:
    """Return why an account cannot be read, how often it was tried, and since when."""
    detail = f" ({outage.detail})" if outage.detail else ""
    polls = f"{outage.count} polls" if outage.count > 1 else "1 poll"
    return f"{outage.reason.value}{detail}, {polls} since {local(outage.first_at, zone)}"


def not_used(metrics: Metrics) -> str:
    """What the provider said and cannot be used, as a clause each."""
    return "; ".join(words for _, words in metrics.unusable)


def _money_lines(one: Overview, zone: ZoneInfo) -> Iterator[tuple[str, str]]:
    assert one.known is not None
    metrics, unit = one.known.metrics, one.account.unit
    if metrics.balance_microusd is not None:
        uncharged = metrics.uncharged_microusd
        available = left(metrics.available_microusd, unit)
        pending = "" if uncharged is None else f", {amount(uncharged, unit)} pending: {available} available"
        yield "balance", f"{left(metrics.balance_microusd, unit)}{pending}"
    if one.burn is not None:
        in_part = ", less than a day of history" if one.burn.partial else ""
        yield "burn", f"{amount(one.burn.microusd_per_day, unit)} a day ({one.burn.basis}{in_part})"
    if one.days_remaining is not None:
        yield "days left", f"{days_words(one.days_remaining)}{_runs_out(one, zone)}"
    if one.estimate is not None:
        days = "" if one.estimate.days is None else f", {one.estimate.days} days"
        yield "", f"the provider's own estimate, of the whole balance: {one.estimate.snapshots:,} snapshots{days}"


def _runs_out(one: Overview, zone: ZoneInfo) -> str:
    ends = one.runway
    if ends is None or ends.likely_at is None:
        return ""
    if ends.earliest_at is None or ends.latest_at is None:
        return f", runs out about {local(ends.likely_at, zone)}"
    early, late = local(ends.earliest_at, zone), local(ends.latest_at, zone)
    return f", runs out between {early} and {late} (8 times in 10)"


def quota_words(one: Overview, *, short: bool) -> str:
    """Return the volume against its limit, nothing where there is none."""
    quota, unit = one.quota, one.account.quota_unit
    if quota is None:
        return ""
    if quota.limit_microgb is None:
        unknown = one.known is not None and one.known.metrics.is_unusable("limit_microgb")
        return f"{format_amount(quota.effective_microgb, unit)}, {'limit unknown' if unknown else 'no limit'}"
    effective, limit = quota.effective_microgb, quota.limit_microgb
    whole = f"{show_amount(effective, unit, limit)} of {show_amount(limit, unit, effective)} ({quota.percent} %)"
    if short or not quota.reserved_microgb:
        return whole
    return f"{whole}, {format_amount(quota.reserved_microgb, unit)} of it reserved"


def month_words(one: Overview, *, short: bool) -> list[str]:
    """Month spend, beside every budget of the account."""
    words = []
    for line in one.budgets:
        form = partial(_beside, line.unit)
        ahead = "" if line.projection is None else f", projected {form(line.projection.likely, line.limit)}"
        period = "" if line.period.value == "month" else f" this {_PERIODS[line.period.value]}"
        in_part = ", partial" if line.partial else ""
        spent = f"{form(line.spent, line.limit)} of {form(line.limit, line.spent)}"
        words.append(f"{spent}{period} ({line.percent} %{ahead}{in_part})")
    if not any(line.period.value == "month" for line in one.budgets) and one.month is not None:
        why = " (partial)" if short else " (partial: history begins inside the month)"
        in_part = why if one.month.partial else ""
        if has_money(one):
            words.insert(0, f"{format_amount(one.month.microusd, one.account.unit)} spent{in_part}")
        elif one.quota is not None:
            words.insert(0, f"{format_amount(one.month.microgb, one.account.quota_unit)} used{in_part}")
    return words


def _beside(unit: str, micro: int, *beside: int) -> str:
    return show_amount(micro, unit, *beside)


_PERIODS = {"day": "day", "week": "week", "quarter": "quarter", "billing": "billing period"}


def topup_words(one: Overview) -> str:
    """Return how the account's top-ups stand."""
    topup = one.topup
    if topup is None:
        return "none configured"
    if topup.state == "none":
        return f"none open; charges when below {format_usd(topup.when_below_microusd)}"
    name = topup.state if topup.id is None else f"{topup.state}, {topup.id}"
    return f"{name}: {topup.reason}" if topup.reason else name


def read_words(one: Overview) -> str:
    """Return how long ago the account was read."""
    age = one.age
    return "never read" if age is None else f"read {age_words(age)} ago{' (old)' if one.is_old else ''}"


def age_words(age: timedelta) -> str:
    """Return a time in its largest unit that says enough."""
    seconds = age // timedelta(seconds=1)
    if seconds < 120:
        return f"{seconds} s"
    minutes = seconds // 60
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} d"


def amount(micro: int | None, unit: str) -> str:
    """Return an amount, or a dash where it is not known."""
    return "–" if micro is None else format_amount(micro, unit)


def left(micro: int | None, unit: str) -> str:
    """Return what is left, rounded down, or a dash where it is not known."""
    return "–" if micro is None else show_amount(micro, unit)


def days_words(days: Decimal | None) -> str:
    """Return days to one place, rounded down, or a dash where they are not known."""
    return "–" if days is None else str(days.quantize(_TENTH, ROUND_FLOOR))


def local(instant: datetime, zone: ZoneInfo) -> str:
    """Return an instant to the minute, in the zone."""
    return instant.astimezone(zone).strftime("%Y-%m-%d %H:%M")
