"""`brimful report ID`: a report for any period, as files, on the terminal, or by mail."""

from __future__ import annotations

import asyncio
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.commands.common import NO, USAGE, fail, load_config, print_json, reading

if TYPE_CHECKING:
    from datetime import datetime

    from alerts.model.spans import Span
    from alerts.reports.report import Report
    from daemon.config.model import Config, ReportConfig


def register(app: typer.Typer) -> None:
    app.command()(report)


def report(
    context: typer.Context,
    report_id: Annotated[str, typer.Argument(metavar="ID", help="The report's id in the configuration.")],
    period: Annotated[
        str, typer.Option("--period", help="2026-10, 2026-W44 or 2026-10-31; by default the last that has ended.")
    ] = "",
    out: Annotated[Path | None, typer.Option("--out", help="The folder for HTML, text, CSV and charts.")] = None,
    send: Annotated[bool, typer.Option("--send", help="Send it by mail, also where it was sent before.")] = False,
    preview: Annotated[bool, typer.Option("--preview", help="Print the text; writes and sends nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done, or the statements, as JSON.")] = False,
) -> None:
    """Build a report for any period: files in a folder, text on the terminal, or a mail to its recipients."""
    from daemon.clock import SystemClock

    if preview and (send or out is not None):
        fail("--preview writes and sends nothing: leave out --send and --out", USAGE)
    config = load_config(context, secrets=send)
    chosen = _chosen(config, report_id)
    now = SystemClock().now()
    span = _span(config, chosen, period, now)
    if send:
        _send(config, chosen, span, now, as_json=as_json)
    elif preview:
        _preview(config, chosen, span, now, as_json=as_json)
    else:
        _write(config, chosen, span, now, out or Path(), as_json=as_json)


def _chosen(config: Config, report_id: str) -> ReportConfig:
    found = next((one for one in config.reports if one.id == report_id), None)
    if found is None:
        known = ", ".join(one.id for one in config.reports) or "none is configured"
        fail(f"there is no report {report_id!r}: {known}", USAGE)
    return found


def _span(config: Config, chosen: ReportConfig, period: str, now: datetime) -> Span:
    from alerts.model.spans import SpanKind, span_before, span_named

    if not period:
        return span_before(SpanKind(chosen.period.value), now, config.timezone)
    try:
        span = span_named(period, config.timezone)
    except ValueError as error:
        fail(str(error), USAGE)
    if span.start > now:
        fail(f"{span.title} has not begun", NO)
    return span


def _build(config: Config, chosen: ReportConfig, span: Span, now: datetime, *, preview: bool, link: str) -> Report:
    from jinja2 import TemplateError

    from alerts.templating import Templates
    from daemon.reports.facts import make_report

    templates = Templates(config.templates)
    with reading(config) as store:
        try:
            made = make_report(config, store, chosen, span, now, templates=templates, link=link, preview=preview)
            return asyncio.run(made)
        except TemplateError as error:
            fail(f"a template is wrong: {error}")


def _preview(config: Config, chosen: ReportConfig, span: Span, now: datetime, *, as_json: bool) -> None:
    if as_json:
        from daemon.reports.document import to_json
        from daemon.reports.facts import gather

        with reading(config) as store:
            print_json(to_json(gather(config, store.reader, chosen, span, now)))
        return
    typer.echo(_build(config, chosen, span, now, preview=True, link="cid:").text, nl=False)


def _write(config: Config, chosen: ReportConfig, span: Span, now: datetime, out: Path, *, as_json: bool) -> None:
    made = _build(config, chosen, span, now, preview=False, link="")
    files: dict[Path, bytes] = {
        out / f"{made.stem}.html": made.html.encode(),
        out / f"{made.stem}.txt": made.text.encode(),
    }
    if made.csv is not None:
        files[out / f"{made.stem}.csv"] = made.csv.encode()
    files |= {out / picture.cid: picture.png for picture in made.pictures}
    try:
        out.mkdir(parents=True, exist_ok=True)
        for path, content in files.items():
            _replace(path, content)
    except OSError as error:
        fail(f"cannot write to {out}: {error.strerror}")
    if as_json:
        print_json({"report": chosen.id, "period": span.key, "files": [str(path) for path in files]})
        return
    for path in files:
        typer.echo(str(path))


def _replace(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content)
    partial.replace(path)


def _send(config: Config, chosen: ReportConfig, span: Span, now: datetime, *, as_json: bool) -> None:
    from daemon.clock import RandomIds
    from daemon.reports.reporter import Reporter
    from daemon.store import Store
    from daemon.store.outbox import store_id
    from daemon.work.smtp import SmtpMailer

    if config.smtp is None:
        fail("--send needs an [smtp] table in the configuration", USAGE)
    with reading(config):
        pass
    store = Store(config.store.path)
    try:
        with store.write(durable=True) as tx:
            name = store_id(tx, RandomIds())
        reporter = Reporter(config, store=store, mailer=SmtpMailer(config.smtp), name=name)
        with redirect_stdout(sys.stderr):  # the log's lines: stdout is the command's own
            sent = asyncio.run(reporter.send(chosen, span, now))
    finally:
        store.close()
    if as_json:
        print_json(
            {
                "report": chosen.id,
                "period": span.key,
                "to": list(chosen.to),
                "subject": sent.report.subject,
                "sent": not sent.error,
                "error": sent.error or None,
                "refused": list(sent.refused),
            }
        )
    if sent.error:
        fail(f"the report was not sent: {sent.error}")
    if sent.refused:
        fail(f"the report was sent, but not to everybody: {'; '.join(sent.refused)}")
    if not as_json:
        typer.echo(f"sent to {', '.join(chosen.to)}: {sent.report.subject}")
