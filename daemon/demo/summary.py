"""The summary at the end: events, charges, webhooks and mails, which checks passed, and the files to open."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from alerts.model.money import format_usd
from alerts.reports.views import report_view
from daemon.demo.checks import DemoCheck, Evidence
from daemon.demo.mails import WrittenMail
from daemon.demo.scenario import PREPAID, START, ZONE
from daemon.demo.timeline import STYLES
from daemon.store import ledger_reads
from daemon.store.topup_rows import Topup


@dataclass(frozen=True, slots=True)
class Outputs:
    """The files of the demo."""

    folder: Path
    mails: tuple[WrittenMail, ...]

    @property
    def finance(self) -> WrittenMail | None:
        return next((mail for mail in self.mails if "finance@" in mail.to), None)


def show(console: Console, evidence: Evidence, checks: Sequence[DemoCheck], outputs: Outputs) -> None:
    """Print the summary; narrow terminals wrap long lines."""
    _alerts(console, evidence)
    show_end(console, evidence, checks)
    _files(console, outputs)


def show_end(console: Console, evidence: Evidence, checks: Sequence[DemoCheck]) -> None:
    """Print the top-ups, the finance report, the checks and the numbers."""
    _topups(console, evidence)
    _finance(console, evidence)
    _checks(console, checks)
    _numbers(console, evidence)


def _heading(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, style="bold"))


def _alerts(console: Console, evidence: Evidence) -> None:
    _heading(console, "Alerts")
    reminders = 0
    for line in sorted(evidence.timeline.lines, key=lambda line: (line.at, line.account)):
        if not line.tone or line.type.startswith("topup."):
            continue
        if line.reminder:
            reminders += 1
            continue
        console.print(Text.assemble((f"  {line.when}  ", "dim"), (line.says, STYLES[line.tone])), soft_wrap=True)
    if reminders:
        console.print(Text(f"  and {reminders} reminders of what stayed open", style="dim"))


def _topups(console: Console, evidence: Evidence) -> None:
    _heading(console, "Top-ups")
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for name in ("  Top-up", "Available", "Charged", "Amount", "Seen in the balance", "State"):
        table.add_column(name, justify="right" if name in ("Available", "Amount") else "left")
    for account in PREPAID:
        for topup in ledger_reads.of_account(evidence.conn, account):
            table.add_row(f"  {topup.id}", *_topup_cells(topup))
    console.print(table)


def _topup_cells(topup: Topup) -> tuple[str, str, str, str, Text]:
    charged = _short(topup.paid_at) if topup.paid_at else ""
    seen = _short(topup.credited_at) if topup.credited_at else ""
    reason = f", {topup.reason.partition(':')[0].replace('_', ' ')}" if topup.reason and not topup.paid_at else ""
    style = "green" if topup.credited_at else "red" if not topup.paid_at else ""
    available = "" if topup.available_microusd is None else format_usd(topup.available_microusd)
    return (
        available,
        charged,
        format_usd(topup.amount_microusd),
        seen,
        Text(f"{topup.state.value}{reason}", style=style),
    )


def _short(at: datetime) -> str:
    local = at.astimezone(ZONE)
    return f"{local.day:>2} {local:%b %H:%M}"


def _finance(console: Console, evidence: Evidence) -> None:
    if evidence.facts is None:
        return
    _heading(console, f"Finance mail, {evidence.facts.span.title}")
    view = report_view(evidence.facts, {}, "")
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("  Account")
    for name in ("Spent", "Card", "Left"):
        table.add_column(name, justify="right")
    for line in (*view.accounts, *((view.total,) if view.total else ())):
        style = "bold" if line is view.total else ""
        table.add_row(f"  {line.name}", line.spent, line.charged, line.left, style=style)
    console.print(table)


def _checks(console: Console, checks: Sequence[DemoCheck]) -> None:
    _heading(console, "Checks")
    for check in checks:
        mark = ("  ✓ ", "green") if check.passed else ("  ✗ ", "bold red")
        numbers = (f"  {check.numbers}", "dim")
        console.print(Text.assemble(mark, check.says, numbers), soft_wrap=True)


def _numbers(console: Console, evidence: Evidence) -> None:
    month, timeline = evidence.month, evidence.timeline
    days = (month.end - START).days
    console.print()
    parts = (
        f"{days} days in {month.elapsed_s:.0f} s: {month.world.asked():,} polls",
        f"{len(month.world.stripe.successes())} card charges",
        f"{timeline.verified} webhooks verified",
        f"{timeline.mails} mails",
    )
    console.print(Text(", ".join(parts), style="dim"), soft_wrap=True)


def _files(console: Console, outputs: Outputs) -> None:
    _heading(console, "To open")
    finance = outputs.finance
    found: list[tuple[str, Path]] = []
    if finance is not None:
        found.append(("finance mail", finance.path))
        found += [("its CSV", path) for path in finance.attachments]
    found.append((f"all {len(outputs.mails)} mails", outputs.folder / "mails"))
    found += [("database", outputs.folder / "brimful.db"), ("daemon's log", outputs.folder / "daemon.log")]
    for name, path in found:
        console.print(Text.assemble((f"  {name:<13} ", "dim"), str(path)), soft_wrap=True)
    config = shlex.quote(str(outputs.folder / "config.toml"))
    console.print(Text(f"\n  look around:  brimful --config {config} status", style="dim"), soft_wrap=True)
