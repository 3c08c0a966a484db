"""Adoption: a PaymentIntent of ours that the ledger does not know is entered, and settled like any other.

Matched by its id, then by its number; what Stripe says overrides `abandoned` and `declined`. Attempts and suspensions
are rebuilt from what Stripe remembers, so that a stolen card is not tried again from a fresh disk.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from alerts.model.values import replace
from daemon.store import ledger, ledger_reads
from daemon.store.connection import Connection, Transaction
from daemon.store.topup_rows import State, Topup
from daemon.stripe.answers import Refused
from daemon.stripe.intents import Listing, Ours
from daemon.stripe.objects import Charge, PaymentIntent
from daemon.stripe.requests import create_key
from daemon.topups.context import TopupContext, log
from daemon.topups.executor import run_in
from daemon.topups.listing import note_taken_in
from daemon.topups.policy.step import Doing, Intent

_ENDED = (State.ABANDONED, State.DECLINED)


async def adopt(context: TopupContext, account: str, listed: Listing) -> Refused | None:
    """Enter what the ledger does not know, oldest first. Its credits are judged by the readings of later passes.

    Returns None where everything is known now. Else the answer of Stripe that stood in the way: then nothing may be
    planned, for a charge that was not entered holds no slot and remembers no card.
    """
    refused = None
    tried = [
        one.said.seq for one in listed.ours if one.intent.latest_charge is not None or one.intent.error is not None
    ]
    newest = max(tried, default=0)
    for one in await context.read(_news, listed):
        charges = await _charges(context, account, one.intent)
        if isinstance(charges, Refused):
            refused = charges
            continue
        charges = sorted(charges, key=lambda charge: charge.created_at, reverse=True)
        latest = next((charge for charge in charges if charge.id == one.intent.latest_charge), one.intent.charge)
        intent = replace(one.intent, charge=latest)
        fact = Intent(intent, tuple(charges), adopted=True, superseded=one.said.seq < newest)
        await context.apart(_enter, account, Ours(intent, one.said), fact, listed)
    if refused is None:
        await context.apart(note_taken_in, account, listed)
    return refused


def _news(conn: Connection, listed: Listing) -> list[Ours]:
    """Return what the ledger does not know, oldest first."""
    in_order = sorted(listed.ours, key=lambda one: (one.intent.created_at, one.said.seq))
    return [one for one in in_order if _is_news(ledger_reads.get(conn, one.intent.id), one.intent)]


def _is_news(row: Topup | None, intent: PaymentIntent) -> bool:
    return row is None or (row.state in _ENDED and intent.status not in ("canceled", "requires_payment_method"))


async def _charges(context: TopupContext, account: str, intent: PaymentIntent) -> Sequence[Charge] | Refused:
    """Return the attempts on the PaymentIntent, or why Stripe could not be asked: then a later pass adopts it."""
    if intent.latest_charge is None:
        return ()
    if intent.status == "succeeded" and intent.charge is not None:
        return (intent.charge,)
    answer = await context.gateway.charges(intent.id)
    if (await context.apart(TopupContext.account, account)).charges:  # else nobody is troubled, and no breaker trips
        await context.note(account, Doing.LISTING_CHARGES, answer)
    return answer if isinstance(answer, Refused) else answer.value.items


def _enter(context: TopupContext, account: str, one: Ours, fact: Intent, listed: Listing) -> None:
    """Enter one PaymentIntent in one transaction, with what it causes."""
    now = context.clock.now()
    with context.store.write(durable=True, lock=account) as tx:
        known = ledger_reads.get(tx, one.intent.id) or _by_number(tx, account, one)
        if known is not None and not (known.state in _ENDED or known.state is State.CREATING):
            return
        row = replace(_row(tx, account, one, fact.charges, now), seen=listed.encode())
        if known is None:
            ledger.insert(tx, row, now)
        else:
            row = ledger.save(tx, known, _override(known, row), now)
        for n, charge in enumerate(reversed(fact.charges), start=1):
            _remember_attempt(tx, row, n, charge)
        row = run_in(context, tx, row, fact)
    log.info("adopted", topup=row.id, state=row.state.value, payment_intent=one.intent.id)


def _by_number(tx: Transaction, account: str, one: Ours) -> Topup | None:
    """Return the row of the same number that has no PaymentIntent: its create was of unknown outcome, or given up."""
    rows = ledger_reads.of_account(tx, account)
    return next((r for r in rows if r.seq == one.said.seq and r.payment_intent is None), None)


def _row(tx: Transaction, account: str, one: Ours, charges: Sequence[Charge], now: datetime) -> Topup:
    """Return the row before Stripe's word is taken: tried where it ever was, else created and left to its owner."""
    intent, said = one.intent, one.said
    error = intent.why_declined
    failed = [charge.id for charge in charges if charge.failed]
    methods = [intent.payment_method, *(charge.payment_method for charge in charges)]
    cards = [error.fingerprint if error else None, *(charge.fingerprint for charge in charges)]
    key = create_key(intent.customer or "", account, said.seq)
    id_ = f"{account}-{said.seq}"
    taken = ledger_reads.get(tx, id_)
    if taken is not None and taken.payment_intent not in (None, intent.id):
        id_ = f"{id_}-{intent.id}"
    return Topup(
        id=id_,
        account=account,
        customer=intent.customer or "",
        seq=said.seq,
        own=False,
        state=State.CREATED if intent.status == "requires_confirmation" else State.CONFIRMING,
        reason="adopted",
        amount_cents=intent.amount_cents,
        create_key=key,
        create_params=json.dumps({"metadata": dict(intent.metadata)}, sort_keys=True),
        planned_at=min(intent.created_at, now),
        state_at=now,
        payment_method=next((one for one in methods if one), None),
        fingerprint=next((one for one in cards if one), None),
        payment_intent=intent.id,
        funded_before_microusd=said.funded_microusd,
        balance_before_microusd=said.balance_microusd,
        low_balance_microusd=said.balance_microusd if said.funded_microusd is None else None,
        next_at=now,
        declines=len(failed),
        declined_charge=failed[0] if failed else None,
        stripe_created_at=intent.created_at,
    )


_OVERRIDDEN = (
    "own",
    "customer",
    "amount_cents",
    "create_key",
    "payment_method",
    "fingerprint",
    "payment_intent",
    "funded_before_microusd",
    "balance_before_microusd",
    "low_balance_microusd",
    "declines",
    "declined_charge",
    "cancel_as",
    "watch_until",
    "told_at",
    "stripe_created_at",
    "seen",
)


def _override(known: Topup, row: Topup) -> Topup:
    """Let what Stripe says override a row of the ledger, field by field; its state follows by settling."""
    return replace(known, **{name: getattr(row, name) for name in _OVERRIDDEN})


def _remember_attempt(tx: Transaction, topup: Topup, n: int, charge: Charge) -> None:
    error = charge.error
    answer = "declined" if charge.failed else "answered"
    message = f"{error.decline_code or error.code}: {error.message}" if error else charge.status
    ledger.record_past_send(
        tx, topup, n, charge.created_at, answer=answer, message=message, fingerprint=charge.fingerprint
    )
