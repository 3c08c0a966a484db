"""What a person says: pause, resume, acknowledge. Small transactions, safe beside a running daemon.

A pause takes effect before the next confirm, whichever process makes it: the gates read it in the transaction that
writes the attempt.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from alerts.model.money import format_usd
from alerts.model.reasons import SuspendedReason
from daemon.resources import pauses
from daemon.store import ledger, ledger_notes, ledger_reads, states
from daemon.store.connection import Store
from daemon.store.ledger import Moved
from daemon.store.topup_rows import EVERYWHERE, Bookmark, State, StopKind, Topup
from daemon.stripe.answers import GONE, Answered, AnswerKind, Refused
from daemon.stripe.objects import PaymentIntent
from daemon.topups.context import TopupContext
from daemon.topups.executor import run
from daemon.topups.listing import earlier_customers
from daemon.topups.policy.gate import GateName
from daemon.topups.policy.proceeding import ALIVE
from daemon.topups.policy.step import Acknowledged

DAYS_AHEAD = timedelta(days=1)
"""A smaller step ends by itself soon enough."""
RETURNED = frozenset({SuspendedReason.REFUNDED, SuspendedReason.DISPUTED})
"""Why an account is suspended whose credit may be taken back."""
_MONEY_MAY_MOVE = frozenset({State.CONFIRMING, State.PROCESSING, State.NEEDS_REVIEW, State.PAID})


class NothingToSay(Exception):  # noqa: N818 – the message is a sentence for a person
    """What was said does not apply; the message says why."""


def pause(store: Store, account: str | None, now: datetime) -> bool:
    """Charge nothing more, for an account or at all. Returns whether that is new."""
    with store.write(durable=True, lock=account or EVERYWHERE) as tx:
        return pauses.pause(tx, account, now)


def resume(store: Store, account: str | None, now: datetime) -> tuple[str, ...]:
    """End the pause, and for an account its suspension too. Returns what was ended."""
    with store.write(durable=True, lock=account or EVERYWHERE) as tx:
        return pauses.resume(tx, account, now)


def accept(store: Store, account: str, now: datetime) -> str:
    """Take the fall that the account's readings show for true, so that it is charged by them again.

    Takes effect with the next reading. Returns what was accepted; raises NothingToSay where nothing has fallen.
    """
    with store.write(durable=True, lock=account) as tx:
        state = states.load(tx, account)
        falls, last = state.falls, state.last
        accepted_at = states.accepted(tx).get(account)
        if accepted_at is not None and last is not None and accepted_at >= (falls.fallen_since or last.at):
            raise NothingToSay(f"{account}: already accepted: it is charged by the next reading again")
        held = next(iter(ledger_notes.decisions(tx, account)), None)
        held_now = held is not None and held.gate == GateName.POSSIBLE
        if last is None or (falls.fallen_since is None and not held_now):
            raise NothingToSay(f"{account}: its readings show all that was ever credited: there is nothing to accept")
        states.accept(tx, account, now)
    said = format_usd(last.metrics.funded_microusd or 0, 6)
    return f"{account}: accepted that {said} is all that was ever credited; charged by the next reading again"


async def acknowledge(context: TopupContext, name: str) -> str:
    """Take a person's word for a top-up (or an earlier customer) and return what became of it.

    `paid`: the credit is taken as seen; one that came late is confirmed. `needs_review`: its PaymentIntent is canceled
    if it is alive, else closed. An earlier customer that Stripe does not list any more is looked at no more.
    Raises NothingToSay where there is nothing to acknowledge, or Stripe cannot be asked.
    """
    topup = ledger_reads.get(context.store.reader, name)
    if topup is None:
        return await _let_go(context, name)
    if topup.state is State.PAID:
        await _say(context, topup)
        return f"{topup.id}: taken as credited; the next need is charged again"
    if topup.is_late:
        await _say(context, topup)
        return f"{topup.id}: its credit, which came late, is confirmed"
    if topup.state is not State.NEEDS_REVIEW:
        raise NothingToSay(f"{topup.id} is {topup.state}: only paid and needs_review are acknowledged")
    return await _close(context, topup)


async def _say(context: TopupContext, topup: Topup, intent: PaymentIntent | None = None) -> Topup:
    """Say it to the machine; raises NothingToSay where the top-up has moved on meanwhile."""
    try:
        return await run(context, topup.id, Acknowledged(topup.state, intent))
    except Moved:
        current = ledger_reads.get(context.store.reader, topup.id)
        raise NothingToSay(f"{topup.id} has become {current.state if current else 'nothing'} meanwhile") from None


async def _close(context: TopupContext, topup: Topup) -> str:
    """End a top-up under review by what Stripe says of it now."""
    assert topup.payment_intent is not None, "only what was created is under review"
    answer = await context.gateway.retrieve(topup.payment_intent)
    if isinstance(answer, Refused):
        if answer.kind is not AnswerKind.INTENT_MISSING:
            raise NothingToSay(f"Stripe could not be asked: {answer.message}")
        await _say(context, topup)
        return f"{topup.id}: closed, Stripe does not know its PaymentIntent"
    status = answer.value.status
    if status in ALIVE and not context.account(topup.account).may_post:
        said = f"{topup.id}: its PaymentIntent is alive, and nothing is sent to Stripe that would cancel it"
        raise NothingToSay(f'{said}: set mode = "off" or "charge" for {topup.account}, then acknowledge it again')
    if status == "processing":
        raise NothingToSay(f"{topup.id}: the bank is still working on it; it can be acknowledged when that has ended")
    after = await _say(context, topup, answer.value)
    if status == "succeeded":
        return f"{topup.id}: it was charged; closed as credited"
    if status not in ALIVE:
        return f"{topup.id}: {after.state}"
    if after.is_open:
        raise NothingToSay(f"{topup.id}: its PaymentIntent could not be canceled yet; it is tried again")
    return f"{topup.id}: canceled"


async def _let_go(context: TopupContext, customer: str) -> str:
    """Look no more at an earlier customer that is gone from Stripe: what was charged to it cannot be listed again.

    Only where Stripe says so itself, and lists the configured customer with the same key.
    """
    accounts = [one for one in context.config.accounts if customer in _had(context, one)]
    if not accounts:
        raise NothingToSay(f"there is no top-up {customer}")
    for topup in ledger_reads.open_topups(context.store.reader):
        if topup.customer == customer and topup.state in _MONEY_MAY_MOVE:
            raise NothingToSay(f"{topup.id} of {customer} is {topup.state}: it has to end first")
    answer = await context.gateway.intents(customer, limit=1)
    if isinstance(answer, Answered):
        raise NothingToSay(f"Stripe lists {customer}: it goes on being looked at")
    if answer.kind not in GONE:
        raise NothingToSay(f"Stripe could not be asked: {answer.message}")
    for configured in {found.customer for one in accounts if (found := context.topup(one)) is not None}:
        present = await context.gateway.intents(configured, limit=1)
        if isinstance(present, Refused):
            raise NothingToSay(f"Stripe does not list the configured customer {configured} either: {present.message}")
    now = context.clock.now()
    with context.store.write(durable=True) as tx:
        for account in accounts:
            ledger.advance_bookmark(tx, Bookmark.CUSTOMER_GONE.of(account, customer), now, "acknowledged by a person")
            ledger_notes.lift(tx, account, StopKind.SUSPENSION, SuspendedReason.CUSTOMER_GONE)
    return f"{customer}: gone from Stripe, looked at no more for {', '.join(accounts)}"


def _had(context: TopupContext, account: str) -> tuple[str, ...]:
    """Return the account's earlier customers; the configured one is none."""
    topup = context.topup(account)
    had = earlier_customers(context.store.reader, account)
    return () if topup is None else tuple(one for one in had if one != topup.customer)
