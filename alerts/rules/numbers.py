"""Numbers that several events carry, by their wire names: amounts of a unit as JSON numbers without float noise."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Protocol

from alerts.model.events import JsonValue
from alerts.model.instants import rfc3339
from alerts.model.money import to_number
from alerts.model.units import with_older_names
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
    """A forecast instant with its range; None lies beyond the forecast."""

    @property
    def earliest_at(self) -> datetime | None: ...
    @property
    def likely_at(self) -> datetime | None: ...
    @property
    def latest_at(self) -> datetime | None: ...


def span(ahead: Foreseen | None) -> dict[str, JsonValue] | None:
    """Return a forecast instant as its earliest, likely and latest; null if none of them is known."""
    if ahead is None or not (ahead.earliest_at or ahead.likely_at or ahead.latest_at):
        return None
    return {
        "earliest": moment(ahead.earliest_at),
        "likely": moment(ahead.likely_at),
        "latest": moment(ahead.latest_at),
    }


def to_the_cent(microusd: int) -> int | float:
    """Return an estimate as dollars with two places: more digits would claim a false precision."""
    return to_number((microusd + 5_000) // 10_000 * 10_000)


def up_to_the_cent(micro: int) -> int | float:
    """Return a projection as units with two places, rounded up: one above a limit never reads as the limit."""
    return to_number(-(-micro // 10_000) * 10_000)


def money_numbers(view: RuleView, **lines: int | None) -> Payload:
    """What is there, and the lines that it is compared with, in the account's unit; `unit` names it."""
    metrics = view.metrics
    figures = {
        "balance": money(metrics.balance_microusd),
        "uncharged": money(metrics.uncharged_microusd),
        "available": money(metrics.available_microusd),
        **{name: money(line) for name, line in lines.items()},
    }
    return dict(with_older_names(view.context.info.unit, figures))


def burn_numbers(view: RuleView) -> Payload:
    """What burns, by which basis, and how long the available balance lasts by it."""
    found = view.burn()
    burns = {"burn_per_day": None if found is None else to_the_cent(found.microusd_per_day)}
    return {
        **with_older_names(view.context.info.unit, burns),
        "days_remaining": number(view.days_remaining()),
        "basis": None if found is None else found.basis,
        "partial": found is not None and found.partial,
    }


def topup_numbers(view: RuleView) -> dict[str, JsonValue]:
    topup = view.topup()
    return {"state": topup.state, "reason": topup.reason, "id": topup.id}
