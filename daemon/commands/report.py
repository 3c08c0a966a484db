"""`brimful report ID`: a report for any period, as files, on the terminal, or by mail."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.commands.common import NO, USAGE, fail, load_config, print_json, reading

if TYPE_CHECKING:
    from datetime import datetime

    from alerts.model.spans import Span
    from alerts.reports.report import Report
    from daemon.config.model import Config, ReportConfig
    from daemon.store import Store


def register(app: typer.Typer) -> None:
    app.command()(report)


def report(
    context: typer.Context,
    report_id: Annotated[str, typer.Argument(metavar="ID", help="The report's id in the configuration.")],
    period: Annotated[
        str, typer.Option("--period", help="2026-10, 2026-W44 or 2026-10-31; by default the last that has ended.")
    ] = "",
    out: Annotated[Path | None, typer.Option("--out", help="The folder for all its files.")] = None,
    send: Annotated[bool, typer.Option("--send", help="Send it by mail, also where it was sent before.")] = False,
    preview: Annotated[bool, typer.Option("--preview", help="Open the HTML, print the text; sends nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done, or the statements, as JSON.")] = False,
) -> None:
    """Build a report for any period: files in a folder, a preview, or a mail to its recipients."""
    from daemon.clock import SystemClock

    if preview and (send or out is not None):
        fail("--preview only shows it: leave out --send and --out", USAGE)
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


def _build(config: Config, chosen: ReportConfig, span: Span, now: datetime, *, preview: bool) -> Report:
    """Make the report; what it rests on is stored where its period has ended, but for a preview."""
    from alerts.templating import Templates
    from daemon.reports.facts import ReportError, facts_for, render

    async def made(store: Store) -> Report:
        facts = await facts_for(config, store, chosen, span, now, preview=preview)
        return await render(facts, chosen, Templates(config.templates), link="")

    try:
        with reading(config) if preview else _writing(config) as store:
            return asyncio.run(made(store))
    except (ReportError, ValueError) as error:
        fail(f"the report cannot be made: {error}")


@contextmanager
def _writing(config: Config) -> Iterator[Store]:
    """The store for writing, of the schema of this program: nothing here migrates."""
    from daemon.store import Store

    with reading(config):
        pass
    store = Store(config.store.place)
    try:
        yield store
    finally:
        store.close()


def _preview(config: Config, chosen: ReportConfig, span: Span, now: datetime, *, as_json: bool) -> None:
    """Print the text, and open the HTML in a browser where somebody looks; it lies in a folder of its own."""
    if as_json:
        from daemon.reports.document import to_json
        from daemon.reports.facts import gather

        with reading(config) as store:
            print_json(to_json(gather(config, store.reader, chosen, span, now)))
        return
    made = _build(config, chosen, span, now, preview=True)
    files = _files(made, Path(tempfile.mkdtemp(prefix="brimful-preview-")))
    _put(files)
    typer.echo(made.text, nl=False)
    html = next(iter(files))
    opened = sys.stdout.isatty() and typer.launch(html.as_uri()) == 0
    typer.echo(f"{'opened' if opened else 'to open:'} {html}", err=True)


def _write(config: Config, chosen: ReportConfig, span: Span, now: datetime, out: Path, *, as_json: bool) -> None:
    files = _files(_build(config, chosen, span, now, preview=False), out)
    _put(files)
    if as_json:
        print_json({"report": chosen.id, "period": span.key, "files": [str(path) for path in files]})
        return
    for path in files:
        typer.echo(str(path))


def _files(made: Report, out: Path) -> dict[Path, bytes]:
    """Every file of a report, the HTML first."""
    return {
        out / f"{made.stem}.html": made.html.encode(),
        out / f"{made.stem}.txt": made.text.encode(),
        **{out / one.name: one.content for one in made.attachments},
        **{out / picture.cid: picture.png for picture in made.pictures},
    }


def _put(files: dict[Path, bytes]) -> None:
    folder = next(iter(files)).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, content in files.items():
            _replace(path, content)
    except OSError as error:
        fail(f"cannot write to {folder}: {error.strerror}")


def _replace(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content)
    partial.replace(path)


def _send(config: Config, chosen: ReportConfig, span: Span, now: datetime, *, as_json: bool) -> None:
    from daemon.clock import RandomIds
    from daemon.reports.reporter import Reporter
    from daemon.store.outbox import store_id
    from daemon.work.smtp import SmtpMailer

    if config.smtp is None:
        fail("--send needs an [smtp] table in the configuration", USAGE)
    with _writing(config) as store:
        with store.write(durable=True) as tx:
            name = store_id(tx, RandomIds())
        reporter = Reporter(config, store=store, mailer=SmtpMailer(config.smtp), name=name)
        with redirect_stdout(sys.stderr):  # the log's lines: stdout is the command's own
            sent = asyncio.run(reporter.send(chosen, span, now))
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
