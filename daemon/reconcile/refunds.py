"""Refunds and disputes: from Stripe's events by a cursor, and once a day from our own charges.

A refund or a dispute suspends the account and notifies; nothing is ever refunded automatically.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from alerts.model.reasons import ReviewReason
from daemon.store import ledger, ledger_notes, ledger_reads
from daemon.store.connection import Transaction
from daemon.store.topup_rows import Topup
from daemon.stripe.answers import GONE, NO_USE_WAITING, AnswerKind, Refused
from daemon.stripe.objects import StripeEvent
from daemon.topups.context import TopupContext, log
from daemon.topups.policy import stops
from daemon.topups.returned import CHARGES_FOR, disputed, record_returns_of, refunded

EVERY = timedelta(minutes=15)
MOST_PAGES = 10
CLOCKS_APART = timedelta(days=1)
"""How much earlier a charge may be by Stripe's clock."""
UNREAD_NOTIFIED_AFTER = timedelta(hours=20)
_CURSOR = "events"
_UNREAD = "charges_unread"
_FORBIDDEN = "events_forbidden"


def due_at(context: TopupContext) -> datetime | None:
    """Return when the events are read next: only while a charge is young enough to be refunded or disputed."""
    now = context.clock.now()
    if not ledger_reads.any_charged_since(context.store.reader, now - CHARGES_FOR):
        return None
    last_at = context.ran_at.get(_CURSOR)
    if last_at is None:
        bookmark = ledger_notes.bookmark(context.store.reader, _CURSOR)
        last_at = bookmark[0] if bookmark is not None else None
    return now if last_at is None or last_at > now else last_at + EVERY


def leave_events(context: TopupContext) -> None:
    """Leave this time's reading to the daemon of the fleet whose duty it is."""
    context.ran_at[_CURSOR] = context.clock.now()


async def read_events(context: TopupContext) -> None:
    """Read the refunds and disputes since the cursor, at most ten pages."""
    last = await context.read(ledger_notes.bookmark, _CURSOR)
    cursor = last[1] if last else ""
    newest = cursor
    older: str | None = None
    oldest_first: list[StripeEvent] = []
    refused: Refused | None = None
    for _ in range(MOST_PAGES):
        page = await context.gateway.events(newer_than=newest or None, older_than=older)
        if isinstance(page, Refused):
            refused = page
            break
        items = page.value.items
        if items and newest:
            newest = items[0].id
            oldest_first = [*oldest_first, *reversed(items)]
        elif items:
            older = items[-1].id
            cursor = cursor or items[0].id
            oldest_first = [*reversed(items), *oldest_first]
        if not page.value.has_more:
            break
    for event in oldest_first:
        await context.apart(_take, event)
    if refused is not None:
        await context.apart(_failed, refused, last[1] if last else "")
        return
    first = _CURSOR not in context.ran_at
    context.ran_at[_CURSOR] = context.clock.now()
    is_news = first or last is None or last[1] != (newest or cursor)
    await context.apart(_move_cursor, newest or cursor, is_news=is_news)


def _move_cursor(context: TopupContext, cursor: str, *, is_news: bool) -> None:
    if is_news or ledger_notes.bookmark(context.store.reader, _FORBIDDEN) is not None:
        with context.store.write(durable=False) as tx:  # a lost bookmark only reads the same events again
            ledger.set_bookmark(tx, _CURSOR, context.clock.now(), cursor)
            ledger_notes.clear_bookmark(tx, _FORBIDDEN)


def _failed(context: TopupContext, refused: Refused, cursor: str) -> None:
    """Note a failed read. A cursor that Stripe no longer knows is dropped; a 403 opens no breaker, but notifies."""
    now = context.ran_at[_CURSOR] = context.clock.now()
    lost = refused.kind in NO_USE_WAITING
    with context.store.write(durable=True) as tx:
        ledger.set_bookmark(tx, _CURSOR, now, "" if lost else cursor)
        if refused.kind is AnswerKind.FORBIDDEN:
            since = _failing_since(tx, _FORBIDDEN, now)
            message = f"refunds and disputes cannot be seen: {refused.message}"
            _ask_everyone(context, tx, ReviewReason.EVENTS_FORBIDDEN, message, since)
    log.warning("events", kind=refused.kind.value, message=refused.message, request_id=refused.request_id)


