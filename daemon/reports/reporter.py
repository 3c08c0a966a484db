"""Reporting: which report of which period is due, and sending it once. Sent first, marked after; the name is stable."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import structlog

from alerts.events.report_failed import failed_report
from alerts.mail import Mailed, Mailer, MailFailed
from alerts.mail_address import parse_address
from alerts.model.spans import Span, SpanKind, span_at, span_before
from alerts.reports.facts import ReportFacts
from alerts.reports.report import Report, stem
from alerts.reports.report_mail import compose, compose_failure
from alerts.reports.views import report_view
from alerts.templating import Templates
from daemon import journal
from daemon.config.model import Config, ReportConfig
from daemon.jobs import note_progress
from daemon.limits import REPORT_RETRIES_S, REPORT_WAITING_TRIES, REPORTS_CAUGHT_UP
from daemon.reports.facts import ReportError, accounts_of, facts_for, render
from daemon.schedule import next_fire
from daemon.store import Store, readings, reports
from daemon.store.connection import once_committed
from daemon.store.outbox import Outbox, find_event

log = structlog.get_logger("brimful.reporting")


@dataclass(frozen=True, slots=True)
class Due:
    """One report of one period whose time has come."""

    report: ReportConfig
    span: Span
    waiting: Sequence[str] = ()
    """The only addresses that still lack it, where others have it."""


@dataclass(frozen=True, slots=True)
class SentReport:
    """What became of one report: `error` is empty where the mail server took it."""

    report: Report
    error: str
    refused: tuple[str, ...] = ()


class Reporter:
    """Sends every report once a period. `name` is the store's id: it makes the Message-ID unique to this database.

    Where `store` is a lane, it is read and written apart.
    """

    def __init__(
        self, config: Config, *, store: Store, mailer: Mailer | None, name: str, outbox: Outbox | None = None
    ) -> None:
        self._config = config
        self._store = store
        self._mailer = mailer
        self._name = name
        self._outbox = outbox
        self._templates = Templates(config.templates)
        self._failing: set[str] = set()

    def take(self, config: Config) -> None:
        """Go on with another configuration."""
        self._config = config

    def due(self, now: datetime) -> list[Due]:
        """Return the reports to send at `now`, oldest period first: their cron time has passed and none was sent."""
        waiting = [one for report in self._config.reports for one, at in self._pending(report, now) if at <= now]
        return sorted(waiting, key=lambda one: (one.span.end, one.report.id))

    async def send_due(self, now: datetime) -> datetime | None:
        """Send what is due; returns when to come back. Without a mail server or a report there is nothing to do."""
        if self._mailer is None or not self._config.reports:
            return None
        for one in await self._store.apart(self.due, now):
            await self.send(one.report, one.span, now, one.waiting)
            note_progress()
        return await self._store.apart(self._next_at, now)

    async def send(self, report: ReportConfig, span: Span, now: datetime, to: Sequence[str] = ()) -> SentReport:
        """Build and send one report, and record what became of it: also the one that is sent again by hand.

        `to`: those of its addresses that still wait for it; else all of them. Whatever it meets is its own error.
        """
        message_id = f"report.{report.id}.{span.key}.{self._name}"
        (met,) = await asyncio.gather(
            self._make_and_mail(report, span, message_id, to or report.to, now), return_exceptions=True
        )
        if isinstance(met, Exception):
            log.warning("report", report=report.id, period=span.key, outcome="broken", exc_info=met)
            why = str(met) if isinstance(met, ReportError) else f"{type(met).__name__}: {met}"
            await self._say_failed(report, span, why, now)
            met = (_nothing(report, span), f"it could not be made: {why}", Mailed(0))
        if isinstance(met, BaseException):
            raise met
        made, error, mailed = met
        await self._store.apart(self._record, Due(report, span, to), message_id, error, mailed, now)
        return SentReport(made, error, tuple(_named(mailed.refused)))

    def failing(self) -> Sequence[str]:
        """Return the reports that failed, or that an address refused, as `id period`: what `once` exits 1 for."""
        return sorted(self._failing)

    async def _make_and_mail(
        self, report: ReportConfig, span: Span, message_id: str, to: Sequence[str], now: datetime
    ) -> tuple[Report, str, Mailed]:
        facts = await facts_for(self._config, self._store, report, span, now)
        made = await render(facts, report, self._templates)
        if self._mailer is None:
            return made, "no [smtp] is configured", Mailed(0)
        message = await asyncio.to_thread(
            compose, made, sender=self._mailer.sender, to=report.to, name=message_id, at=now
        )
        outcome = await self._mailer.send(message, to)
        if isinstance(outcome, MailFailed):
            return made, outcome.reason, Mailed(outcome.elapsed_ms)
        if not outcome.taken:
            return made, f"refused: {'; '.join(_named(outcome.refused))}", outcome
        return made, "", outcome

    async def _say_failed(self, report: ReportConfig, span: Span, why: str, now: datetime) -> None:
        """Tell that a report cannot be made, once a period and reason: its readers in plain text, and as an event."""
        draft = failed_report(report.id, span, why, now)
        outbox, store = self._outbox, self._store
        if outbox is None or await store.apart(find_event, store.reader, draft.id or "") is not None:
            return
        await asyncio.gather(self._mail_failure(report, span, why, now, draft.id or ""), return_exceptions=True)

        def append() -> None:
            with store.write(durable=True) as tx:
                outbox.append(tx, draft, now)

        await store.apart(append)

    async def _mail_failure(self, report: ReportConfig, span: Span, why: str, now: datetime, name: str) -> None:
        """Mail what is known: by the built-in text, which needs none of the operator's templates."""
        if self._mailer is None:
            return
        (known,) = await asyncio.gather(self._known(report, span, now), return_exceptions=True)
        lines = [f"{why}.", "It is tried again by itself. What is known of the period:", ""]
        lines.append(known if isinstance(known, str) else "Nothing: the figures cannot be gathered.")
        title = f"The report {report.id} of {span.title} cannot be made"
        message = compose_failure(title, lines, sender=self._mailer.sender, to=report.to, name=name, at=now)
        await self._mailer.send(message, report.to)

    async def _known(self, report: ReportConfig, span: Span, now: datetime) -> str:
        facts = await facts_for(self._config, self._store, report, span, now)
        return await asyncio.to_thread(_plain_text, facts)

    def _record(self, one: Due, message_id: str, error: str, mailed: Mailed, now: datetime) -> None:
        report, span = one.report.id, one.span
        earlier = reports.sendings(self._store.reader, report).get(span.key)
        sent_at = earlier.sent_at if earlier is not None else None
        if error and not one.waiting and sent_at is not None:
            return  # a second sending by hand that failed does not undo the first
        failures = 1 + (earlier.failures if earlier is not None and (one.waiting or sent_at is None) else 0)
        next_at = now + timedelta(seconds=REPORT_RETRIES_S[min(failures, len(REPORT_RETRIES_S)) - 1])
        if error and not one.waiting:
            with self._store.write(durable=True) as tx:
                reports.mark_failed(tx, report, span, message_id, failures=failures, next_at=next_at, error=error)
                once_committed(tx, partial(self._tell_failed, report, span, error, failures))
            return
        refused, waiting = mailed.for_good, mailed.waiting
        if earlier is not None and one.waiting and error and not mailed.refused:
            waiting = dict(earlier.waiting)  # nobody answered for them
        if failures > REPORT_WAITING_TRIES:
            refused, waiting = {**refused, **waiting}, {}
        words = [earlier.last_error] if earlier is not None and one.waiting and earlier.last_error else []
        with self._store.write(durable=True) as tx:
            reports.mark_sent(
                tx,
                report,
                span,
                message_id,
                sent_at if one.waiting and sent_at is not None else now,
                refused="; ".join([*words, *_named(refused)]),
                waiting=waiting,
                failures=failures if waiting else 0,
                next_at=next_at if waiting else None,
            )
            once_committed(tx, partial(self._tell_sent, report, span, [*_named(refused), *_named(waiting)], error))

    def _tell_failed(self, report: str, span: Span, error: str, failures: int) -> None:
        self._failing.add(f"{report} {span.key}")
        journal.report(report, span.key, error=error, failures=failures)

    def _tell_sent(self, report: str, span: Span, refused: Sequence[str], error: str) -> None:
        word = f"{report} {span.key}"
        self._failing.discard(word)
        if refused:
            self._failing.add(word)
        journal.report(report, span.key, error=error, refused=refused)

    def _pending(self, report: ReportConfig, now: datetime) -> list[tuple[Due, datetime]]:
        """The ended periods that were not sent, or not to all, each with the instant at which it is due."""
        first_at = self._first_reading(report)
        if first_at is None:
            return []
        kind, zone = SpanKind(report.period.value), self._config.timezone
        sent = reports.sendings(self._store.reader, report.id)
        pending: list[tuple[Due, datetime]] = []
        span = span_before(kind, now, zone)
        for _ in range(REPORTS_CAUGHT_UP):
            if span.end <= first_at:
                break
            earlier = sent.get(span.key)
            retry_at = earlier.next_attempt_at if earlier is not None else None
            if earlier is None or earlier.sent_at is None:
                at = next_fire(report.cron, zone, span.end - timedelta(seconds=1))
                pending.append((Due(report, span), max(at, retry_at) if retry_at is not None else at))
            elif retry_at is not None and (waiting := _configured(report, earlier.waiting)):
                pending.append((Due(report, span, waiting), retry_at))
            span = span_before(kind, span.start, zone)
        return pending

    def _next_at(self, now: datetime) -> datetime | None:
        """Return when a report is due next, after `now`."""
        instants = [at for report in self._config.reports for _, at in self._pending(report, now)]
        return min((at for at in [*instants, *self._fires(now)] if at > now), default=None)

    def _fires(self, now: datetime) -> list[datetime]:
        """When the period that runs on will be due, a report each."""
        zone = self._config.timezone
        ends = [span_at(SpanKind(report.period.value), now, zone).end for report in self._config.reports]
        second = timedelta(seconds=1)
        return [
            next_fire(report.cron, zone, end - second) for report, end in zip(self._config.reports, ends, strict=True)
        ]

    def _first_reading(self, report: ReportConfig) -> datetime | None:
        seen = readings.accounts_seen(self._store.reader)
        wanted = accounts_of(self._config, report, seen)
        return min((at for account in wanted if (at := seen.get(account)) is not None), default=None)


def _named(refused: Mapping[str, str]) -> list[str]:
    return [f"{address}: {words}" for address, words in refused.items()]


def _configured(report: ReportConfig, waiting: Mapping[str, str]) -> list[str]:
    """Return those who wait and are still named by the configuration."""
    named = {parse_address(one).spec for one in report.to} if waiting else ()
    return [address for address in waiting if address in named]


def _nothing(report: ReportConfig, span: Span) -> Report:
    return Report("", "", "", stem(report.id, span))


def _plain_text(facts: ReportFacts) -> str:
    return Templates().text("report.txt.j2", {"it": report_view(facts, {}, ""), "facts": facts})
