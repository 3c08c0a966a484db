"""The kill switch in a transaction: a command's, or the API's with its audit.

A pause takes effect before the next confirm, whichever process makes it: the gates read it in the transaction that
writes the attempt.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from alerts.model.instants import rfc3339
from alerts.model.reasons import ReviewReason, SuspendedReason
from daemon.store import ledger, ledger_notes, ledger_reads, states
from daemon.store.connection import Transaction
from daemon.store.topup_rows import EVERYWHERE, Bookmark, Stop, StopKind

DAYS_AHEAD = timedelta(days=1)
"""A smaller step ends by itself soon enough."""
RETURNED = frozenset({SuspendedReason.REFUNDED, SuspendedReason.DISPUTED})
"""Why an account is suspended whose credit may be taken back."""


def pause(tx: Transaction, account: str | None, now: datetime) -> bool:
    """Charge nothing more, for an account or at all. Returns whether that is new."""
    scope = account or EVERYWHERE
    return ledger_notes.stop(tx, Stop(scope, StopKind.PAUSE, "paused by a person", "", now))


def resume(tx: Transaction, account: str | None, now: datetime, *, take_back_clock: bool = True) -> tuple[str, ...]:
    """End the pause, and for an account its suspension too; its refused cards may be tried again.

    The brake is released only where it was what held the account: who resumes after a decline has not seen the burn.

    After a refund or a dispute the provider may have taken the credit back: such a fall is accepted, too.
    Where the ledger has seen an instant that is days ahead, written by a clock that was, that is taken back
    (not for a customer: it concerns every account).
    Returns what was ended. Without an account only the pause over all accounts ends.
    """
    scope = account or EVERYWHERE
    ended = []
    stops = [stop for stop in ledger_notes.stops(tx) if stop.scope == scope and stop.kind is not StopKind.BREAKER]
    for stop in stops:
        ledger_notes.lift(tx, scope, stop.kind)
        ended.append(f"{stop.kind}: {stop.reason}")
    if account is None and (file := tx.pause_file()) is not None:
        file.unlink(missing_ok=True)
    if account is not None and any(stop.kind is StopKind.SUSPENSION for stop in stops):
        ledger_notes.forget_cards(tx, account)
        for stop in stops:
            if stop.fingerprint is not None:
                ledger_notes.forget_card(tx, stop.fingerprint)
            if stop.reason in RETURNED:  # the provider may take the credit back, too
                states.accept(tx, account, now)
        ledger.set_bookmark(tx, Bookmark.RESUMED.of(account), now)
        if any(stop.reason == ReviewReason.BURN_BRAKE for stop in stops):
            ledger.set_bookmark(tx, Bookmark.BRAKE_RELEASED.of(account), now)
    if take_back_clock:
        ended += _take_back_clock(tx, now)
    return tuple(ended)


def _take_back_clock(tx: Transaction, now: datetime) -> list[str]:
    """Believe the clock as it is now. Not while a top-up is open: how old its keys are, nobody could say."""
    latest = ledger_notes.bookmark(tx, Bookmark.LATEST)
    if latest is None or latest[0] - now < DAYS_AHEAD or ledger_reads.open_accounts(tx):
        return []
    ledger.set_bookmark(tx, Bookmark.LATEST, now)
    return [f"wait for {rfc3339(latest[0])}, which a clock that was ahead has written into the ledger"]
