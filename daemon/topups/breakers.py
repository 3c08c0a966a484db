"""What stops charging by itself: an account's suspension, the breaker over all accounts, and the words that go with it.

Each is set in the caller's transaction, together with the event that tells it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from alerts.instants import from_ms, to_ms
from daemon.store import ledger, ledger_notes
from daemon.store.connection import Transaction
from daemon.store.ledger import Topup
from daemon.store.ledger_notes import CUSTOMER_GONE, EVERYWHERE, Stop, StopKind
from daemon.topups import events
from daemon.topups.answers import KEY_REFUSED, AnswerKind
from daemon.topups.bench import Bench, log
from daemon.topups.declines import Decline
from daemon.topups.gateway import Refused

PROBE_EVERY = timedelta(minutes=10)
_KEY_IS_GOOD = frozenset({AnswerKind.MISSING, AnswerKind.INTENT_MISSING, AnswerKind.BAD_REQUEST})
"""Refusals of a read that only a key that is good can meet: the customer is gone, say."""
NO_USE_WAITING = frozenset(
    {AnswerKind.BAD_REQUEST, AnswerKind.MISSING, AnswerKind.INTENT_MISSING, AnswerKind.WRONG_MODE}
)
"""Refusals of a read that time does not heal."""
UNREACHABLE_TOLD_AFTER = timedelta(minutes=30)
SAME_FAILURE_WITHIN = timedelta(days=1)
CREDENTIALS = "stripe_credentials"
LISTING = "listing PaymentIntents"
LISTING_CHARGES = "listing charges"
READING_METHOD = "reading the payment method"
CREATING = "creating a PaymentIntent"
CONFIRMING = "confirming a PaymentIntent"
CANCELING = "canceling a PaymentIntent"


def suspend(
    bench: Bench,
    tx: Transaction,
    account: str,
    now: datetime,
    *,
    reason: str,
    message: str,
    window: str,
    topup: Topup | None = None,
    fingerprint: str | None = None,
) -> bool:
    """Stop charging the account until a person resumes it, and tell it. Returns whether it was not stopped for this.

    A `fingerprint` is that of a card which is not tried again.
    """
    if fingerprint is not None:
        ledger_notes.remember_card(tx, account, fingerprint, reason, now)
    new = ledger_notes.stop(
        tx,
        Stop(account, StopKind.SUSPENSION, reason, message, now, topup.id if topup else None, fingerprint),
    )
    if new:
        provider, named = bench.provider(account), bench.names_method(account)
        draft = events.suspended(account, provider, now, reason, message, window, topup, named=named)
        bench.tell(tx, [draft], now)
    return new


def released_mark(account: str) -> str:
    """Return the name under which it is remembered when a person last let the account go on."""
    return f"released:{account}"


def _since_resumed(tx: Transaction, account: str, window: str) -> str:
    """Return the window since a person last resumed the account: what stands in the way again is told again."""
    released = ledger_notes.marked(tx, released_mark(account))
    return window if released is None else f"{window}:{to_ms(released[0])}"


def suspend_for_card(bench: Bench, tx: Transaction, topup: Topup, now: datetime, decline: Decline) -> None:
    """Stop charging the account because of its card, and remember the card."""
    fingerprint = decline.fingerprint or topup.fingerprint
    reason = events.decline_reason(decline.kind)
    if fingerprint:
        ledger_notes.remember_card(tx, topup.account, fingerprint, decline.code, now)
    suspend(
        bench,
        tx,
        topup.account,
        now,
        reason=reason,
        message=f"{decline.code}: {decline.message}",
        window=topup.id,
        topup=topup,
        fingerprint=fingerprint,
    )


def review_account(
    bench: Bench, tx: Transaction, account: str, now: datetime, *, reason: str, message: str, window: str
) -> bool:
    """Stop charging the account until a person has looked, and tell it as `topup.needs_review`."""
    new = ledger_notes.stop(tx, Stop(account, StopKind.SUSPENSION, reason, message, now))
    if new:
        window = _since_resumed(tx, account, window)
        draft = events.account_needs_review(account, bench.provider(account), now, reason, message, window)
        bench.tell(tx, [draft], now)
    return new


def trips(refused: Refused) -> bool:
    """Whether an answer means that the key is no good: no account is charged until a good read."""
    return refused.kind in KEY_REFUSED


def trip(bench: Bench, now: datetime, refused: Refused) -> None:
    """Open the breaker over all accounts; each of them is told, once a day."""
    with bench.store.write(durable=True) as tx:
        stop = Stop(EVERYWHERE, StopKind.BREAKER, CREDENTIALS, refused.message, now, probe_at=now + PROBE_EVERY)
        if not ledger_notes.stop(tx, stop):
            ledger_notes.probe_later(tx, EVERYWHERE, StopKind.BREAKER, now + PROBE_EVERY)
        for account in bench.charging():
            tell_once(bench, tx, account, now, CREDENTIALS, refused.message)
    log.error("breaker_open", message=refused.message, request_id=refused.request_id)


async def probe(bench: Bench, now: datetime) -> datetime | None:
    """Ask Stripe anew where the breaker is open and its time has come; returns when the next probe is due."""
    stop = next((s for s in ledger_notes.stops(bench.store.reader) if s.kind is StopKind.BREAKER), None)
    if stop is None:
        return None
    if stop.probe_at is not None and timedelta() < stop.probe_at - now <= PROBE_EVERY:
        return stop.probe_at
    customers = [topup.customer for account in bench.charging() if (topup := bench.topup(account)) is not None]
    answer = await bench.gateway.intents(customers[0], limit=1) if customers else None
    now = bench.clock.now()
    with bench.store.write(durable=True) as tx:
        if answer is None or not isinstance(answer, Refused) or answer.kind in _KEY_IS_GOOD:
            ledger_notes.lift(tx, EVERYWHERE, StopKind.BREAKER)
            ledger.mark_latest(tx, now)
            return None
        ledger_notes.probe_later(tx, EVERYWHERE, StopKind.BREAKER, now + PROBE_EVERY)
    return now + PROBE_EVERY


def tell_once(bench: Bench, tx: Transaction, account: str, now: datetime, reason: str, message: str) -> None:
    """Tell that an account is not charged, once a day: for what ends by itself."""
    if ledger_notes.tell_once(tx, account, reason, events.day_of(now), now):
        provider, named = bench.provider(account), bench.names_method(account)
        draft = events.suspended(account, provider, now, reason, message, events.day_of(now), named=named)
        bench.tell(tx, [draft], now)


def note_unreachable(bench: Bench, account: str, now: datetime, refused: Refused, doing: str) -> None:
    """Stripe could not be asked where a charge was wanted: opens the breaker, or is told once it lasts."""
    bench.trouble(account, refused, doing)
    if trips(refused):
        trip(bench, now, refused)
    else:
        note_failing(bench, account, now, refused, doing)


def note_unlisted(bench: Bench, account: str, refused: Refused, doing: str) -> None:
    """Stripe could not be asked what is charged already: nothing is planned on a guess, and that is told.

    An earlier customer that Stripe does not list any more stops the account until a person has acknowledged it.
    """
    now = bench.clock.now()
    if refused.gone is None and refused.kind not in NO_USE_WAITING:
        note_unreachable(bench, account, now, refused, doing)
        return
    bench.trouble(account, refused, doing)
    with bench.store.write(durable=True) as tx:
        if refused.gone is None:
            tell_once(bench, tx, account, now, "stripe_list", refused.message)
        elif ledger_notes.stop(tx, Stop(account, StopKind.SUSPENSION, CUSTOMER_GONE, refused.message, now)):
            window = _since_resumed(tx, account, refused.gone)
            provider = bench.provider(account)
            bench.tell(tx, [events.customer_gone(account, provider, now, refused.gone, refused.message, window)], now)


def note_failing(bench: Bench, account: str, now: datetime, refused: Refused, doing: str) -> None:
    """Tell what Stripe does not answer once it lasts. Each thing asked counts for itself, until `note_reached`.

    A failure of another day was another one: what was given up then was never reached, nor asked again.
    """
    name = f"unreachable:{account}:{doing}"
    with bench.store.write(durable=True) as tx:
        mark = ledger_notes.marked(tx, name)
        since = mark[0] if mark is not None and _is_recent(mark[1], now) else now
        ledger.mark_run(tx, name, since, str(to_ms(now)))
        if now - since >= UNREACHABLE_TOLD_AFTER:
            tell_once(bench, tx, account, now, "stripe_unreachable", f"{doing}: {refused.message}")


def _is_recent(last_ms: str, now: datetime) -> bool:
    """Whether the failure before was less than a day ago; one that lies ahead was seen by a clock that was."""
    return last_ms.isdigit() and timedelta() <= now - from_ms(int(last_ms)) < SAME_FAILURE_WITHIN


def note_reached(bench: Bench, account: str, doing: str) -> None:
    """Stripe answered: the next failure begins to count anew."""
    if ledger_notes.marked(bench.store.reader, f"unreachable:{account}:{doing}") is not None:
        with bench.store.write(durable=False) as tx:
            note_done(tx, account, doing)


def note_done(tx: Transaction, account: str, doing: str) -> None:
    """What was asked has come about, whatever was answered: the next failure begins to count anew."""
    ledger_notes.clear_mark(tx, f"unreachable:{account}:{doing}")


def tell_review_once(
    bench: Bench, tx: Transaction, account: str, now: datetime, reason: str, message: str, since: datetime | None = None
) -> None:
    """Ask a person to look, once, without stopping anything: of what comes again, once for each day that it began."""
    window = "" if since is None else events.day_of(since)
    if ledger_notes.tell_once(tx, account, reason, window, now):
        of_which = f"{reason}:{window}" if window else reason
        draft = events.account_needs_review(account, bench.provider(account), now, reason, message, of_which)
        bench.tell(tx, [draft], now)


def suspend_and_tell(
    bench: Bench,
    tx: Transaction,
    topup: Topup,
    now: datetime,
    *,
    reason: str,
    message: str,
    window: str,
    returned_cents: int | None,
) -> None:
    """Suspend the account of a charge, and tell it even where the account stands suspended for the same already."""
    ledger_notes.stop(tx, Stop(topup.account, StopKind.SUSPENSION, reason, message, now, topup.id))
    provider = bench.provider(topup.account)
    draft = events.returned(topup, provider, now, reason, message, window, returned_cents)
    bench.tell(tx, [draft], now)
