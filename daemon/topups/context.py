"""What the charging works with, handed in once; how changes are committed, and how Stripe's failures are counted."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Concatenate, ParamSpec, TypeVar, assert_never

import structlog

from alerts.model.instants import from_ms, rfc3339, to_ms
from alerts.model.reasons import SuspendedReason
from daemon.clock import Clock
from daemon.config.model import Config, TopupConfig, TopupMode
from daemon.resources.ceiling import bounded
from daemon.store import ledger, ledger_notes, returns
from daemon.store.connection import Connection, Store, Transaction
from daemon.store.outbox import Outbox
from daemon.store.topup_rows import EVERYWHERE, Bookmark, Stop, StopKind
from daemon.stripe.answers import NO_ANSWER, NO_USE_WAITING, REFUSED_KEY, Answered, Refused
from daemon.stripe.gateway import Gateway
from daemon.topups.policy import stops
from daemon.topups.policy.gate import GateName
from daemon.topups.policy.step import (
    Account,
    Change,
    ClearBookmark,
    Count,
    Doing,
    Emit,
    LiftCardStops,
    NotifyOnce,
    SetBookmark,
    SetStop,
)

log = structlog.get_logger("brimful.topups")

PROBE_EVERY = timedelta(minutes=10)
"""How often Stripe is asked anew while the breaker is open."""
FAILING_NOTIFY_AFTER = timedelta(minutes=30)
FAILED_ANEW_AFTER = timedelta(days=1)
REQUESTS = frozenset({Doing.CREATING, Doing.CONFIRMING, Doing.CANCELING})
_NOT_WANTED = frozenset(GateName) - {GateName.READING}
"""Gates whose refusal shows that nothing was to be read for a charge. A second read that fails is one of `reading`."""


P = ParamSpec("P")
T = TypeVar("T")


@dataclass(slots=True)
class TopupContext:
    """The parts, and what went wrong in the last pass (`last_errors`: a sentence by account). `config` may change.

    What is not `async` and asks the ledger runs by `apart`: of a server's store on the lane of the money.
    """

    config: Config
    store: Store
    outbox: Outbox
    gateway: Gateway
    clock: Clock
    rng: random.Random
    last_errors: dict[str, str] = field(default_factory=dict)
    is_current: Callable[[Connection, Config], bool] = lambda conn, config: True
    """Whether `config` is all that is stored: another process may have changed it a moment ago."""
    holds: Callable[[str], bool] = lambda account: True  # of a fleet only one charges an account
    ran_at: dict[str, datetime] = field(default_factory=dict)
    """When this process last did a job that is done over and over."""

    def topup(self, account: str) -> TopupConfig | None:
        """Return the account's top-up configuration within the ceiling, None where it has none (any more)."""
        found = self.config.accounts.get(account)
        return bounded(found, self.config.api) if found is not None else None

    async def apart(self, work: Callable[Concatenate[TopupContext, P], T], *args: P.args, **more: P.kwargs) -> T:
        """Run what reads and writes the ledger as one piece, by one configuration, while other work goes on."""
        return await self.store.apart(work, copy(self), *args, **more)

    async def read(self, query: Callable[Concatenate[Connection, P], T], *args: P.args, **more: P.kwargs) -> T:
        """Ask the ledger."""
        return await self.store.apart(query, self.store.reader, *args, **more)

    def account(self, id: str) -> Account:
        """Return the account as it is configured, and when a person last let it be charged again."""
        found = self.config.accounts.get(id)
        provider = found.info.provider if found is not None else "unknown"
        resumed = ledger_notes.bookmark(self.store.reader, Bookmark.RESUMED.of(id))
        return Account(id, provider, self.topup(id), resumed[0] if resumed is not None else None)

    def charging(self) -> tuple[str, ...]:
        """Return the accounts that are charged."""
        accounts = self.config.accounts.values()
        return tuple(one.id for one in accounts if one.topup is not None and one.topup.mode is TopupMode.CHARGE)

    # ── changes ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def commit(self, *changes: Change) -> None:
        """Commit changes in a transaction of their own."""
        await self.apart(TopupContext.write, *changes)

    def write(self, *changes: Change) -> None:
        """Commit changes in a transaction of their own."""
        if changes:
            with self.store.write(durable=True) as tx:
                self.apply(tx, changes)

    def apply(self, tx: Transaction, changes: Iterable[Change]) -> None:
        """Write changes down in the caller's transaction, with the events that go out for them."""
        now = self.clock.now()
        for change in changes:
            match change:
                case Emit(draft):
                    self.outbox.append(tx, draft, now)
                case SetStop(stop, draft, always, code):
                    if stop.fingerprint is not None:
                        ledger_notes.remember_card(tx, stop.scope, stop.fingerprint, code or stop.reason, now)
                    if ledger_notes.stop(tx, stop) or always:
                        self.outbox.append(tx, draft, now)
                case NotifyOnce(what, window, draft):
                    if ledger_notes.notify_once(tx, draft.account or "", what, window, now):
                        self.outbox.append(tx, draft, now)
                case Count(account, gate, detail, gates, is_error):
                    ledger_notes.count_decision(tx, account, gate, now, detail=detail, gates=gates)
                    if is_error:
                        returns.count_refusal(tx, account, gate, now.astimezone(self.config.timezone).date(), detail)
                        self.last_errors[account] = f"{account}: not charged: {detail}"
                case LiftCardStops(account):
                    ledger_notes.lift_for_card(tx, account)
                case SetBookmark(name, at, text):
                    ledger.set_bookmark(tx, name, at, text)
                case ClearBookmark(name):
                    ledger_notes.clear_bookmark(tx, name)
                case _:
                    assert_never(change)

    # ── failures ────────────────────────────────────────────────────────────────────────────────────────────────

    async def note(self, account: str, doing: Doing, outcome: Answered[Any] | Refused) -> None:
        """Note how Stripe answered: a dead key opens the breaker, and what it does not answer for long is told."""
        await self.apart(TopupContext._note, account, doing, outcome)

    def _note(self, account: str, doing: Doing, outcome: Answered[Any] | Refused) -> None:
        if isinstance(outcome, Answered):
            self.reached(account, doing)
            return
        is_request = doing in REQUESTS
        if not is_request and doing is not Doing.READING_BACK:
            self.last_errors[account] = f"{account}: Stripe could not be asked ({doing}): {outcome.message}"
        if outcome.kind in REFUSED_KEY:
            self._trip(outcome)
        elif is_request and outcome.kind not in NO_ANSWER and doing is not Doing.CANCELING:
            self.reached(account, doing)
        elif doing is Doing.READING_BACK:
            return
        elif outcome.gone is not None:
            view, reason, gone = self.account(account), SuspendedReason.CUSTOMER_GONE, outcome.gone
            self.write(stops.account_stop(view, self.clock.now(), reason, outcome.message, gone, gone))
        elif is_request or outcome.kind not in NO_USE_WAITING:
            self.failing(account, doing, outcome.message)
        elif doing is not Doing.READING_METHOD:  # whoever asked says what is wrong with the method
            self.write(self.notice(account, SuspendedReason.STRIPE_LIST, outcome.message))

    def notice(self, account: str, reason: SuspendedReason, message: str) -> Change:
        """Return that an account is not charged, told once a day."""
        return stops.daily_notice(self.account(account), self.clock.now(), reason, message)

    def failing(
        self, account: str, doing: Doing, message: str, reason: SuspendedReason = SuspendedReason.STRIPE_UNREACHABLE
    ) -> None:
        """Tell what fails once it lasts. Each thing asked counts for itself, until it is answered."""
        now, name = self.clock.now(), Bookmark.FAILING.of(account, doing)
        with self.store.write(durable=True) as tx:
            bookmark = ledger_notes.bookmark(tx, name)
            last = from_ms(int(bookmark[1])) if bookmark is not None and bookmark[1].isdigit() else None
            since = now if bookmark is None or last is None or _is_over(tx, account, doing, last, now) else bookmark[0]
            ledger.set_bookmark(tx, name, since, str(to_ms(now)))
            if now - since >= FAILING_NOTIFY_AFTER:
                self.apply(tx, [self.notice(account, reason, f"{doing}: {message} (since {rfc3339(since)})")])

    def reached(self, account: str, doing: Doing) -> None:
        """Note that an answer came: the next failure begins to count anew."""
        name = Bookmark.FAILING.of(account, doing)
        if ledger_notes.bookmark(self.store.reader, name) is not None:
            self.write(ClearBookmark(name))

    def _trip(self, refused: Refused) -> None:
        """Open the breaker over all accounts; each of them is told, once a day."""
        now, reason = self.clock.now(), SuspendedReason.STRIPE_CREDENTIALS
        with self.store.write(durable=True) as tx:
            ledger_notes.stop(tx, Stop(EVERYWHERE, StopKind.BREAKER, reason, refused.message, now))
            ledger_notes.probe_later(tx, EVERYWHERE, StopKind.BREAKER, now + PROBE_EVERY)
            self.apply(tx, [self.notice(one, reason, refused.message) for one in self.charging()])
        log.error("breaker_open", message=refused.message, request_id=refused.request_id)


def _is_over(tx: Transaction, account: str, doing: Doing, last: datetime, now: datetime) -> bool:
    """Whether what failed at `last` is over, so that a failure of now is another one.

    After a day a request was given up. A read is over only where a gate refused in between, so that it was not wanted:
    an account may be polled once a day. An instant that lies ahead was written by a clock that was.
    """
    if timedelta() <= now - last < FAILED_ANEW_AFTER:
        return False
    if last > now or doing in REQUESTS:
        return True
    counts = ledger_notes.decisions(tx, account)
    return any(one.gate in _NOT_WANTED and one.last_at > last for one in counts)
