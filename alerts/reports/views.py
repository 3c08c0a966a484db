"""What a report shows, as words and formatted numbers: the templates only lay it out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from alerts.model.units import USD
from alerts.reports.account_view import AccountDetail, account_detail
from alerts.reports.amounts import amount
from alerts.reports.facts import OpenAlert, ReportFacts
from alerts.reports.movements import MovementLine, movements
from alerts.reports.pictures import Picture
from alerts.reports.statements import Statement
from alerts.reports.totals import TagTotal, Totals, by_tag, percent, totals, unit_price
from alerts.reports.wording import counted, day, day_and_time, in_zone

DETAILED = 6
"""Up to so many accounts the mail shows each one's statement; of more, a line each, and the rest in the files."""
BUDGETS_LISTED = 12
"""Budgets that the mail shows, the fullest first."""
LISTED = 40
"""Rows of one kind that the mail shows; the files have them all."""


@dataclass(frozen=True, slots=True)
class HeadFigure:
    """One of the four figures of the first screen. `tone`: "good", "bad" or empty."""

    label: str
    value: str
    detail: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class BudgetBar:
    account: str
    rule: str
    spent: str
    limit: str
    percent: int
    says: str
    over: bool

    @property
    def filled(self) -> int:
        """The bar's filled part in percent."""
        return max(1, min(100, self.percent))


@dataclass(frozen=True, slots=True)
class AccountLine:
    """One account's line. `mark` says in a word what is wrong, empty where nothing is."""

    name: str
    spent: str
    charged: str
    left: str
    mark: str


@dataclass(frozen=True, slots=True)
class TagLine:
    tag: str
    accounts: str
    spent: str
    share: str
    net: str


@dataclass(frozen=True, slots=True)
class Attention:
    title: str
    lines: tuple[tuple[str, str, str], ...]
    """When, what, what to do."""


@dataclass(frozen=True, slots=True)
class ReportView:
    subject: str
    title: str
    preheader: str
    range: str
    zone: str
    made_at: str
    currency: str
    head: tuple[HeadFigure, ...]
    others: tuple[str, ...]
    """The totals of other units, a sentence each."""
    issues: tuple[str, ...]
    changes: tuple[str, ...]
    """Why spend changed: price, volume, and every price that changed."""
    budgets: tuple[BudgetBar, ...]
    trouble: tuple[tuple[str, str], ...]
    tags: tuple[TagLine, ...]
    accounts: tuple[AccountLine, ...]
    total: AccountLine | None
    movements: tuple[MovementLine, ...]
    more_movements: int
    net: str
    attention: tuple[Attention, ...]
    details: tuple[AccountDetail, ...]
    pictures: tuple[tuple[str, str], ...]
    """Source and alternative text of the charts that stand outside of an account's detail."""


def report_view(facts: ReportFacts, pictures: Mapping[str, Picture], link: str) -> ReportView:
    """Return what the mail shows."""
    every = totals(facts.statements)
    main = every[0] if every else None
    money = [one for one in facts.statements if one.figures is not None or one.card.charges]
    issues = tuple(f"{one.account.name}: {issue.says}" for one in facts.statements for issue in one.issues)
    detailed = facts.statements if len(facts.statements) <= DETAILED else ()
    head = _head(main, facts, issues)
    rows = sorted((row for one in facts.statements for row in movements(one, facts.zone)), key=lambda row: row.at)
    inside = {one.account.id for one in detailed}
    return ReportView(
        subject=_subject(facts, main),
        title=f"Usage statement, {facts.span.title}",
        preheader=". ".join(f"{one.label} {one.value}" for one in head) + ".",
        range=f"{day_and_time(facts.span.start, facts.zone)} – {day_and_time(facts.span.end, facts.zone)}",
        zone=facts.zone.key,
        made_at=day_and_time(facts.made_at, facts.zone),
        currency=_currency(every),
        head=head,
        others=tuple(_other_unit(one) for one in every[1:]),
        issues=issues[:LISTED],
        changes=_changes(facts, main),
        budgets=_budgets(facts.statements),
        trouble=_trouble(facts),
        tags=_tags([one for one in money if main is not None and one.unit == main.unit], main),
        accounts=tuple(_line(one) for one in sorted(facts.statements, key=lambda one: (-one.spent, one.account.name))),
        total=_total(main) if main is not None and len(money) > 1 else None,
        movements=tuple(rows[:LISTED]),
        more_movements=max(0, len(rows) - LISTED),
        net=amount(main.net, main.unit) if main is not None else "",
        attention=_attention(facts),
        details=tuple(account_detail(one, facts.zone, pictures.get(one.account.id), link) for one in detailed),
        pictures=tuple((f"{link}{one.cid}", one.alt) for key, one in pictures.items() if key not in inside),
    )


