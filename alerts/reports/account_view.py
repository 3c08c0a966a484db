"""One account's part of a report, as words and formatted numbers."""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from alerts.model.money import percent_of
from alerts.reports.amounts import amount
from alerts.reports.amounts import volume as shown_volume
from alerts.reports.figures import Figures
from alerts.reports.pictures import Picture
from alerts.reports.statements import Statement, Volume
from alerts.reports.wording import counted, day_and_time


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One line of a statement. `kind`: "edge" (opening, closing), "step", "sum", "note", "warn"."""

    label: str
    amount: str
    kind: str = "step"
    detail: str = ""


@dataclass(frozen=True, slots=True)
class AccountDetail:
    id: str
    name: str
    provider: str
    partial: str
    """Why the numbers do not cover the whole period; empty where they do."""
    notes: tuple[str, ...]
    money: tuple[ReportRow, ...]
    volume: tuple[ReportRow, ...]
    rests_on: str
    picture: tuple[str, str] | None
    """The chart's source and its alternative text."""


def account_detail(one: Statement, zone: ZoneInfo, picture: Picture | None, link: str) -> AccountDetail:
    """Return one account's part of the report."""
    rests_on = "no reading in the period"
    if one.since is not None and one.until is not None:
        span = f"{day_and_time(one.since, zone)} to {day_and_time(one.until, zone)}"
        rests_on = f"{counted(one.readings, 'reading')}, {span}"
    return AccountDetail(
        id=one.account.id,
        name=one.account.name,
        provider=one.account.provider,
        partial="; ".join(one.partial),
        notes=one.notes,
        money=() if one.figures is None else _money_rows(one.figures, one.unit, zone),
        volume=() if one.volume is None else _volume_rows(one.volume, one.account.quota_unit, zone),
        rests_on=rests_on,
        picture=None if picture is None else (f"{link}{picture.cid}", picture.alt),
    )


def _money_rows(figures: Figures, unit: str, zone: ZoneInfo) -> tuple[ReportRow, ...]:
    def say(micro: int) -> str:
        return amount(micro, unit)

    topups = [one for one in figures.credits if one.charge is not None]
    rows = [ReportRow("Available at the start", say(figures.opening), "edge")]
    if topups:
        rows.append(ReportRow("Top-ups", say(figures.topped_up), detail=counted(len(topups), "charge")))
    rows += [
        ReportRow("Other credit", say(one.amount_microusd), detail=f"{day_and_time(one.at, zone)}, no top-up of ours")
        for one in figures.credits
        if one.charge is None
    ]
    rows += [
        ReportRow("Taken back", say(-one.amount_microusd), detail=f"{one.cause.kind} of {one.cause.topup}")
        for one in figures.withdrawn
    ]
    rows.append(ReportRow("Spent", say(-figures.spent)))
    if figures.off:
        rows.append(
            ReportRow("Unexplained difference", say(figures.off), "warn", "neither usage nor credit explains it")
        )
    elif figures.unexplained:
        rows.append(ReportRow("Rounding of the provider", say(figures.unexplained), "note"))
    rows.append(ReportRow("Available at the end", say(figures.closing), "edge"))
    if figures.pending_closing is not None:
        parts = f"balance {say(figures.balance_closing)} less {say(figures.pending_closing)} not yet deducted"
        rows.append(ReportRow("of that", "", "note", parts))
    return tuple(rows)


def _volume_rows(volume: Volume, unit: str, zone: ZoneInfo) -> tuple[ReportRow, ...]:
    rows: list[ReportRow] = []

    def say(label: str, microgb: int | None, kind: str = "step", detail: str = "") -> None:
        if microgb is not None:
            rows.append(ReportRow(label, shown_volume(microgb, unit), kind, detail))

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
