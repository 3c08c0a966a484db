"""What the charging works with, handed in once; how changes are committed, and how Stripe's failures are counted."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol, assert_never

import structlog

from alerts.model.events import Event, EventDraft
from alerts.model.instants import from_ms, to_ms
from alerts.model.reasons import SuspendedReason
from daemon.clock import Clock
from daemon.config.model import Config, TopupConfig, TopupMode
from daemon.store import ledger, ledger_notes
from daemon.store.connection import Store, Transaction
from daemon.store.topup_rows import EVERYWHERE, StopKind
from daemon.stripe.answers import NO_ANSWER, NO_USE_WAITING, REFUSED_KEY, Answered, Refused
from daemon.stripe.gateway import Gateway
from daemon.topups.policy import stops
from daemon.topups.policy.step import (
    Account,
    Change,
    ClearBookmark,
    Count,
    Doing,
    Emit,
    LiftCardStops,
    NotifyOnce,
    Reached,
    RememberCard,
    SetBookmark,
    SetStop,
)

log = structlog.get_logger("brimful.topups")

UNREACHABLE_TOLD_AFTER = timedelta(minutes=30)
SAME_FAILURE_WITHIN = timedelta(days=1)
_REQUESTS = frozenset({Doing.CREATING, Doing.CONFIRMING, Doing.CANCELING})


class EventSink(Protocol):
    """Where events are committed, in the caller's transaction."""

    def append(self, tx: Transaction, draft: EventDraft, now: datetime) -> Event: ...


