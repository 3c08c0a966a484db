"""Reports: the mail that carries statements, as HTML, plain text and tables, with what still needs a person.

Pure: statements and facts come in, text goes out. Instants are shown in the report's zone, and the zone is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from alerts.model.spans import Span
from alerts.reports.facts import ReportFacts
from alerts.reports.journal import to_journal
from alerts.reports.pictures import Picture
from alerts.reports.sheet import SheetTable, tables, to_csv
from alerts.reports.views import report_view
from alerts.templating import Templates


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes with the mail. `kind` is its media type."""

    name: str
    kind: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Extras:
    """Which files a report has, and what goes before a picture's name: `cid:` in a mail, nothing beside files."""

    csv: bool = True
    xlsx: bool = False
    journal: bool = False
    link: str = "cid:"


_EXTRAS = Extras()


@dataclass(frozen=True, slots=True)
class Report:
    """A report ready to send or to write. `stem` names its files: `finance-2026-10`."""

    subject: str
    html: str
    text: str
    stem: str
    attachments: tuple[Attachment, ...] = ()
    pictures: tuple[Picture, ...] = ()


def build(
    facts: ReportFacts, *, templates: Templates, pictures: Mapping[str, Picture], extras: Extras = _EXTRAS
) -> Report:
    """Return the report of `facts`. `pictures` are charts by account id, that of all accounts by the empty id."""
    view = report_view(facts, pictures, extras.link)
    return Report(
        subject=view.subject,
        html=templates.mail_html("report.html.j2", {"it": view, "facts": facts}),
        text=templates.text("report.txt.j2", {"it": view, "facts": facts}),
        stem=stem(facts.report, facts.span),
        attachments=tuple(_attachments(facts, extras)),
        pictures=tuple(pictures.values()),
    )


def stem(report: str, span: Span) -> str:
    """Return how the files of a report of a period begin."""
    return f"{report}-{span.key}"


def _attachments(facts: ReportFacts, extras: Extras) -> list[Attachment]:
    found: list[Attachment] = []
    name, title = stem(facts.report, facts.span), f"{facts.report}, {facts.span.title}"
    made: tuple[SheetTable, ...] = tables(facts.statements, facts.zone) if extras.csv or extras.xlsx else ()
    if extras.csv:
        found += [Attachment(f"{name}-{table.name}.csv", "text/csv", to_csv(table).encode()) for table in made]
    if extras.xlsx:
        from alerts.reports.workbook import XLSX, to_xlsx  # it takes a tenth of a second to load

        found.append(Attachment(f"{name}.xlsx", XLSX, to_xlsx(made, title, facts.made_at)))
    if extras.journal:
        journal = to_journal(facts.statements, title, facts.zone)
        found.append(Attachment(f"{name}.journal", "text/plain", journal.encode()))
    return found