def _failing_since(tx: Transaction, name: str, now: datetime) -> datetime:
    """Return since when something fails, from a bookmark that the first good read clears."""
    bookmark = ledger_notes.bookmark(tx, name)
    if bookmark is not None and bookmark[0] <= now:
        return bookmark[0]
    ledger.set_bookmark(tx, name, now)
    return now


def _take(context: TopupContext, event: StripeEvent) -> None:
    topup = ledger_reads.get(context.store.reader, event.payment_intent) if event.payment_intent else None
    if topup is None:
        return
    about = f"{event.charge} of {event.payment_intent}, {event.id}"
    if event.type != "charge.refunded":
        disputed(context, topup, event.subject, event.amount_cents, about, event.created_at)
    elif event.amount_cents is not None:
        refunded(context, topup, event.amount_cents, about, event.created_at)


async def read_charges(context: TopupContext) -> int:
    """Read the charges of our own PaymentIntents of the last 120 days; return how many could not be read.

    They are listed by customer. A charge missing in the list (too long, customer deleted) is read by its PaymentIntent.
    """
    since = context.clock.now() - CHARGES_FOR
    ours = [topup for topup in await context.read(ledger_reads.charged_since, since) if topup.payment_intent]
    failed = 0
    for customer in dict.fromkeys(topup.customer for topup in ours):
        of_customer = {topup.payment_intent: topup for topup in ours if topup.customer == customer}
        since = min(topup.charged_at or topup.planned_at for topup in of_customer.values()) - CLOCKS_APART
        listed = await _list_charges(context, customer, since, of_customer)
        if isinstance(listed, Refused):
            failed += len(of_customer)
            continue
        failed += await _ask_one_by_one(
            context, [topup for intent, topup in of_customer.items() if intent not in listed]
        )
    await context.apart(_note_unread, failed)
    return failed


def _note_unread(context: TopupContext, failed: int) -> None:
    """Notify of charges that could not be read on two days in a row, once: a refund might be missed."""
    now = context.clock.now()
    with context.store.write(durable=True) as tx:
        if not failed:
            ledger_notes.clear_bookmark(tx, _UNREAD)
            return
        since = _failing_since(tx, _UNREAD, now)
        if now - since >= UNREAD_NOTIFIED_AFTER:
            message = f"refunds and disputes of {failed} charges cannot be seen: Stripe does not list them"
            _ask_everyone(context, tx, ReviewReason.CHARGES_UNREAD, message, since)


def _ask_everyone(context: TopupContext, tx: Transaction, reason: ReviewReason, message: str, since: datetime) -> None:
    """Ask for a review, once per account that is charged."""
    now = context.clock.now()
    accounts = [context.account(one) for one in context.charging()]
    context.apply(tx, [stops.review_notice(one, now, reason, message, since) for one in accounts])


async def _list_charges(
    context: TopupContext, customer: str, since: datetime, ours: Mapping[str | None, Topup]
) -> set[str | None] | Refused:
    """Process a customer's charges, at most ten pages; return the PaymentIntents of ours that they show."""
    seen: set[str | None] = set()
    after: str | None = None
    for _ in range(MOST_PAGES):
        page = await context.gateway.charges_of(customer, since, after)
        if isinstance(page, Refused):
            return seen if page.kind in GONE else page
        for charge in page.value.items:
            if (topup := ours.get(charge.payment_intent)) is not None:
                seen.add(charge.payment_intent)
                await context.apart(record_returns_of, topup, charge)
        if not page.value.has_more or not page.value.items:
            break
        after = page.value.items[-1].id
    return seen


async def _ask_one_by_one(context: TopupContext, topups: Sequence[Topup]) -> int:
    failed = 0
    for topup in topups:
        page = await context.gateway.charges(topup.payment_intent or "")
        if isinstance(page, Refused):
            failed += 1
            continue
        for charge in page.value.items:
            await context.apart(record_returns_of, topup, charge)
    return failed