@dataclass(frozen=True, slots=True)
class TopupContext:
    """The parts, and what went wrong in the last pass (`last_errors`: a sentence by account)."""

    config: Config
    store: Store
    outbox: EventSink
    gateway: Gateway
    clock: Clock
    rng: random.Random
    last_errors: dict[str, str] = field(default_factory=dict)
    ran_at: dict[str, datetime] = field(default_factory=dict)
    """When this process last did a job that is done over and over."""

    def topup(self, account: str) -> TopupConfig | None:
        """Return the account's top-up configuration, None where it has none (any more)."""
        found = self.config.accounts.get(account)
        return found.topup if found is not None else None

    def account(self, id: str, conn: sqlite3.Connection | None = None) -> Account:
        """Return the account as it is configured, and when a person last let it go on."""
        found = self.config.accounts.get(id)
        resumed = ledger_notes.bookmark(conn or self.store.reader, resumed_mark(id))
        return Account(
            id,
            found.info.provider if found is not None else "unknown",
            self.topup(id),
            resumed[0] if resumed is not None else None,
        )

    def charging(self) -> tuple[str, ...]:
        """Return the accounts that are charged."""
        accounts = self.config.accounts.values()
        return tuple(one.id for one in accounts if one.topup is not None and one.topup.mode is TopupMode.CHARGE)

    # ── changes ─────────────────────────────────────────────────────────────────────────────────────────────────

    def commit(self, *changes: Change) -> None:
        """Commit changes in a transaction of their own."""
        if changes:
            with self.store.write(durable=True) as tx:
                self.apply(tx, changes, self.clock.now())

    def apply(self, tx: Transaction, changes: Iterable[Change], now: datetime) -> None:
        """Write changes down in the caller's transaction, with the events that go out for them."""
        for change in changes:
            match change:
                case Emit(draft):
                    self.outbox.append(tx, draft, now)
                case SetStop(stop, draft, always):
                    if ledger_notes.stop(tx, stop) or always:
                        self.outbox.append(tx, draft, now)
                case NotifyOnce(account, what, window, draft):
                    if ledger_notes.notify_once(tx, account, what, window, now):
                        self.outbox.append(tx, draft, now)
                case Count(account, gate, detail, gates, is_error):
                    ledger_notes.count_decision(tx, account, gate, now, detail=detail, gates=gates)
                    if is_error:
                        self.last_errors[account] = f"{account}: not charged: {detail}"
                case RememberCard(account, fingerprint, code):
                    ledger_notes.remember_card(tx, account, fingerprint, code, now)
                case LiftCardStops(account):
                    ledger_notes.lift_for_card(tx, account)
                case Reached(account, doing):
                    ledger_notes.clear_bookmark(tx, _failing_mark(account, doing))
                case SetBookmark(name, at, text):
                    ledger.set_bookmark(tx, name, at, text)
                case ClearBookmark(name):
                    ledger_notes.clear_bookmark(tx, name)
                case _:
                    assert_never(change)

    # ── how Stripe answers ──────────────────────────────────────────────────────────────────────────────────────

    def note(self, account: str, doing: Doing, outcome: Answered[Any] | Refused) -> None:
        """Note how Stripe answered: a dead key opens the breaker, and what it does not answer for long is told."""
        if isinstance(outcome, Answered):
            self.reached(account, doing)
            return
        is_request = doing in _REQUESTS
        if not is_request:
            self._read_failed(account, doing, outcome)
        if outcome.kind in REFUSED_KEY:
            self._trip(outcome)
        elif is_request and outcome.kind not in NO_ANSWER and doing is not Doing.CANCELING:
            self.reached(account, doing)
        elif doing is Doing.READING_BACK:
            return
        elif outcome.gone is not None:
            gone = stops.customer_gone(self.account(account), self.clock.now(), outcome.gone, outcome.message)
            self.commit(gone)
        elif not is_request and outcome.kind in NO_USE_WAITING:
            if doing is not Doing.READING_METHOD:  # whoever asked says what is wrong with the method
                self.commit(
                    stops.daily_notice(
                        self.account(account), self.clock.now(), SuspendedReason.STRIPE_LIST, outcome.message
                    )
                )
        else:
            self._failing(account, doing, outcome)

    def _read_failed(self, account: str, doing: Doing, refused: Refused) -> None:
        if doing is not Doing.READING_BACK:
            self.last_errors[account] = f"{account}: Stripe could not be asked ({doing}): {refused.message}"

    def _failing(self, account: str, doing: Doing, refused: Refused) -> None:
        """Tell what fails once it lasts. Each thing asked counts for itself, until it is answered.

        A failure of another day was another one: what was given up then was never reached, nor asked again.
        """
        now, name = self.clock.now(), _failing_mark(account, doing)
        with self.store.write(durable=True) as tx:
            mark = ledger_notes.bookmark(tx, name)
            since = mark[0] if mark is not None and _is_recent(mark[1], now) else now
            ledger.set_bookmark(tx, name, since, str(to_ms(now)))
            if now - since >= UNREACHABLE_TOLD_AFTER:
                message = f"{doing}: {refused.message}"
                notice = stops.daily_notice(self.account(account, tx), now, SuspendedReason.STRIPE_UNREACHABLE, message)
                self.apply(tx, [notice], now)

    def reached(self, account: str, doing: Doing) -> None:
        """Note that Stripe answered: the next failure begins to count anew."""
        if ledger_notes.bookmark(self.store.reader, _failing_mark(account, doing)) is not None:
            self.commit(Reached(account, doing))

    def _trip(self, refused: Refused) -> None:
        """Open the breaker over all accounts; each of them is told, once a day."""
        now = self.clock.now()
        stop = stops.breaker(now, refused.message)
        with self.store.write(durable=True) as tx:
            if not ledger_notes.stop(tx, stop):
                ledger_notes.probe_later(tx, EVERYWHERE, StopKind.BREAKER, now + stops.PROBE_EVERY)
            accounts = [self.account(one, tx) for one in self.charging()]
            notices = [
                stops.daily_notice(one, now, SuspendedReason.STRIPE_CREDENTIALS, refused.message) for one in accounts
            ]
            self.apply(tx, notices, now)
        log.error("breaker_open", message=refused.message, request_id=refused.request_id)


def resumed_mark(account: str) -> str:
    """Return the name under which it is remembered when a person last let the account go on."""
    return f"released:{account}"


def _failing_mark(account: str, doing: Doing) -> str:
    return f"unreachable:{account}:{doing}"


def _is_recent(last_ms: str, now: datetime) -> bool:
    """Whether the failure before was less than a day ago; one that lies ahead was seen by a clock that was."""
    return last_ms.isdigit() and timedelta() <= now - from_ms(int(last_ms)) < SAME_FAILURE_WITHIN
