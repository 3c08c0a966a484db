"""The reconciler: refunds and disputes every quarter of an hour, the audit of every account once a day."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from alerts.model.instants import EPOCH
from alerts.model.reasons import ReviewReason
from daemon.journal import holding
from daemon.reconcile import refunds
from daemon.reconcile.audit import audit
from daemon.store import ledger, ledger_notes
from daemon.topups.policy import stops
from daemon.topups.policy.step import Doing
from daemon.topups.service import TopupService

_AUDIT = "audit:"
AUDITED_A_PASS = 150
"""Accounts audited in one pass of reconciliation, every 15 minutes: 14,400 a day."""
AUDIT_EVERY = timedelta(days=1)
AUDIT_AGAIN_AFTER = timedelta(hours=1)
"""When an audit is tried again after Stripe could not be read."""


class Reconciler:
    """Compares ledger, Stripe and balance history. It never charges."""

    def __init__(self, topups: TopupService) -> None:
        self._topups = topups
        self._context = topups.context
        self.reads_events: Callable[[], bool] = lambda: True
        """Whether this process reads what concerns all accounts: of a fleet only one does."""

    async def run_due(self, now: datetime) -> datetime | None:
        """Reconcile if it is due; return when it is due next."""
        due = refunds.due_at(self._context)
        if due is None or due > self._context.clock.now():  # "at once" is later than `now`: that was read before
            return due
        if self.reads_events():
            await refunds.read_events(self._context)
        else:
            refunds.leave_events(self._context)
        await self._audit(now)
        return refunds.due_at(self._context)

    async def _audit(self, now: datetime) -> None:
        """Once a day: read refunds and disputes from our own charges, and audit every account."""
        (done_at,) = ledger_notes.bookmark_times(self._context.store.reader, ("audit",))
        if self.reads_events() and self._is_due_again("audit", done_at, now):
            await refunds.read_charges(self._context)
            with self._context.store.write(durable=True) as tx:
                ledger.set_bookmark(tx, "audit", now)
        for account in self._accounts_to_audit(now)[:AUDITED_A_PASS]:
            await self._audit_account(account, now)

    def _accounts_to_audit(self, now: datetime) -> list[str]:
        """Return the accounts not audited for a day, the longest waiting first."""
        done = ledger_notes.bookmarks_under(self._context.store.reader, _AUDIT)
        waiting = [
            (done.get(f"{_AUDIT}{account}", EPOCH), account)
            for account in self._context.charging()
            if self._context.holds(account)
            if self._is_due_again(f"{_AUDIT}{account}", done.get(f"{_AUDIT}{account}"), now)
        ]
        return [account for _, account in sorted(waiting)]

    def _is_due_again(self, job: str, done_at: datetime | None, now: datetime) -> bool:
        """Whether a job was not done for a day, nor tried by this process for an hour."""
        tried_at = self._context.ran_at.get(job)
        if tried_at is not None and timedelta() <= now - tried_at < AUDIT_AGAIN_AFTER:
            return False
        return done_at is None or not timedelta() <= now - done_at < AUDIT_EVERY

    async def _audit_account(self, account: str, now: datetime) -> None:
        """Audit an account and notify of each disagreement once. If Stripe cannot be read, note that and try again."""
        job = f"{_AUDIT}{account}"
        self._context.ran_at[job] = now
        async with holding(self._topups.locks[account], account=account):
            if not self._context.holds(account):
                return
            said = await audit(self._context, account)
        if said.refused is not None:
            self._context.note(account, Doing.LISTING, said.refused)
            return
        self._context.reached(account, Doing.LISTING)
        with self._context.store.write(durable=True, lock=account) as tx:
            view = self._context.account(account)
            for finding in (one for one in said.findings if not one.notified):
                message = f"{finding.payment_intent}: ledger {finding.ledger}; Stripe {finding.stripe}; "
                reason = f"{ReviewReason.AUDIT}:{finding.payment_intent}"
                notice = stops.review_notice(view, now, reason, message + finding.history)
                self._context.apply(tx, [notice])
            ledger.set_bookmark(tx, job, now)
