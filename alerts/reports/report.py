"""Reports: the mail that carries statements, as HTML, plain text and CSV, with what still needs a person.

Pure: statements and facts come in, text goes out. Instants are shown in the report's zone, and the zone is named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from alerts.model.spans import Span
from alerts.reports.pictures import Picture
from alerts.reports.sheet import to_csv
from alerts.reports.statements import Statement
from alerts.reports.views import (
    AccountView,
    ReportFigure,
    SummaryView,
    account_view,
    counted,
    day_and_time,
    summary_view,
)
from alerts.templating import Templates


@dataclass(frozen=True, slots=True)
class OpenAlert:
    """An episode that is open when the report is made."""

    account: str
    rule: str
    severity: str
    since: datetime
    says: str
    """The event it told last, in its wire name."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """A top-up that a person must know of: capped, suspended, not credited, to be reviewed."""

    account: str
    at: datetime
    says: str
    do: str = ""
    """The command to type, where there is one."""


@dataclass(frozen=True, slots=True)
class DeadDelivery:
    """An event that its receiver never took, after all attempts."""

    receiver: str
    event_type: str
    event: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """What a report says."""

    report: str
    span: Span
    zone: ZoneInfo
    made_at: datetime
    statements: tuple[Statement, ...]
    alerts: tuple[OpenAlert, ...] = ()
    blocked: tuple[Blocked, ...] = ()
    dead: tuple[DeadDelivery, ...] = ()
    preview: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """A report ready to send or to write. `stem` names its files: `finance-2026-10`."""

    subject: str
    html: str
    text: str
    csv: str | None
    stem: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True, slots=True)
class _Attention:
    title: str
    lines: tuple[tuple[str, str, str], ...]
    """When, what, what to do."""


def build(
    facts: ReportFacts, *, templates: Templates, pictures: Mapping[str, Picture], with_csv: bool, link: str = "cid:"
) -> Report:
    """Return the report of `facts`. `pictures` are charts by account id; an account without one is told in numbers.

    `link` goes before a picture's name: `cid:` in a mail, nothing beside files on the disk.
    """
    summary = summary_view(facts.statements, facts.zone)
    views = tuple(account_view(statement, facts.zone) for statement in facts.statements)
    values = {
        "facts": facts,
        "title": f"Usage statement, {facts.span.title}",
        "range": _range(facts),
        "zone": facts.zone.key,
        "made_at": day_and_time(facts.made_at, facts.zone),
        "summary": summary,
        "views": views,
        "figures": _figures(views, pictures, link),
        "attention": _attention(facts),
    }
    return Report(
        subject=_subject(facts, summary),
        html=templates.mail_html("report.html.j2", values),
        text=templates.text("report.txt.j2", values),
        csv=to_csv(facts.statements, facts.zone) if with_csv else None,
        stem=f"{facts.report}-{facts.span.key}",
        pictures=tuple(pictures[v.id] for v in views if v.id in pictures),
    )


def _figures(views: Sequence[AccountView], pictures: Mapping[str, Picture], link: str) -> dict[str, ReportFigure]:
    return {
        view.id: ReportFigure(f"{link}{pictures[view.id].cid}", pictures[view.id].alt)
        for view in views
        if view.id in pictures
    }


def _subject(facts: ReportFacts, summary: SummaryView) -> str:
    start = "Preview: " if facts.preview else ""
    told = f"{summary.used} used" if summary.used else counted(len(facts.statements), "account")
    cards = f", {summary.card_charges}" if summary.card_charges else ""
    open_ends = " — does not balance by itself" if summary.unexplained else ""
    return f"{start}Usage statement {facts.span.title}: {told}{cards}{open_ends}"


def _range(facts: ReportFacts) -> str:
    return f"{day_and_time(facts.span.start, facts.zone)} – {day_and_time(facts.span.end, facts.zone)}"


def _attention(facts: ReportFacts) -> tuple[_Attention, ...]:
    zone = facts.zone
    groups = (
        _Attention(
            "Open alerts",
            tuple(
                (day_and_time(a.since, zone), f"{a.account}: {a.says} ({a.severity}, rule {a.rule})", "")
                for a in facts.alerts
            ),
        ),
        _Attention(
            "Top-ups that need a person",
            tuple((day_and_time(b.at, zone), f"{b.account}: {b.says}", b.do) for b in facts.blocked),
        ),
        _Attention(
            "Messages that never arrived",
            tuple(
                (day_and_time(d.at, zone), f"{d.event_type} to {d.receiver}", f"brimful deliveries replay {d.event}")
                for d in facts.dead
            ),
        ),
    )
    return tuple(group for group in groups if group.lines)
