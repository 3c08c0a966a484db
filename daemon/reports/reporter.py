"""Reporting: which report of which period is due, and sending it once. Sent first, marked after, with a stable name."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import jinja2
import structlog

from alerts.mail import Mailer, MailFailed
from alerts.reports.letter import compose
from alerts.reports.report import Report
from alerts.spans import Span, SpanKind, span_at, span_before
from alerts.templating import Templates
from daemon.config.model import Config, ReportConfig
from daemon.limits import REPORT_RETRIES_S, REPORTS_CAUGHT_UP
from daemon.reports.facts import accounts_of, make_report
from daemon.schedule import next_fire
from daemon.store import Store, readings, reports

log = structlog.get_logger("brimful.reporting")


@dataclass(frozen=True, slots=True)
class Due:
    """One report of one period whose time has come."""

    report: ReportConfig
    span: Span


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one report: `error` is empty where the mail server took it."""

    report: Report
    error: str
    refused: tuple[str, ...] = ()


class Reporter:
    """Sends every report once a period. `name` is the store's id: it makes the Message-ID unique to this database."""

    def __init__(self, config: Config, *, store: Store, mailer: Mailer | None, name: str) -> None:
        self._config = config
        self._store = store
        self._mailer = mailer
        self._name = name
        self._templates = Templates(config.templates)
        self._failing: set[str] = set()

    def due(self, now: datetime) -> list[Due]:
        """Return the reports to send at `now`, oldest period first: their cron time has passed and none was sent."""
        waiting = [one for report in self._config.reports for one, at in self._pending(report, now) if at <= now]
        return sorted(waiting, key=lambda one: (one.span.end, one.report.id))

    async def send_due(self, now: datetime) -> datetime | None:
        """Send what is due; returns when to come back. Without a mail server or a report there is nothing to do."""
        if self._mailer is None or not self._config.reports:
            return None
        for one in self.due(now):
            await self.send(one.report, one.span, now)
        instants = [at for report in self._config.reports for _, at in self._pending(report, now)]
        return min((at for at in [*instants, *self._fires(now)] if at > now), default=None)

    async def send(self, report: ReportConfig, span: Span, now: datetime) -> Sent:
        """Build and send one report, and record what became of it: also the one that is sent again by hand."""
        message_id = f"report.{report.id}.{span.key}.{self._name}"
        made: Report | None = None
        error, refused = "", tuple[str, ...]()
        try:
            made = await make_report(self._config, self._store, report, span, now, templates=self._templates)
        except (jinja2.TemplateError, OSError) as failure:
            error = f"a template is wrong: {type(failure).__name__}: {failure}"
        if made is not None:
            error, refused = await self._mail(made, report, message_id, now)
        self._record(report, span, message_id, error, "; ".join(refused), now)
        return Sent(made or _nothing(report, span), error, refused)

    def failing(self) -> Sequence[str]:
        """Return the reports that failed, or that an address refused, as `id period`: what `once` exits 1 for."""
        return sorted(self._failing)

    async def _mail(
        self, made: Report, report: ReportConfig, message_id: str, now: datetime
    ) -> tuple[str, tuple[str, ...]]:
        if self._mailer is None:
            return "no [smtp] is configured", ()
        message = await asyncio.to_thread(
            compose, made, sender=self._mailer.sender, to=report.to, name=message_id, at=now
        )
        outcome = await self._mailer.send(message, report.to)
        if isinstance(outcome, MailFailed):
            return outcome.reason, ()
        return "", tuple(f"{address}: {why}" for address, why in outcome.refused.items())

    def _record(
        self, report: ReportConfig, span: Span, message_id: str, error: str, refused: str, now: datetime
    ) -> None:
        word = f"{report.id} {span.key}"
        if not error:
            with self._store.write(durable=True) as tx:
                reports.mark_sent(tx, report.id, span, message_id, now, refused=refused)
            self._failing.discard(word)
            if refused:
                self._failing.add(word)
                log.warning("report_refused", report=report.id, period=span.key, refused=refused)
            log.info("report_sent", report=report.id, period=span.key)
            return
        earlier = reports.sendings(self._store.reader, report.id).get(span.key)
        if earlier is not None and earlier.sent_at is not None:
            return  # a second sending by hand that failed does not undo the first
        failures = 1 + (earlier.failures if earlier is not None else 0)
        wait_s = REPORT_RETRIES_S[min(failures, len(REPORT_RETRIES_S)) - 1]
        with self._store.write(durable=True) as tx:
            reports.mark_failed(
                tx, report.id, span, message_id, failures=failures, next_at=now + timedelta(seconds=wait_s), error=error
            )
        self._failing.add(word)
        log.warning("report_failed", report=report.id, period=span.key, error=error, failures=failures)

    def _pending(self, report: ReportConfig, now: datetime) -> list[tuple[Due, datetime]]:
        """The ended periods that were not sent, each with the instant at which it is due (which may lie ahead)."""
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
            if earlier is None or earlier.sent_at is None:
                at = next_fire(report.cron, zone, span.end - timedelta(seconds=1))
                retry_at = earlier.next_attempt_at if earlier is not None else None
                pending.append((Due(report, span), max(at, retry_at) if retry_at is not None else at))
            span = span_before(kind, span.start, zone)
        return pending

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


def _nothing(report: ReportConfig, span: Span) -> Report:
    return Report("", "", "", None, f"{report.id}-{span.key}", ())
