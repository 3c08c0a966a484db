"""The numbers that several events carry, in their wire names: dollars and gigabytes as JSON numbers without noise."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Protocol

from alerts.model.events import JsonValue
from alerts.model.instants import rfc3339
from alerts.model.money import to_number
from alerts.rules.view import Payload, RuleView


def money(microusd: int | None) -> int | float | None:
    """Return micro-units as a JSON number, None as null."""
    return None if microusd is None else to_number(microusd)


def number(value: Decimal | None) -> int | float | None:
    """Return a decimal of at most six places as the shortest JSON number: 92.0 is 92, 1.98 is 1.98; None as null."""
    return None if value is None else to_number(int(value.scaleb(6)))


def moment(instant: datetime | None) -> str | None:
    """Return an instant as RFC 3339, None as null."""
    return None if instant is None else rfc3339(instant)


class Foreseen(Protocol):
    """An instant that is foreseen with a range; None is one that is not within sight."""

    @property
    def earliest_at(self) -> datetime | None: ...
    @property
    def likely_at(self) -> datetime | None: ...
    @property
    def latest_at(self) -> datetime | None: ...


def span(ahead: Foreseen | None) -> dict[str, JsonValue] | None:
    """Return a foreseen instant as its earliest, likely and latest; null where none of them is known."""
    if ahead is None or not (ahead.earliest_at or ahead.likely_at or ahead.latest_at):
        return None
    return {
        "earliest": moment(ahead.earliest_at),
        "likely": moment(ahead.likely_at),
        "latest": moment(ahead.latest_at),
    }


def to_the_cent(microusd: int) -> int | float:
    """Return an estimate as dollars of two places: more would claim what nobody knows."""
    return to_number((microusd + 5_000) // 10_000 * 10_000)


def up_to_the_cent(micro: int) -> int | float:
    """Return a projection as units of two places, rounded up: one that is above a limit never reads as the limit."""
    return to_number(-(-micro // 10_000) * 10_000)


def money_numbers(view: RuleView) -> Payload:
    metrics = view.metrics
    return {
        "balance_usd": money(metrics.balance_microusd),
        "uncharged_usage_usd": money(metrics.uncharged_microusd),
        "available_usd": money(metrics.available_microusd),
    }


def burn_numbers(view: RuleView) -> Payload:
    """What burns, by which basis, and how long the available balance lasts by it."""
    found = view.burn()
    return {
        "burn_usd_per_day": None if found is None else to_the_cent(found.microusd_per_day),
        "days_remaining": number(view.days_remaining()),
        "basis": None if found is None else found.basis,
        "partial": found is not None and found.partial,
    }


def topup_numbers(view: RuleView) -> dict[str, JsonValue]:
    topup = view.topup()
    return {"state": topup.state, "reason": topup.reason, "id": topup.id}
