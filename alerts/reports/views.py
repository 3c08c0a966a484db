"""What a report shows, as words and formatted numbers: the templates only lay it out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from alerts.model.money import format_gb, format_usd, from_cents, percent_of
from alerts.reports.balances import Cents, Money
from alerts.reports.credits import CardCharge
from alerts.reports.statements import Statement, Volume


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a statement. `kind`: "edge" (opening, closing), "step", "sum", "note", "warn"."""

    label: str
    amount: str
    kind: str = "step"
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ChargeRow:
    paid_at: str
    topup: str
    payment_intent: str
    amount: str
    credited: str


@dataclass(frozen=True, slots=True)
class ReportFigure:
    source: str
    alt: str


@dataclass(frozen=True, slots=True)
class AccountView:
    id: str
    name: str
    provider: str
    partial: str
    """Why the numbers do not cover the whole period; empty where they do."""
    notes: tuple[str, ...]
    money: tuple[Row, ...]
    usage: tuple[Row, ...]
    charges: tuple[ChargeRow, ...]
    others: tuple[Row, ...]
    volume: tuple[Row, ...]
    rests_on: str


@dataclass(frozen=True, slots=True)
class SummaryLine:
    name: str
    opening: str
    credits: str
    charged: str
    unexplained: str
    closing: str
    partial: bool


@dataclass(frozen=True, slots=True)
class SummaryView:
    """All prepaid accounts on one table. The total is the sum of the very cents that are shown above it."""

    lines: tuple[SummaryLine, ...]
    total: SummaryLine | None
    used: str
    """Usage of the period over all prepaid accounts; empty without any."""
    charged_to_cards: str
    card_charges: str
    """`2 card charges of $100.00 in all`; empty without any."""
    unexplained: str
    """The difference that nothing explains; empty where everything balances."""


def usd(cents: int) -> str:
    return format_usd(from_cents(cents))


def day_and_time(instant: datetime, zone: ZoneInfo) -> str:
    """Return `1 Oct 2026, 00:00 CEST`."""
    local = instant.astimezone(zone)
    return f"{local.day} {local:%b %Y, %H:%M} {local:%Z}"


def summary_view(statements: Sequence[Statement], zone: ZoneInfo) -> SummaryView:
    """Return the table of all accounts that hold money, with its total."""
    prepaid = [(s, s.money.cents) for s in statements if s.money is not None]
    charges = [c for s in statements for c in s.charges]
    charged_to_cards = format_usd(sum(c.amount_microusd for c in charges))
    return SummaryView(
        lines=tuple(_line(s.account.name, (c,), bool(s.partial)) for s, c in prepaid),
        total=_line("Total", [c for _, c in prepaid], any(s.partial for s, _ in prepaid)) if len(prepaid) > 1 else None,
        used=usd(sum(c.used for _, c in prepaid)) if prepaid else "",
        charged_to_cards=charged_to_cards,
        card_charges=f"{counted(len(charges), 'card charge')} of {charged_to_cards} in all" if charges else "",
        unexplained=usd(sum(c.off for _, c in prepaid)) if any(c.off for _, c in prepaid) else "",
    )


def _line(name: str, cents: Iterable[Cents], partial: bool) -> SummaryLine:
    rows = list(cents)
    unexplained = sum(c.unexplained for c in rows)
    return SummaryLine(
        name=name,
        opening=usd(sum(c.opening for c in rows)),
        credits=usd(sum(c.topups + c.other_credits for c in rows)),
        charged=usd(-sum(c.charged for c in rows)),
        unexplained=usd(unexplained) if unexplained else "",
        closing=usd(sum(c.closing for c in rows)),
        partial=partial,
    )


def account_view(statement: Statement, zone: ZoneInfo) -> AccountView:
    """Return one account's part of the report."""
    money = statement.money
    since, until = statement.since, statement.until
    rests_on = "no reading in the period"
    if since is not None and until is not None:
        rests_on = (
            f"{counted(statement.readings, 'reading')}, {day_and_time(since, zone)} to {day_and_time(until, zone)}"
        )
    return AccountView(
        id=statement.account.id,
        name=statement.account.name,
        provider=statement.account.provider,
        partial="; ".join(statement.partial),
        notes=statement.notes,
        money=_money_rows(money) if money else (),
        usage=_usage_rows(money.cents) if money else (),
        charges=tuple(_charge_row(c, statement, zone) for c in _all_charges(statement)),
        others=_other_rows(money, zone) if money else (),
        volume=_volume_rows(statement.volume, zone) if statement.volume else (),
        rests_on=rests_on,
    )


