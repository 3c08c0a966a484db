"""The report as a ledger journal (hledger's syntax): usage, charges, credits, refunds, each balanced.

Each account begins with its opening and ends with its closing against `equity`, so that the journals of many periods
can be read one after the other; the closing asserts that nothing is left.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from alerts.reports.figures import Figures
from alerts.reports.sheet import money
from alerts.reports.statements import Statement
from alerts.reports.totals import first_tag

_OTHER_THAN_A_NAME = re.compile(r"[^\w .-]+|\s{2,}")
_Posting = tuple[str, int]


def to_journal(statements: Sequence[Statement], title: str, zone: ZoneInfo) -> str:
    """Return the journal of the statements that hold money, in order of time within each account."""
    units = sorted({_symbol(one.unit) for one in statements if one.figures is not None})
    head = [f"; {_plain(title)}", *(f"commodity 1,000.00 {unit}" for unit in units)]
    bodies = ["\n".join(_transactions(one, zone)) for one in statements]
    return "\n".join([*head, *(body for body in bodies if body)]) + "\n"


def _transactions(one: Statement, zone: ZoneInfo) -> Iterator[str]:
    unit = _symbol(one.unit)
    name, card = _plain(one.account.id), "liabilities:card"
    prepaid, transit = f"assets:prepaid:{name}", f"assets:in transit:{name}"
    usage = f"expenses:usage:{_plain(first_tag(one))}:{name}"
    found: list[tuple[datetime, str, list[_Posting]]] = []
    for charge in one.card.charges:
        words = f"charge {charge.topup} {charge.payment_intent}"
        found.append((charge.charged_at, words, [(transit, charge.amount_microusd), (card, -charge.amount_microusd)]))
    for gone in one.card.returns:
        words = f"{gone.kind} {gone.topup} {gone.payment_intent}"
        found.append((gone.at, words, [(card, gone.amount_microusd), (transit, -gone.amount_microusd)]))
    figures = one.figures
    if figures is not None:
        found += _of_balance(figures, prepaid, transit)
        if figures.spent:
            found.append((one.span.end, f"usage {name}", [(usage, figures.spent), (prepaid, -figures.spent)]))
    for at, words, postings in sorted(found, key=lambda entry: entry[0]):
        inside = min(max(at, one.span.start), one.span.end - timedelta(seconds=1))
        yield _entry(inside.astimezone(zone).date().isoformat(), words, postings, unit)
    if figures is not None:
        last = (one.span.end - timedelta(seconds=1)).astimezone(zone).date().isoformat()
        closing = [(prepaid, -figures.closing), ("equity:opening and closing", figures.closing)]
        yield _entry(last, f"closing {name}", closing, unit, empties=prepaid)


def _of_balance(figures: Figures, prepaid: str, transit: str) -> Iterator[tuple[datetime, str, list[_Posting]]]:
    """What the balance shows. The opening stands before all else, what is unexplained after it."""
    begin = datetime.min.replace(tzinfo=UTC)
    equity = "equity:opening and closing"
    yield begin, "opening", [(prepaid, figures.opening), (equity, -figures.opening)]
    for credit in figures.credits:
        source = transit if credit.charge is not None else "income:other credits"
        words = f"credit {credit.charge.topup}" if credit.charge is not None else "credit, no top-up of ours"
        yield credit.at, words, [(prepaid, credit.amount_microusd), (source, -credit.amount_microusd)]
    for taken in figures.withdrawn:
        words = f"withdrawn after {taken.cause.kind} {taken.cause.topup}"
        yield taken.at, words, [(transit, taken.amount_microusd), (prepaid, -taken.amount_microusd)]
    if figures.unexplained:
        off = figures.unexplained
        yield begin, "unexplained", [(prepaid, off), ("equity:unexplained", -off)]


def _entry(day: str, words: str, postings: Sequence[_Posting], unit: str, empties: str = "") -> str:
    lines = [f"\n{day} {words}"]
    for account, micro in postings:
        empty = f" = 0.00 {unit}" if account == empties else ""
        lines.append(f"    {account}  {money(micro)} {unit}{empty}")
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Text as part of an account's name, or of a comment: one line, nothing that the syntax takes for its own."""
    return " ".join(_OTHER_THAN_A_NAME.sub(" ", text).split()) or "unnamed"


def _symbol(unit: str) -> str:
    return unit if unit.isalpha() else f'"{unit}"'
