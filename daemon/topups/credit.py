"""The credit watch: a charge is over when the balance shows it, whoever looks and whatever was burnt meanwhile.

`funded` = balance + total charged = every dollar ever credited: usage leaves it alone, only a credit raises it.
Providers without a running total fall back to a rise of the balance, which is weaker, and `check` says so.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from alerts.readings import Known, Metrics
from daemon.store import ledger, ledger_notes, ledger_reads, readings
from daemon.store.connection import Transaction
from daemon.store.ledger import Topup
from daemon.topups import events
from daemon.topups.bench import Bench, log
from daemon.topups.states import UNDER_WAY_AFTER_PAID, State

WARN_AFTER = timedelta(minutes=30)
TOLD_AFTER = UNDER_WAY_AFTER_PAID
UNREAD_FOR = timedelta(minutes=30)
"""So long a reading is waited for then, before it is told that there is none."""
POLLED_WITHIN = timedelta(minutes=5)
"""An account with an open top-up is polled as often as this."""
_RISE_PERCENT = 90
"""Without a running total: so much of the amount must the balance have risen above its lowest since the plan."""


def is_seen(topup: Topup, metrics: Metrics) -> bool:
    """Whether a believed reading shows the credit of the top-up."""
    if topup.funded_before_microusd is not None:
        funded = metrics.funded_microusd
        return funded is not None and funded >= topup.funded_before_microusd + topup.amount_microusd
    low, balance = topup.low_balance_microusd, metrics.balance_microusd
    if low is None or balance is None:
        return False
    return balance >= low + topup.amount_microusd * _RISE_PERCENT // 100


def credit_wake(topup: Topup, now: datetime) -> datetime | None:
    """Return when silence about the credit is told next; None once it was."""
    if topup.paid_at is None:
        return None
    if topup.warned_at is None:
        return topup.paid_at + WARN_AFTER
    return topup.paid_at + TOLD_AFTER if topup.told_at is None else None


def see(bench: Bench, topup: Topup, known: Known, now: datetime) -> Topup:
    """Judge the credit by a believed reading; seen, the slot is free again and that is told."""
    metrics = known.metrics
    with bench.store.write(durable=True) as tx:
        current = ledger_reads.get(tx, topup.id)
        assert current is not None, "the ledger forgets nothing"
        if current.state is State.PAID and is_seen(current, metrics):
            after = ledger.move(
                tx,
                current,
                State.CREDITED,
                now,
                reason="the credit is seen",
                credited_at=known.at,
                credited_microusd=metrics.funded_microusd or metrics.balance_microusd,
                next_at=None,
            )
            bench.tell(tx, [events.credited(after, bench.provider(topup.account), now, observed_at=known.at)], now)
            ledger_notes.clear_mark(tx, _unread(current))
            return after
        balance, low = metrics.balance_microusd, current.low_balance_microusd
        if current.funded_before_microusd is None and balance is not None and (low is None or balance < low):
            current = ledger.change(tx, current, now, low_balance_microusd=balance)
        return _tell(bench, tx, current, now) if _is_missing(current, known.at) else current


def watch(bench: Bench, topup: Topup, now: datetime) -> Topup:
    """Warn when the credit is 30 minutes late; after two hours wait for a reading that says whether it came.

    `see` tells with the first one that it did not. Without any for 30 minutes it is told that nobody knows.
    """
    if topup.state is not State.PAID or topup.paid_at is None:
        return topup
    late = now - topup.paid_at
    with bench.store.write(durable=True) as tx:
        current = ledger_reads.get(tx, topup.id)
        assert current is not None, "the ledger forgets nothing"
        if current.state is not State.PAID or current.untold:
            return ledger.change(tx, current, now, next_at=None)
        if _is_missing(current, now):
            return _wait_for_reading(bench, tx, current, now)
        if late >= WARN_AFTER and current.warned_at is None:
            log.warning("credit_late", topup=topup.id, minutes=late // timedelta(minutes=1))
            return ledger.change(
                tx, current, now, warned_at=now, next_at=current.paid_at and current.paid_at + TOLD_AFTER
            )
        return ledger.change(tx, current, now, next_at=credit_wake(current, now))


def _is_missing(topup: Topup, at: datetime) -> bool:
    """Whether at `at` the credit is so late that it is told, and it was not yet."""
    if topup.state is not State.PAID or topup.untold or topup.told_at is not None or topup.paid_at is None:
        return False
    return at - topup.paid_at >= TOLD_AFTER


def _wait_for_reading(bench: Bench, tx: Transaction, topup: Topup, now: datetime) -> Topup:
    """The credit may have come while nobody looked (the machine was off, the provider away): wait for a reading."""
    since = ledger_notes.marked(tx, _unread(topup))
    if since is None:
        ledger.mark(tx, _unread(topup), now)
        return ledger.change(tx, topup, now, next_at=now + UNREAD_FOR)
    if now - since[0] < UNREAD_FOR:
        return ledger.change(tx, topup, now, next_at=since[0] + UNREAD_FOR)
    if topup.next_at is not None and now - topup.next_at > POLLED_WITHIN:  # off again: has it been polled since?
        outage = readings.current_outage(tx, topup.account)
        if outage is None or now - outage.last_at > POLLED_WITHIN:
            return ledger.change(tx, topup, now, next_at=now + POLLED_WITHIN)
    return _tell(bench, tx, topup, now, unread=True)


def _tell(bench: Bench, tx: Transaction, topup: Topup, now: datetime, *, unread: bool = False) -> Topup:
    after = ledger.change(tx, topup, now, told_at=now, warned_at=topup.warned_at or now, next_at=None)
    bench.tell(tx, [events.not_credited(after, bench.provider(topup.account), now, unread=unread)], now)
    ledger_notes.clear_mark(tx, _unread(topup))
    return after


def _unread(topup: Topup) -> str:
    """The mark that says since when a reading is waited for."""
    return f"credit_unread:{topup.id}"
