"""What the card paid against what the balance shows: a line a charge, refund, dispute, decline and refusal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from alerts.model.instants import rfc3339
from alerts.reports.amounts import amount
from alerts.reports.credits import CardCharge
from alerts.reports.statements import Statement
from alerts.reports.wording import calendar_day, day_and_time, in_zone

_BY_PERSON = ", on a person's word"
_LATE = " (became known only after its own period's report)"


@dataclass(frozen=True, slots=True)
class MovementLine:
    """A charge, refund, dispute, decline or refusal, with the credit that stands against it."""

    at: str
    """The instant or the day, for their order."""
    when: str
    account: str
    what: str
    reference: str
    amount: str
    credit: str
    link: str = ""
    bad: bool = False


def movements(one: Statement, zone: ZoneInfo) -> Iterator[MovementLine]:
    """Yield an account's lines: what was charged, what went back, what the bank declined, what a gate refused."""
    yield from _charges(one, zone)
    name, unit = one.account.name, one.unit
    for gone in one.card.returns:
        words = f"{gone.kind}{_LATE if gone.late else ''}"
        reference, size = f"{gone.topup} {gone.payment_intent}", amount(-gone.amount_microusd, unit)
        yield MovementLine(
            rfc3339(gone.at), day_and_time(gone.at, zone), name, words, reference, size, _taken(one, gone.topup, zone)
        )
    for no in one.card.declines:
        credit, reference = f"{amount(no.amount_microusd, unit)} not charged", f"{no.topup} {no.payment_intent}"
        when, words = day_and_time(no.at, zone), f"declined: {in_zone(no.reason, zone)}"
        yield MovementLine(rfc3339(no.at), when, name, words, reference, "", credit, bad=True)
    for refusal in one.card.refusals:
        words = f"refused {refusal.count:,}×: {in_zone(refusal.detail, zone)}"
        yield MovementLine(refusal.day, calendar_day(refusal.day), name, words, refusal.gate, "", "not charged")


def _charges(one: Statement, zone: ZoneInfo) -> Iterator[MovementLine]:
    unit = one.unit
    for charge in one.card.charges:
        words = f"charged{f' to {charge.card}' if charge.card else ''}{_LATE if charge.late else ''}"
        yield _line(one, charge, words, amount(charge.amount_microusd, unit), _credit(one, charge, zone), zone)
    for charge in one.card.earlier:
        if charge in one.missing:
            credit = f"{amount(charge.amount_microusd, unit)} never credited"
            yield _line(one, charge, "charged before this period", "", credit, zone)


def _line(one: Statement, charge: CardCharge, words: str, size: str, credit: str, zone: ZoneInfo) -> MovementLine:
    reference, bad = f"{charge.topup} {charge.payment_intent}", charge in one.missing
    when = day_and_time(charge.charged_at, zone)
    return MovementLine(
        rfc3339(charge.charged_at), when, one.account.name, words, reference, size, credit, charge.receipt, bad
    )


def _credit(one: Statement, charge: CardCharge, zone: ZoneInfo) -> str:
    if charge in one.missing:
        return "never credited"
    if charge.credited_at is None:
        return "credit on its way"
    return f"credited {day_and_time(charge.credited_at, zone)}{_BY_PERSON if charge.by_person else ''}"


def _taken(one: Statement, topup: str, zone: ZoneInfo) -> str:
    withdrawn = () if one.figures is None else one.figures.withdrawn
    seen = next((taken.at for taken in withdrawn if taken.cause.topup == topup), None)
    return "the credit was not taken back" if seen is None else f"taken back {day_and_time(seen, zone)}"
