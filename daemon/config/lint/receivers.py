"""Receivers and reports: ids, event types, URLs and signing secrets."""

from __future__ import annotations

import base64
import binascii
from fnmatch import fnmatchcase
from importlib.util import find_spec
from typing import Any

from alerts.mail_address import parse_address
from alerts.model.events import EventType
from alerts.model.spans import SpanKind
from daemon.config.cron import first_late
from daemon.config.lint.facts import LintFacts, listed
from daemon.config.problems import ProblemId, suggestion
from daemon.config.reading import Item
from daemon.config.schema import ReceiverTable, ReportTable, WebhookTable
from daemon.config.urls import Plain, fault
from daemon.sources.provider import Has

_CRONS = {
    "day": '"0 8 * * *" is each morning',
    "week": '"0 8 * * 1" is each Monday',
    "month": '"0 8 1 * *" is the first of each',
}
_SECRET_BYTES = range(24, 65)
_SEED_BYTES = (32, 64)


def lint(facts: LintFacts) -> None:
    tables = facts.tables
    for group in (tables.webhooks, tables.emails, tables.chats, tables.reports):
        facts.note_twins(group)
        for item in group:
            facts.note_accounts(item, item.table.accounts)
    receivers: list[Item[Any]] = [*tables.webhooks, *tables.emails, *tables.chats]
    for receiver in receivers:
        _lint_events(facts, receiver, "events", receiver.table.events)
    for webhook in tables.webhooks:
        _lint_webhook(facts, webhook)
    for report in tables.reports:
        _lint_report(facts, report)
    _lint_mail(facts)
    _lint_chat(facts)
    if not receivers:
        said = "there is no receiver: alerts are recorded, and nobody is notified"
        facts.problems.add(ProblemId.RECEIVERS_NONE, "webhooks", said, "write [[webhooks]], [[emails]] or [[chat]]")


def events_of(table: ReceiverTable) -> tuple[str, ...]:
    """Return the patterns of the event types that a receiver subscribes to."""
    if isinstance(table, WebhookTable) and table.event is not None:
        return (table.event,)
    return tuple(table.events)


def _lint_events(facts: LintFacts, item: Item[Any], key: str, patterns: list[str]) -> None:
    types = tuple(kind.value for kind in EventType)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in types):
            hint = suggestion(pattern, types) or "they are listed in docs/webhooks.md"
            facts.note(ProblemId.EVENT_UNKNOWN, item, key, f'no event type matches "{pattern}"', hint)


def _lint_webhook(facts: LintFacts, item: Item[WebhookTable]) -> None:
    table = item.table
    if table.event is not None:
        _lint_events(facts, item, "event", [table.event])
    if {"event", "events"} <= table.given:
        facts.note(ProblemId.EVENT_BOTH, item, "event", "event and events exclude each other", "write events = [...]")
    if table.threshold is not None:
        _lint_threshold(facts, item)
    url = facts.secret(item.at("url"))
    if url:
        found = fault(url, Plain.ANYWHERE if table.allow_http else Plain.OWN)
        if found is None and url.startswith("http:") and not table.allow_http:
            said = "a webhook over plain http can be read and changed on its way"
            facts.note(ProblemId.URL_PLAIN, item, "url", said, "use https, or write allow_http = true")
        elif found is not None:
            hint = "use https, or write allow_http = true" if found.id is ProblemId.URL_PLAIN else found.hint
            facts.note(found.id, item, "url", found.message, hint)
    for path in secret_paths(item):
        fault_said = secret_fault(facts.secret(path)) if facts.secret(path) else None
        if fault_said is not None:
            hint = 'make one by: echo "whsec_$(openssl rand -base64 32)"'
            facts.problems.add(ProblemId.WEBHOOK_SECRET, path, fault_said, hint, item=item.name)


def secret_paths(item: Item[WebhookTable]) -> tuple[str, ...]:
    """Return the key paths of a webhook's secrets, the current one first."""
    count = len(item.table.secret or ())
    path = item.at("secret")
    return (path,) if count == 1 else tuple(f"{path}[{index}]" for index in range(count))


def secret_fault(secret: str) -> str | None:
    """Return what is wrong with a signing secret (Standard Webhooks 1.0.0), or None. The text reveals no part of it."""
    prefix, _, encoded = secret.partition("_")
    if prefix not in ("whsec", "whsk") or not encoded:
        return "a signing secret begins with whsec_ (or whsk_, for ed25519)"
    try:
        raw = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return f"what follows {prefix}_ is not base64"
    if prefix == "whsec" and len(raw) not in _SECRET_BYTES:
        return f"a whsec_ secret holds 24 to 64 bytes, this one {len(raw)}"
    if prefix == "whsk" and len(raw) not in _SEED_BYTES:
        return f"a whsk_ key holds 32 bytes (or 64 with its public key), this one {len(raw)}"
    return None


def _lint_threshold(facts: LintFacts, item: Item[WebhookTable]) -> None:
    patterns = events_of(item.table)
    if not any(fnmatchcase(EventType.BALANCE_LOW.value, pattern) for pattern in patterns):
        said = "a threshold of its own, but it does not get balance.low"
        facts.note(ProblemId.WEBHOOK_THRESHOLD, item, "threshold", said, 'write event = "balance.low"')
    named = facts.covered(item.table.accounts)
    if named and not any(Has.BALANCE in facts.has(facts.tables.accounts[id]) for id in named):
        said = "a threshold of its own, but no account that it covers has a balance"
        facts.note(ProblemId.RULE_READS_NOTHING, item, "threshold", said, f"covered: {listed(named)}")


def _lint_report(facts: LintFacts, item: Item[ReportTable]) -> None:
    table = item.table
    if table.cron is None or table.period is None:
        return
    late = first_late(table.cron, SpanKind(table.period.value), facts.zone)
    if late is not None:
        span, at = late
        came = at.astimezone(facts.zone)
        said = f"it does not fire each {table.period.value}: the report of {span.title}, for one, would come on "
        said += f"{came.day} {came:%b %Y} only, together with the next"
        hint = f"a {table.period.value} is reported when it has ended: {_CRONS[table.period.value]}"
        facts.note(ProblemId.REPORT_RARE, item, "cron", said, hint)


def _lint_mail(facts: LintFacts) -> None:
    mailed: list[Item[Any]] = [*facts.tables.emails, *facts.tables.reports]
    for item in mailed:
        if facts.tables.smtp is None:
            facts.note(ProblemId.SMTP_MISSING, item, "", "there is no [smtp] to send mail by", "write [smtp]")
        for index, address in enumerate(item.table.to or ()):
            if not parse_address(address).is_plain:
                said = "letters beyond ASCII before the @: most mail servers refuse this one address"
                hint = "name an address of plain letters; a name may hold any: Jürgen <juergen@example.com>"
                facts.note(ProblemId.MAIL_ADDRESS_LETTERS, item, f"to[{index}]", said, hint)


def _lint_chat(facts: LintFacts) -> None:
    for item in facts.tables.chats:
        if find_spec("apprise") is None:
            said = "chats need the optional extra"
            facts.note(ProblemId.CHAT_EXTRA, item, "", said, "pip install 'brimful[chat]'")
        url = facts.secret(item.at("url"))
        if url and not url.partition("://")[2]:
            said = "this is no Apprise URL"
            facts.note(ProblemId.URL_INVALID, item, "url", said, 'such as "slack://…" or "tgram://…"')
