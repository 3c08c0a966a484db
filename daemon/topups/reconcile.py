"""Steady reconciliation: refunds and disputes, from a cursor of Stripe's events, and from our own charges once a day.

A refund or a dispute suspends the account and is told; nothing is ever refunded automatically.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from daemon.store import ledger, ledger_notes, ledger_reads
from daemon.store.ledger import Topup
from daemon.topups import breakers
from daemon.topups.answers import AnswerKind
from daemon.topups.bench import Bench, log
from daemon.topups.gateway import Refused
from daemon.topups.stripe_objects import Event

EVERY = timedelta(minutes=15)
MOST_PAGES = 10
CHARGES_FOR = timedelta(days=120)
_CURSOR = "events"


def due_at(bench: Bench) -> datetime | None:
    """Return when the events are read next: only while a charge is young enough to be refunded or disputed."""
    now = bench.clock.now()
    if not ledger_reads.any_charged_since(bench.store.reader, now - CHARGES_FOR):
        return None
    last = ledger_notes.marked(bench.store.reader, _CURSOR)
    return now if last is None else last[0] + EVERY


async def read_events(bench: Bench) -> None:
    """Read the refunds and disputes since the cursor, at most ten pages."""
    last = ledger_notes.marked(bench.store.reader, _CURSOR)
    cursor = last[1] if last else ""
    newest = cursor
    older: str | None = None
    for _ in range(MOST_PAGES):
        page = await bench.gateway.events(newer_than=newest or None, older_than=older)
        if isinstance(page, Refused):
            _failed(bench, page, cursor)
            return
        for event in page.value.items:
            _take(bench, event)
        if page.value.items and newest:
            newest = page.value.items[0].id
        elif page.value.items:
            older = page.value.items[-1].id
            cursor = cursor or page.value.items[0].id
        if not page.value.has_more:
            break
    with bench.store.write(durable=False) as tx:  # a lost mark only reads the same events again
        ledger.mark(tx, _CURSOR, bench.clock.now(), newest or cursor)


def _failed(bench: Bench, refused: Refused, cursor: str) -> None:
    """A cursor that Stripe has forgotten begins anew; a 403 here trips nothing, but is told."""
    now = bench.clock.now()
    lost = refused.kind in (AnswerKind.MISSING, AnswerKind.INTENT_MISSING, AnswerKind.BAD_REQUEST)
    with bench.store.write(durable=True) as tx:
        ledger.mark(tx, _CURSOR, now, "" if lost else cursor)
        if refused.kind is AnswerKind.FORBIDDEN:
            for account in bench.charging():
                breakers.tell_review_once(
                    bench,
                    tx,
                    account,
                    now,
                    "events_forbidden",
                    f"refunds and disputes cannot be seen: {refused.message}",
                )
    log.warning("events", kind=refused.kind.value, message=refused.message, request_id=refused.request_id)


def _take(bench: Bench, event: Event) -> None:
    topup = ledger_reads.get(bench.store.reader, event.payment_intent) if event.payment_intent else None
    if topup is not None:
        reason = "refunded" if event.type == "charge.refunded" else "disputed"
        report(bench, topup, reason, f"{event.charge} of {event.payment_intent}, {event.id}")


def report(bench: Bench, topup: Topup, reason: str, message: str) -> None:
    """Suspend the account of a charge that was refunded or is disputed, and tell it, once a charge."""
    now = bench.clock.now()
    with bench.store.write(durable=True) as tx:
        if ledger_notes.tell_once(tx, topup.account, reason, topup.payment_intent or topup.id, now):
            breakers.suspend_and_tell(bench, tx, topup, now, reason=reason, message=message)


async def read_charges(bench: Bench) -> int:
    """Look at the latest charges of our own PaymentIntents of the last 120 days; returns how many could not be read."""
    failed = 0
    for topup in ledger_reads.charged_since(bench.store.reader, bench.clock.now() - CHARGES_FOR):
        if topup.payment_intent is None:
            continue
        page = await bench.gateway.charges(topup.payment_intent)
        if isinstance(page, Refused):
            failed += 1
            continue
        for charge in page.value.items:
            if charge.refunded_cents:
                report(bench, topup, "refunded", f"{charge.id}: {charge.refunded_cents} cents")
            if charge.disputed:
                report(bench, topup, "disputed", charge.id)
    return failed