def _all_charges(statement: Statement) -> list[CardCharge]:
    """Charged in the span, credited in it, or still on the way: each once, oldest first."""
    credited = [c.charge for c in statement.money.credits if c.charge] if statement.money else []
    every = {c.topup: c for c in (*statement.charges, *credited, *statement.in_transit)}
    return sorted(every.values(), key=lambda c: (c.paid_at, c.topup))


def _money_rows(money: Money) -> tuple[Row, ...]:
    cents = money.cents
    topups = sum(1 for c in money.credits if c.charge is not None)
    others = sum(1 for c in money.credits if c.charge is None)
    rows = [Row("Opening balance", usd(cents.opening), "edge")]
    if topups or not others:
        rows.append(Row("Top-ups", usd(cents.topups), detail=counted(topups, "charge") if topups else ""))
    if others:
        rows.append(Row("Other credits", usd(cents.other_credits), detail=counted(others, "credit")))
    rows.append(Row("Usage charged", usd(-cents.charged)))
    if cents.off:
        rows.append(Row("Unexplained difference", usd(cents.off), "warn", "neither usage nor credit explains it"))
    elif cents.unexplained:
        rows.append(Row("Rounding of the provider", usd(cents.unexplained), "note"))
    rows.append(Row("Closing balance", usd(cents.closing), "edge"))
    return tuple(rows)


def _usage_rows(cents: Cents) -> tuple[Row, ...]:
    if cents.pending_closing is None:
        return ()
    return (
        Row("Usage charged in the period", usd(cents.charged)),
        Row("plus accrued at its end, not yet charged", usd(cents.pending_closing)),
        Row("less accrued before it", usd(-(cents.pending_opening or 0))),
        Row("Usage of the period", usd(cents.used), "sum"),
        Row("Available at its end", usd(cents.available), "note", "closing balance less accrued"),
    )


def _charge_row(charge: CardCharge, statement: Statement, zone: ZoneInfo) -> ChargeRow:
    seen = None
    if statement.money is not None:
        seen = next((c.at for c in statement.money.credits if c.charge is charge), None)
    if seen is not None:
        credited = day_and_time(seen, zone)
    elif charge in statement.in_transit:
        credited = "not in the closing balance"
    else:
        credited = day_and_time(charge.credited_at, zone) if charge.credited_at else "not seen"
    return ChargeRow(
        paid_at=day_and_time(charge.paid_at, zone),
        topup=charge.topup,
        payment_intent=charge.payment_intent,
        amount=format_usd(charge.amount_microusd),
        credited=credited,
    )


def _other_rows(money: Money, zone: ZoneInfo) -> tuple[Row, ...]:
    return tuple(
        Row(f"Credit seen {day_and_time(c.at, zone)}", format_usd(c.amount_microusd), detail="no top-up of ours")
        for c in money.credits
        if c.charge is None
    )


def _volume_rows(volume: Volume, zone: ZoneInfo) -> tuple[Row, ...]:
    rows: list[Row] = []

    def say(label: str, microgb: int | None, kind: str = "step", detail: str = "") -> None:
        if microgb is not None:
            rows.append(Row(label, format_gb(microgb), kind, detail))

    say("Used at the start", volume.used_opening, "edge")
    say("Added in the period", volume.added)
    say("Used at the end", volume.used_closing, "edge")
    say("Reserved by running jobs", volume.reserved_closing)
    part = ""
    if volume.limit and volume.effective_closing is not None:
        part = f"{percent_of(volume.effective_closing, volume.limit)} % of the limit"
    say("Effective (used and reserved)", volume.effective_closing, "sum", part)
    say("Highest effective", volume.effective_peak, "note")
    say("Limit", volume.limit, "note")
    if volume.period_used is not None:
        detail = ""
        if volume.period_start_at is not None and volume.period_end_at is not None:
            one, two = volume.period_start_at.astimezone(zone), volume.period_end_at.astimezone(zone)
            detail = f"{one.day} {one:%b %Y} – {two.day} {two:%b %Y}"
        say("Transferred in the provider's billing period", volume.period_used, "note", detail)
    return tuple(rows)


def counted(number: int, noun: str) -> str:
    """Return `1 charge`, `1,200 charges`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
