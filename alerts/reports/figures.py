"""Figures: opening and closing available, and what lies between, in cents that add up.

    opening available + credits − withdrawn − spent + unexplained = closing available

Everything is a whole number of cents in micro-dollars, so rounded that each row is the difference of the rounded levels
around it: every column adds up to what is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from alerts.model.money import MICROUSD_PER_CENT
from alerts.model.readings import Known, Metrics
from alerts.reports.credits import CardCharge, CardReturn, Credit, Rise, Withdrawal, pair, withdraw
from alerts.reports.past import NOISE_MICROUSD, AccountPast, Edge, Jump

RETURN_WITHIN = timedelta(hours=24)
"""A rise that undoes a fall of the same size so soon, and that no charge explains, ends a wrong reading."""


def to_cents(microusd: int) -> int:
    """Return micro-dollars rounded half up to whole cents, on either side of zero."""
    return (microusd + MICROUSD_PER_CENT // 2) // MICROUSD_PER_CENT * MICROUSD_PER_CENT


@dataclass(frozen=True, slots=True)
class Figures:
    """The money of a statement. Raises ValueError where it does not balance.

    `balance_closing` and `pending_closing` say what the closing available consists of.
    """

    opening: int
    credits: tuple[Credit, ...]
    withdrawn: tuple[Withdrawal, ...]
    spent: int
    unexplained: int
    closing: int
    balance_closing: int
    pending_closing: int | None

    def __post_init__(self) -> None:
        if self.opening + self.credited - self.taken - self.spent + self.unexplained != self.closing:
            raise ValueError("a statement that does not balance")

    @property
    def credited(self) -> int:
        return sum(credit.amount_microusd for credit in self.credits)

    @property
    def topped_up(self) -> int:
        return sum(credit.amount_microusd for credit in self.credits if credit.charge is not None)

    @property
    def taken(self) -> int:
        """Credits that the provider took back for refunds and disputes."""
        return sum(one.amount_microusd for one in self.withdrawn)

    @property
    def off(self) -> int:
        """What is unexplained beyond the provider's own rounding: anything but zero deserves a question."""
        return self.unexplained if abs(self.unexplained) > NOISE_MICROUSD else 0


@dataclass(frozen=True, slots=True)
class DayRow:
    """What was spent on a day (by its first instant), and what was available at its end."""

    start: datetime
    spent: int
    available: int


class _Walk:
    """Goes over edges and jumps once, in order of time; spend is a difference, jumps are set apart."""

    def __init__(self, opening: Known) -> None:
        self.level = opening
        self.spent = 0
        self.resets = 0
        self.by_total = opening.metrics.total_charged_microusd is not None
        self.rises: list[Rise] = []
        self.falls: list[tuple[datetime, int]] = []

    def go_to(self, known: Known) -> None:
        """Go on to a level before which nothing jumped."""
        one, two = self.level.metrics, known.metrics
        if one.accrued_microusd is not None and two.accrued_microusd is not None:
            self.spent += two.accrued_microusd - one.accrued_microusd
        else:
            self.by_total = False
            self.spent -= _available(two) - _available(one)
        self.level = known

    def jump(self, jump: Jump) -> None:
        if jump.before.at > self.level.at:
            self.go_to(jump.before)
        one, two = self.level.metrics, jump.after.metrics
        moved = _available(two) - _available(one)
        change = self._change(one, two, moved)
        self.spent += change - moved
        if change > 0:
            self.rises.append(Rise(jump.after.at, change))
        elif change < 0:
            self.falls.append((jump.after.at, -change))
        self.level = jump.after

    def _change(self, one: Metrics, two: Metrics, moved: int) -> int:
        """How much of a step is a credit (or one taken back); the rest of it is usage."""
        funded, funded_now = one.funded_microusd, two.funded_microusd
        if funded is None or funded_now is None:
            self.by_total = False
            return max(0, (two.balance_microusd or 0) - (one.balance_microusd or 0))
        if (two.total_charged_microusd or 0) - (one.total_charged_microusd or 0) < -NOISE_MICROUSD:
            self.resets += 1
            return max(0, moved)
        return funded_now - funded


def _available(metrics: Metrics) -> int:
    return metrics.available_microusd or 0


@dataclass(frozen=True, slots=True)
class Computed:
    """The figures with their days, the returns that no withdrawal shows yet, and what a reader must know of them."""

    figures: Figures
    days: tuple[DayRow, ...]
    notes: tuple[str, ...]


