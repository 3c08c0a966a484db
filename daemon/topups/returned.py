"""What was given back: refunds and disputes, as a list, a charge or an event shows them. Each is told once.

The account is suspended; nothing is ever refunded automatically.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from alerts.model.money import format_usd, from_cents, to_number
from alerts.model.reasons import SuspendedReason
from daemon.store import ledger_reads, returns
from daemon.store.connection import Transaction
from daemon.store.topup_rows import Stop, StopKind, Topup
from daemon.stripe.intents import Listing
from daemon.stripe.objects import Charge
from daemon.topups.context import TopupContext
from daemon.topups.policy import messages
from daemon.topups.policy.step import SetStop

CHARGES_FOR = timedelta(days=120)
"""How long a charge is watched for what is given back of it."""


def refunded(context: TopupContext, topup: Topup, total_cents: int, about: str, at: datetime | None = None) -> None:
    """Suspend the account of a charge that was refunded, and tell it, once a refund and with its amount.

    `total_cents` is what has been refunded of the charge so far; `at` is Stripe's time of it, where that is told.
    """
    with context.store.write(durable=True, lock=topup.account) as tx:
        cents = returns.refund(tx, topup, total_cents, at, context.clock.now())
        if cents > 0:
            _suspend(context, tx, topup, SuspendedReason.REFUNDED, str(total_cents), cents, about)


def disputed(
    context: TopupContext, topup: Topup, dispute: str | None, cents: int | None, about: str, at: datetime | None = None
) -> None:
    """Suspend the account of a charge that is disputed, and tell it, once a dispute.

    A charge says only that it is disputed: the first dispute that is named afterwards was told already.
    """
    with context.store.write(durable=True, lock=topup.account) as tx:
        number = returns.dispute(tx, topup, dispute, cents, at, context.clock.now())
        if number > 0:
            _suspend(context, tx, topup, SuspendedReason.DISPUTED, str(number), cents, about)


def _suspend(
    context: TopupContext,
    tx: Transaction,
    topup: Topup,
    reason: SuspendedReason,
    window: str,
    cents: int | None,
    about: str,
) -> None:
    """Suspend the account, and tell it though it is suspended already. `cents`: what is given back, where known."""
    now, account = context.clock.now(), context.account(topup.account)
    returned = topup.amount_microusd if cents is None else from_cents(cents)
    message = f"{format_usd(returned)} of {format_usd(topup.amount_microusd)} {reason}: {about}"
    more = {} if cents is None else {"returned_usd": to_number(returned)}
    draft = messages.account_stopped(account, now, reason, message, f"{topup.id}:{window}", topup, more=more)
    stop = Stop(account.id, StopKind.SUSPENSION, reason, message, now, topup.id)
    context.apply(tx, [SetStop(stop, draft, always=True)])


def record_returns(context: TopupContext, listed: Listing) -> None:
    """Take in what a list shows of refunds and disputes: no charge follows one that nobody has heard of yet."""
    since = context.clock.now() - CHARGES_FOR
    for one in listed.ours:
        charge = one.intent.charge
        if charge is None or charge.created_at < since or not (charge.refunded_cents or charge.disputed):
            continue
        topup = ledger_reads.get(context.store.reader, one.intent.id)
        if topup is not None:
            record_returns_of(context, topup, charge)


def record_returns_of(context: TopupContext, topup: Topup, charge: Charge) -> None:
    """Take in what a charge shows of refunds and disputes."""
    about = f"{charge.id} of {topup.payment_intent}"
    if charge.refunded_cents:
        refunded(context, topup, charge.refunded_cents, about)
    if charge.disputed:
        disputed(context, topup, None, None, about)