# ── the first screen ────────────────────────────────────────────────────────────────────────────────────────────────


def _head(main: Totals | None, facts: ReportFacts, issues: Sequence[str]) -> tuple[HeadFigure, ...]:
    if main is None:
        return ()

    def say(micro: int) -> str:
        return amount(micro, main.unit)

    off = HeadFigure("Does not add up", say(main.off), counted(len(issues), "difference"), "bad")
    over = main.budget is not None and main.budgeted > main.budget
    gone = f", {say(main.returned)} went back" if main.returns else ""
    days = "nothing was spent" if main.days_left is None else f"{counted(main.days_left, 'day')} at this pace"
    return (
        HeadFigure("Spent", say(main.spent), _spent_against(main, facts), "bad" if over else ""),
        HeadFigure("Charged to card", say(main.net), f"{counted(main.charges, 'charge')}{gone}"),
        HeadFigure("Left", say(main.left), days, "bad" if main.left <= 0 else ""),
        off if issues else HeadFigure("Adds up", "to the cent", _adds_up(main, facts), "good"),
    )


def _spent_against(main: Totals, facts: ReportFacts) -> str:
    said = []
    if main.budget is not None:
        share = f"{percent(main.budgeted, main.budget)} % of the {amount(main.budget, main.unit)} budget"
        part = "" if main.budgeted == main.spent else f"{amount(main.budgeted, main.unit)} of it has a budget: "
        said.append(f"{part}{share}")
    if main.before is not None:
        change = main.spent - main.before
        word = "more than" if change > 0 else "less than" if change < 0 else "as in"
        size = f"{amount(abs(change), main.unit)} " if change else ""
        said.append(f"{size}{word} {facts.title_before}")
    return "; ".join(said)


def _adds_up(main: Totals, facts: ReportFacts) -> str:
    partial = sum(bool(one.partial) for one in facts.statements)
    matched = f"{counted(main.charges, 'charge')} and their credits agree" if main.charges else "no card was charged"
    return f"{matched}; {counted(partial, 'account')} partial" if partial else matched


def _subject(facts: ReportFacts, main: Totals | None) -> str:
    start = "Preview: " if facts.preview else ""
    if main is None:
        return f"{start}Usage statement {facts.span.title}: {counted(len(facts.statements), 'account')}"
    cards = f", {amount(main.net, main.unit)} charged to card" if main.charges or main.returns else ""
    off = f" — {amount(main.off, main.unit)} does not add up" if main.off else ""
    return f"{start}Usage statement {facts.span.title}: {amount(main.spent, main.unit)} spent{cards}{off}"


def _currency(every: Sequence[Totals]) -> str:
    units = ["US dollars (USD)" if one.unit == USD else one.unit for one in every]
    return (
        f"Amounts are in {' and '.join(units)}, never added across."
        if len(units) > 1
        else "".join(f"All amounts are in {unit}." for unit in units)
    )


def _other_unit(one: Totals) -> str:
    return f"{amount(one.spent, one.unit)} spent, {amount(one.left, one.unit)} left, {counted(one.accounts, 'account')}"


def _changes(facts: ReportFacts, main: Totals | None) -> tuple[str, ...]:
    said = []
    if main is not None and main.price is not None and main.volume is not None:
        parts = [f"{amount(abs(part))} {'more' if part >= 0 else 'less'} by {word}"
                 for part, word in ((main.volume, "volume"), (main.price, "price"))]  # fmt: skip
        said.append(f"Against {facts.title_before}: {', '.join(parts)}.")
    for one in facts.statements:
        for change in one.prices:
            old, new = unit_price(change.old_microusd), unit_price(change.new_microusd)
            said.append(f"{one.account.name}: a unit costs {new} instead of {old} from {day(change.at, facts.zone)}.")
    return tuple(said[:LISTED])


# ── budgets, trouble, cost centres, accounts ────────────────────────────────────────────────────────────────────────