def compute(
    past: AccountPast, charges: Sequence[CardCharge], returns: Sequence[CardReturn], edges: Sequence[Edge]
) -> Computed | None:
    """Return the figures of a past. `edges` are its known levels in order, two at least; None without a balance."""
    levels = [one for one in edges if one.known is not None and one.known.metrics.balance_microusd is not None]
    if len(levels) < 2 or levels[0].known is None:
        return None
    walk = _Walk(levels[0].known)
    jumps = list(past.jumps)
    ends: list[tuple[Edge, int]] = [(levels[0], 0)]
    for edge in levels[1:]:
        assert edge.known is not None, "levels are known"
        while jumps and jumps[0].after.at <= edge.at:
            walk.jump(jumps.pop(0))
        walk.go_to(edge.known)
        ends.append((edge, walk.spent))
    return _computed(walk, ends, past, charges, returns)


def _computed(
    walk: _Walk,
    ends: Sequence[tuple[Edge, int]],
    past: AccountPast,
    charges: Sequence[CardCharge],
    returns: Sequence[CardReturn],
) -> Computed:
    by_total = walk.by_total and past.by_total
    credits, used_meanwhile = pair(walk.rises, charges, by_total=by_total)
    withdrawn, undone = _explain_falls(walk, list(returns))
    credits += [Credit(rise.at, rise.left) for rise in walk.rises if rise.left > NOISE_MICROUSD]
    credits.sort(key=lambda one: (one.at, one.charge is None))
    spent = walk.spent + used_meanwhile
    opening, closing = _metrics(ends[0][0]), _metrics(ends[-1][0])
    figures = _rounded(opening, closing, credits, withdrawn, spent)
    notes = []
    if walk.resets:
        notes.append("the provider's running total ran backwards; usage is counted on from its new base")
    if not by_total:
        notes.append("the provider tells no running total: rises of the balance count as credits, falls as usage")
    if undone:
        notes.append("a reading that was wrong for a while, and undone by a later one, counts as nothing")
    return Computed(figures, _days(ends, figures.spent), tuple(notes))


def _explain_falls(walk: _Walk, returns: list[CardReturn]) -> tuple[list[Withdrawal], int]:
    """Explain falls by refunds and disputes; one that a rise without a charge undoes soon was a wrong reading."""
    withdrawn: list[Withdrawal] = []
    undone = 0
    for at, amount in walk.falls:
        found = withdraw((at, amount), returns)
        if found is not None:
            withdrawn.append(found)
            continue
        for rise in walk.rises:
            if timedelta() <= rise.at - at <= RETURN_WITHIN and abs(rise.left - amount) <= NOISE_MICROUSD:
                rise.left = 0
                undone += 1
                break
    return withdrawn, undone


def _rounded(
    opening: Metrics, closing: Metrics, credits: Sequence[Credit], withdrawn: Sequence[Withdrawal], spent: int
) -> Figures:
    """Each row as the difference of the rounded levels around it: none is a cent off, the sum not at all."""
    level = start = _available(opening)
    steps = [one.amount_microusd for one in credits] + [-one.amount_microusd for one in withdrawn] + [-spent]
    cents = []
    for step in steps:
        cents.append(to_cents(level + step) - to_cents(level))
        level += step
    shown = tuple(
        Credit(one.at, amount, one.charge) for one, amount in zip(credits, cents[: len(credits)], strict=True)
    )
    taken = tuple(
        Withdrawal(one.at, -amount, one.cause) for one, amount in zip(withdrawn, cents[len(credits) : -1], strict=True)
    )
    end = to_cents(_available(closing))
    return Figures(
        opening=to_cents(start),
        credits=shown,
        withdrawn=taken,
        spent=-cents[-1],
        unexplained=end - to_cents(level),
        closing=end,
        balance_closing=to_cents(closing.balance_microusd or 0),
        pending_closing=None if closing.uncharged_microusd is None else to_cents(closing.uncharged_microusd),
    )


def _days(ends: Sequence[tuple[Edge, int]], total: int) -> tuple[DayRow, ...]:
    """The spend between neighbouring edges in cents that add up to the total; the last day takes what rounding left."""
    rows = []
    before = 0
    for number in range(1, len(ends)):
        (start, _), (end, spent) = ends[number - 1], ends[number]
        until = total if number == len(ends) - 1 else to_cents(spent)
        rows.append(DayRow(start.at, until - before, to_cents(_available(_metrics(end)))))
        before = until
    return tuple(rows)


def _metrics(edge: Edge) -> Metrics:
    assert edge.known is not None, "an edge of the figures is known"
    return edge.known.metrics
