"""The live view: the calendar, the accounts and the events, as the month passes. Without a terminal, plain lines."""

from __future__ import annotations

import time
from datetime import datetime

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from alerts.model.money import format_gb, format_usd, percent_of, show_usd
from alerts.model.readings import Known, Metrics
from daemon.demo.scenario import START, ZONE, ScriptedEvent
from daemon.demo.standins.mailbox import StoredMail
from daemon.demo.standins.receiver import Received
from daemon.demo.timeline import STYLES, Line, Timeline
from daemon.demo.world import World
from daemon.work.service import Service

_REFRESH_S = 0.25
_FEED_LINES = 10


class DemoView:
    """Shows a timeline while it grows. Use as a context manager around the month."""

    def __init__(self, console: Console, timeline: Timeline, end: datetime, *, live: bool | None = None) -> None:
        self._console = console
        self._timeline = timeline
        self._end = end
        self._live: Live | None = None
        self._wants_live = console.is_terminal if live is None else live
        self._drawn_at = 0.0
        self._day: int | None = None
        self._began = time.monotonic()

    def __enter__(self) -> DemoView:
        if self._wants_live:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._live is not None:
            self._live.__exit__(None, None, None)

    def add_event(self, received: Received) -> None:
        before = len(self._timeline.lines)
        self._timeline.add_event(received)
        self._print_new(before)

    def add_mail(self, kept: StoredMail) -> None:
        self._timeline.add_mail(kept)

    def add_scripted(self, scripted: ScriptedEvent) -> None:
        before = len(self._timeline.lines)
        self._timeline.add_scripted(scripted)
        self._print_new(before)

    def stepped(self, now: datetime, service: Service, world: World) -> None:
        """Draw again, at most four times a second."""
        if self._live is None:
            return
        moment = time.monotonic()
        if moment - self._drawn_at >= _REFRESH_S:
            self.ended(now, service, world)
            self._drawn_at = moment

    def ended(self, now: datetime, service: Service, world: World) -> None:
        """Draw the present state."""
        if self._live is not None:
            self._live.update(self.picture(now, service, world), refresh=True)

    def picture(self, now: datetime, service: Service, world: World) -> RenderableType:
        """Return the whole view at `now`."""
        feed = [feed_line(line) for line in self._timeline.lines[-_FEED_LINES:]]
        feed += [Text("")] * (_FEED_LINES - len(feed))
        return Group(
            self._calendar(now), Text(""), _accounts(service), Text(""), *feed, Text(""), self._counts(world), Text("")
        )

    def _calendar(self, now: datetime) -> Table:
        whole, passed = (self._end - START).total_seconds(), (now - START).total_seconds()
        local = now.astimezone(ZONE)
        grid = Table.grid(padding=(0, 2))
        grid.add_row(
            Text(f"{local:%a} {local.day:>2} {local:%B %Y, %H:%M %Z}", style="bold"),
            ProgressBar(total=whole, completed=min(passed, whole), width=34),
            Text(f"{time.monotonic() - self._began:.0f} s", style="dim"),
        )
        return grid

    def _counts(self, world: World) -> Text:
        charges = len(world.stripe.successes())
        return Text(
            f"{world.asked():,} polls · {charges} card charges · {self._timeline.verified} of "
            f"{self._timeline.requests} webhooks verified · {self._timeline.mails} mails",
            style="dim",
        )

    def _print_new(self, before: int) -> None:
        if self._live is None:
            for line in self._timeline.lines[before:]:
                self._console.print(feed_line(line), soft_wrap=True)


def feed_line(line: Line) -> Text:
    """Return one entry as a line: scripted events are dim, notifications have the colour of their tone."""
    when = (f"{line.when}  ", "dim")
    if not line.tone:
        return Text.assemble(when, (f"~ {line.says}", "dim italic"))
    return Text.assemble(when, (f"{line.type:<21} ", "dim"), (line.says, STYLES[line.tone]))


def _accounts(service: Service) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 3, 0, 0))
    table.add_column("Account", min_width=16)
    for name in ("Balance", "Pending", "Available", "Days left"):
        table.add_column(name, justify="right", min_width=9)
    table.add_column("Used", min_width=26)
    for account in service.config.accounts.values():
        known = service.evaluator.state(account.id).last
        table.add_row(account.info.name, *_cells(known))
    return table


def _cells(known: Known | None) -> tuple[RenderableType, ...]:
    if known is None:
        return ("", "", "", "", "")
    metrics = known.metrics
    balance, available = metrics.balance_microusd, metrics.available_microusd
    if balance is not None and available is not None:
        return (
            show_usd(balance),
            format_usd(metrics.uncharged_microusd or 0),
            show_usd(available),
            _days(metrics),
            "",
        )
    effective, limit = metrics.effective_microgb, metrics.limit_microgb
    if effective is None or not limit:
        return ("", "", "", "", "")
    bar = Table.grid(padding=(0, 1))
    share = percent_of(effective, limit)
    style = "red" if share >= 90 else "yellow" if share >= 80 else "green"
    bar.add_row(ProgressBar(total=limit, completed=effective, width=14, complete_style=style), f"{share} %")
    return ("", "", "", "", Group(bar) if limit else Text(format_gb(effective)))


def _days(metrics: Metrics) -> str:
    burn, available = metrics.scheduled_burn_microusd_per_day, metrics.available_microusd
    if not burn or available is None:
        return ""
    tenths = max(available, 0) * 10 // burn
    return f"{tenths // 10}.{tenths % 10}"
