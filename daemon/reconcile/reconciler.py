"""The reconciler: refunds and disputes every quarter of an hour, the audit of every account once a day."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from alerts.model.instants import EPOCH
from alerts.model.reasons import ReviewReason
from daemon.journal import holding
from daemon.reconcile import refunds
from daemon.reconcile.audit import Audit, audit
from daemon.store import ledger, ledger_notes
from daemon.topups.context import TopupContext
from daemon.topups.policy import stops
from daemon.topups.policy.step import Doing, SetBookmark
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
        due = await self._context.apart(refunds.due_at)
        if due is None or due > self._context.clock.now():  # "at once" is later than `now`: that was read before
            return due
        if self.reads_events():
            await refunds.read_events(self._context)
        else:
            refunds.leave_events(self._context)
        await self._audit(now)
        return await self._context.apart(refunds.due_at)

    async def _audit(self, now: datetime) -> None:
        """Once a day: read refunds and disputes from our own charges, and audit every account."""
        (done_at,) = await self._context.read(ledger_notes.bookmark_times, ("audit",))
        if self.reads_events() and self._is_due_again("audit", done_at, now):
            await refunds.read_charges(self._context)
            await self._context.commit(SetBookmark("audit", now))
        for account in (await self._accounts_to_audit(now))[:AUDITED_A_PASS]:
            await self._audit_account(account, now)

    async def _accounts_to_audit(self, now: datetime) -> list[str]:
        """Return the accounts not audited for a day, the longest waiting first."""
        done = await self._context.read(ledger_notes.bookmarks_under, _AUDIT)
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
                await self._context.note(account, Doing.LISTING, said.refused)
            else:
                await self._context.apart(_take, said, job, now)


def _take(context: TopupContext, said: Audit, job: str, now: datetime) -> None:
    """Notify of each disagreement once, and note that the account was audited."""
    account = said.account
    context.reached(account, Doing.LISTING)
    with context.store.write(durable=True, lock=account) as tx:
        view = context.account(account)
        for finding in (one for one in said.findings if not one.notified):
            message = f"{finding.payment_intent}: ledger {finding.ledger}; Stripe {finding.stripe}; "
            reason = f"{ReviewReason.AUDIT}:{finding.payment_intent}"
            context.apply(tx, [stops.review_notice(view, now, reason, message + finding.history)])
        ledger.set_bookmark(tx, job, now)
