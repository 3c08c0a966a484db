"""Totals over statements: within a unit only, by account and by cost centre. Amounts in micro-units, whole cents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from alerts.model.money import MICRO, format_usd
from alerts.model.units import USD
from alerts.reports.credits import CardReturn
from alerts.reports.statements import Statement, price_and_volume

NO_TAG = "no tag"


@dataclass(frozen=True, slots=True)
class Totals:
    """The sums of the statements of one unit. `budgeted` is what was spent where a budget stands."""

    unit: str
    accounts: int
    spent: int
    before: int | None
    """What was spent in the period before, where every account that was read then is known."""
    budget: int | None
    budgeted: int
    charged: int
    charges: int
    returned: int
    returns: int
    left: int
    days_left: int | None
    """How many days what is left lasts at the period's pace; None where nothing was spent."""
    off: int
    """The sum of the amounts that do not add up, each without its sign."""
    price: int | None
    volume: int | None

    @property
    def net(self) -> int:
        """What the card paid in the end: charges less refunds and disputes."""
        return self.charged - self.returned


@dataclass(frozen=True, slots=True)
class TagTotal:
    """A cost centre: accounts by their first tag."""

    tag: str
    accounts: int
    spent: int
    net: int
    left: int


def totals(statements: Sequence[Statement]) -> tuple[Totals, ...]:
    """Return the totals of the statements that hold money, one a unit, the largest spend first; dollars lead."""
    units = dict.fromkeys(one.unit for one in statements if one.figures is not None or one.card.charges)
    found = [_of_unit(unit, [one for one in statements if one.unit == unit]) for unit in units]
    return tuple(sorted(found, key=lambda one: (one.unit != USD, -one.spent, one.unit)))


def _of_unit(unit: str, statements: Sequence[Statement]) -> Totals:
    money = [one for one in statements if one.figures is not None]
    spent = sum(one.spent for one in money)
    known = [one.before.spent for one in money if one.before is not None]
    limits = [(one.budget, one.spent) for one in money if one.budget is not None]
    left = sum(one.figures.closing for one in money if one.figures is not None)
    parts = [part for one in money if (part := price_and_volume(one.spent, one.units, one.before)) is not None]
    charges = [charge for one in statements for charge in one.card.charges]
    returns = _returns(statements)
    return Totals(
        unit=unit,
        accounts=len(money),
        spent=spent,
        before=sum(known) if known else None,
        budget=sum(limit for limit, _ in limits) if limits else None,
        budgeted=sum(used for _, used in limits),
        charged=sum(one.amount_microusd for one in charges),
        charges=len(charges),
        returned=sum(one.amount_microusd for one in returns),
        returns=len(returns),
        left=left,
        days_left=_days(left, spent, _length(money)),
        off=sum(abs(issue.amount) for one in statements for issue in one.issues),
        price=sum(price for price, _ in parts) if parts else None,
        volume=sum(volume for _, volume in parts) if parts else None,
    )


def _returns(statements: Sequence[Statement]) -> list[CardReturn]:
    return [one for statement in statements for one in statement.card.returns]


def _length(statements: Sequence[Statement]) -> timedelta:
    """How long the period has lasted."""
    ends = [min(one.span.end, one.made_at) - one.span.start for one in statements]
    return max(ends, default=timedelta())


def _days(left: int, spent: int, length: timedelta) -> int | None:
    if spent <= 0 or length <= timedelta():
        return None
    return max(0, left) * (length // timedelta(seconds=1)) // (spent * 86_400)


def by_tag(statements: Sequence[Statement]) -> tuple[TagTotal, ...]:
    """Return the cost centres of one unit's statements, the largest spend first; their sums are the total's."""
    money = [one for one in statements if one.figures is not None or one.card.charges]
    groups: dict[str, list[Statement]] = {}
    for one in money:
        groups.setdefault(first_tag(one), []).append(one)
    found = [
        TagTotal(
            tag=tag,
            accounts=len(some),
            spent=sum(one.spent for one in some),
            net=sum(one.charged - one.returned for one in some),
            left=sum(one.figures.closing for one in some if one.figures is not None),
        )
        for tag, some in groups.items()
    ]
    return tuple(sorted(found, key=lambda one: (-one.spent, one.tag)))


def first_tag(statement: Statement) -> str:
    """Return the cost centre of an account: its first tag."""
    return statement.account.tags[0] if statement.account.tags else NO_TAG


def spend_by_day(statements: Sequence[Statement]) -> tuple[tuple[datetime, int], ...]:
    """Return what was spent on each day over all statements, in order."""
    found: dict[datetime, int] = {}
    for one in statements:
        for row in one.days:
            start = max(row.start, one.span.start)
            found[start] = found.get(start, 0) + row.spent
    return tuple(sorted(found.items()))


def percent(part: int, whole: int) -> int:
    """Return `part` in whole percent of `whole`, rounded down; 0 of nothing."""
    return part * 100 // whole if whole > 0 else 0


def unit_price(micro: int) -> str:
    """Return the price of one unit, with as many decimals as it has, two at least."""
    places = next(n for n in range(2, 7) if micro % 10 ** (6 - n) == 0)
    return format_usd(micro, places) if micro < MICRO else format_usd(micro)