def _budgets(statements: Sequence[Statement]) -> tuple[BudgetBar, ...]:
    bars = []
    for one in statements:
        for budget in one.budgets:
            part, over = percent(one.spent, budget.limit), one.spent - budget.limit
            left = f"{amount(over, one.unit)} over" if over > 0 else f"{amount(-over, one.unit)} left"
            limit, spent = amount(budget.limit, one.unit), amount(one.spent, one.unit)
            bars.append(BudgetBar(one.account.name, budget.rule, spent, limit, part, f"{part} %, {left}", over > 0))
    return tuple(sorted(bars, key=lambda bar: -bar.percent)[:BUDGETS_LISTED])


def _trouble(facts: ReportFacts) -> tuple[tuple[str, str], ...]:
    """Accounts in trouble, and why; those first that do not add up."""
    found: dict[str, list[str]] = {}
    for one in sorted(facts.statements, key=lambda one: not one.issues):
        why = [issue.says for issue in one.issues]
        if one.figures is not None and one.figures.closing <= 0:
            why.append(f"{amount(one.figures.closing, one.unit)} left")
        if one.budget is not None and one.spent > one.budget:
            why.append(f"{amount(one.spent - one.budget, one.unit)} over budget")
        refused = sum(refusal.count for refusal in one.card.refusals)
        if refused:
            gates = ", ".join(sorted({refusal.gate for refusal in one.card.refusals}))
            why.append(f"{counted(refused, 'refused charge')} ({gates})")
        if one.card.declines:
            why.append(f"{counted(len(one.card.declines), 'declined charge')}")
        found[one.account.name] = why
    for alert in facts.alerts:
        if alert.until is None:
            found.setdefault(alert.account, []).append(f"{alert.rule} open ({alert.severity})")
    named = [(name, "; ".join(dict.fromkeys(why))) for name, why in found.items() if why]
    return tuple(named[:LISTED])


def _tags(money: Sequence[Statement], main: Totals | None) -> tuple[TagLine, ...]:
    groups = by_tag(money)
    if main is None or len(groups) < 2:
        return ()
    return tuple(_tag(one, main) for one in groups)


def _tag(one: TagTotal, main: Totals) -> TagLine:
    share = f"{percent(one.spent, main.spent)} %"
    return TagLine(one.tag, f"{one.accounts:,}", amount(one.spent, main.unit), share, amount(one.net, main.unit))


def _line(one: Statement) -> AccountLine:
    figures = one.figures
    mark = "does not add up" if one.issues else "partial" if one.partial else ""
    if figures is None:
        volume = one.volume
        used = (
            ""
            if volume is None or volume.effective_closing is None
            else _gb(volume.effective_closing, volume.limit, one.account.quota_unit)
        )
        return AccountLine(one.account.name, used, "", "", mark)
    net = one.charged - one.returned
    charged = amount(net, one.unit) if one.card.charges or one.card.returns else ""
    return AccountLine(one.account.name, amount(one.spent, one.unit), charged, amount(figures.closing, one.unit), mark)


def _gb(effective: int, limit: int | None, unit: str) -> str:
    whole = f" of {limit // 1_000_000:,}" if limit else ""
    return f"{effective // 1_000_000:,}{whole} {unit}"


def _total(main: Totals) -> AccountLine:
    return AccountLine(
        "Total", amount(main.spent, main.unit), amount(main.net, main.unit), amount(main.left, main.unit), ""
    )


# ── what needs a person ─────────────────────────────────────────────────────────────────────────────────────────────


def _attention(facts: ReportFacts) -> tuple[Attention, ...]:
    zone = facts.zone
    still = [a for a in facts.alerts if a.until is None]
    ended = [a for a in facts.alerts if a.until is not None]
    groups = (
        Attention(
            "Alerts open at the period's end",
            tuple((day_and_time(a.since, zone), _alert(a, zone, f"{a.severity}, "), "") for a in still),
        ),
        Attention(
            "Top-ups that need a person",
            tuple((day_and_time(b.at, zone), f"{b.account}: {in_zone(b.says, zone)}", b.do) for b in facts.blocked),
        ),
        Attention(
            "Messages that never arrived",
            tuple(
                (day_and_time(d.at, zone), f"{d.event_type} to {d.receiver}", f"brimful deliveries replay {d.event}")
                for d in facts.dead
            ),
        ),
        Attention(
            "Alerts that ended in the period",
            tuple((day_and_time(a.since, zone), _alert(a, zone), "") for a in ended),
        ),
    )
    return tuple(Attention(group.title, group.lines[:LISTED]) for group in groups if group.lines)


def _alert(alert: OpenAlert, zone: ZoneInfo, before: str = "") -> str:
    return f"{alert.account}: {in_zone(alert.says, zone)} ({before}rule {alert.rule})"
