"""Adoption: a PaymentIntent of ours that the ledger does not know is entered at its state, before anything is planned.

Matched by its id, then by its number; what Stripe says overrides `abandoned` and `declined`. Attempts and suspensions
are rebuilt from what Stripe remembers, so that a stolen card is not tried again from a fresh disk.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from alerts.readings import Known
from alerts.values import replace
from daemon.store import ledger, ledger_notes, ledger_reads
from daemon.store.connection import Transaction
from daemon.store.ledger import Topup
from daemon.topups import breakers, credit, events
from daemon.topups.bench import Bench, log
from daemon.topups.declines import Decline, Kind, judge, retry_after
from daemon.topups.gateway import Refused
from daemon.topups.look import Look, Ours, note_looked
from daemon.topups.plan import create_key
from daemon.topups.settle import OWNER_HAS, ask_cardholder
from daemon.topups.states import State
from daemon.topups.stripe_objects import Charge, PaymentIntent

_ENDED = (State.ABANDONED, State.DECLINED)


async def adopt(bench: Bench, account: str, seen: Look) -> Refused | None:
    """Enter what the ledger does not know, oldest first. Its credits are judged by the readings of later passes.

    Returns None where everything is known now. Else the answer of Stripe that stood in the way: then nothing may be
    planned, for a charge that was not entered holds no slot and remembers no card.
    """
    refused = None
    ours = []
    for one in sorted(seen.ours, key=lambda one: (one.intent.created_at, one.said.seq)):
        if _is_news(ledger_reads.get(bench.store.reader, one.intent.id), one.intent):
            charges = await _charges(bench, account, one.intent)
            if isinstance(charges, Refused):
                refused = charges
                continue
            one = _with_charge(one, charges)
            _enter(bench, account, one, charges, seen)
        ours.append(one)
    _rebuild_suspension(bench, account, ours)
    if refused is None:
        note_looked(bench, account, seen)
    return refused


def _is_news(row: Topup | None, intent: PaymentIntent) -> bool:
    return row is None or (row.state in _ENDED and intent.status not in ("canceled", "requires_payment_method"))


async def _charges(bench: Bench, account: str, intent: PaymentIntent) -> tuple[Charge, ...] | Refused:
    """Return the attempts on the PaymentIntent, or why Stripe could not be asked: then a later look adopts it."""
    if intent.latest_charge is None:
        return ()
    if intent.status == "succeeded" and intent.charge is not None:
        return (intent.charge,)
    answer = await bench.gateway.charges(intent.id)
    if isinstance(answer, Refused):
        bench.trouble(account, answer, breakers.LISTING_CHARGES)
        return answer
    breakers.note_reached(bench, account, breakers.LISTING_CHARGES)
    return answer.value.items


def _with_charge(one: Ours, charges: tuple[Charge, ...]) -> Ours:
    """Return it with its latest charge, which may say why it was declined where the PaymentIntent no longer does."""
    latest = next((charge for charge in charges if charge.id == one.intent.latest_charge), None)
    return one if latest is None else replace(one, intent=replace(one.intent, charge=latest))


def _enter(bench: Bench, account: str, one: Ours, charges: tuple[Charge, ...], seen: Look) -> None:
    """Enter one PaymentIntent in one transaction, with what it causes."""
    now = bench.clock.now()
    with bench.store.write(durable=True) as tx:
        row = ledger_reads.get(tx, one.intent.id) or _by_number(tx, account, one)
        if row is not None and not (row.state in _ENDED or row.state is State.CREATING):
            return
        entered = replace(_entered(tx, account, one, charges, now), seen=seen.encode())
        if row is None:
            ledger.insert(tx, entered, now)
        else:
            entered = _override(tx, row, entered, now)
        for n, charge in enumerate(sorted(charges, key=lambda charge: charge.created_at), start=1):
            _remember_attempt(tx, entered, n, charge)
        log.info("adopted", topup=entered.id, state=entered.state.value, payment_intent=one.intent.id)
        if entered.state is State.NEEDS_REVIEW:
            times = ledger_reads.times_entered(tx, entered.id, State.NEEDS_REVIEW)
            bench.tell(tx, [events.needs_review(entered, bench.provider(account), now, entered.reason, times)], now)
        elif entered.state is State.ACTION_REQUIRED:
            ask_cardholder(bench, tx, entered, one.intent, now)


def first_reading(bench: Bench, topup: Topup, known: Known) -> None:
    """Judge an adopted charge by the first believed reading after it: credited quietly, or told."""
    now = bench.clock.now()
    with bench.store.write(durable=True) as tx:
        current = ledger_reads.get(tx, topup.id)
        if current is not None and current.untold and current.state is State.PAID:
            _tell_paid(bench, tx, current, known, now)


def _by_number(tx: Transaction, account: str, one: Ours) -> Topup | None:
    """Return the row of the same number that has no PaymentIntent: its create was of unknown outcome, or given up."""
    rows = ledger_reads.of_account(tx, account)
    return next((r for r in rows if r.seq == one.said.seq and r.payment_intent is None), None)


def _entered(tx: Transaction, account: str, one: Ours, charges: tuple[Charge, ...], now: datetime) -> Topup:
    intent, said = one.intent, one.said
    state, reason = _state(intent)
    failed = sorted((charge for charge in charges if charge.failed), key=lambda charge: charge.created_at)
    declines = len(failed)
    last = max((charge.created_at for charge in charges), default=intent.created_at)
    wait = retry_after(declines) if state is State.RETRY_WAIT else None
    error = intent.why_declined
    hard = error is not None and judge(error).kind is not Kind.SOFT
    id_ = f"{account}-{said.seq}"
    taken = ledger_reads.get(tx, id_)
    if taken is not None and taken.payment_intent not in (None, intent.id):
        id_ = f"{id_}-{intent.id}"
    next_at = min(intent.created_at, now) + OWNER_HAS if state is State.CREATED else now
    cancels = state is State.ACTION_REQUIRED or (state is State.RETRY_WAIT and (hard or wait is None))
    charged_at = last if state is State.PAID else None
    return Topup(
        id=id_,
        account=account,
        customer=intent.customer or "",
        seq=said.seq,
        own=False,
        state=state,
        reason=f"adopted: {reason}",
        amount_cents=intent.amount_cents,
        create_key=create_key(intent.customer or "", account, said.seq),
        create_params=json.dumps({"metadata": dict(intent.metadata)}, sort_keys=True),
        planned_at=min(intent.created_at, now),
        state_at=now,
        payment_method=intent.payment_method or _method(error_charge=charges),
        fingerprint=_fingerprint(intent, charges),
        payment_intent=intent.id,
        funded_before_microusd=said.funded_microusd,
        balance_before_microusd=said.balance_microusd,
        low_balance_microusd=said.balance_microusd if said.funded_microusd is None else None,
        next_at=(last + wait) if wait and not hard else next_at,
        declines=declines,
        declined_charge=failed[-1].id if failed else None,
        untold=state is State.PAID,
        cancel_as=State.DECLINED if cancels else None,
        stripe_created_at=intent.created_at,
        charged_at=charged_at,
        paid_at=min(last, now) if state is State.PAID else None,
    )


def _state(intent: PaymentIntent) -> tuple[State, str]:
    """Return the state at which a PaymentIntent is entered."""
    declined = intent.why_declined is not None
    match intent.status:
        case "succeeded":
            return State.PAID, "charged"
        case "processing":
            return State.PROCESSING, "the bank takes its time"
        case "requires_confirmation":
            return State.CREATED, "never confirmed: left to its owner for ten minutes"
        case "requires_action":
            return State.ACTION_REQUIRED, "the bank wants the cardholder"
        case "requires_payment_method" if declined:
            return State.RETRY_WAIT, "declined"
        case "canceled":
            return (State.DECLINED, "declined and canceled") if declined else (State.ABANDONED, "canceled")
        case _:
            return State.NEEDS_REVIEW, f"its status is {intent.status}"


def _fingerprint(intent: PaymentIntent, charges: tuple[Charge, ...]) -> str | None:
    error = intent.why_declined
    if error is not None and error.fingerprint:
        return error.fingerprint
    return next((charge.fingerprint for charge in charges if charge.fingerprint), None)


def _method(error_charge: tuple[Charge, ...]) -> str | None:
    """Return the method of the last attempt: a decline has cleared the PaymentIntent's own."""
    return next((charge.payment_method for charge in error_charge if charge.payment_method), None)


def _override(tx: Transaction, row: Topup, entered: Topup, now: datetime) -> Topup:
    """Let what Stripe says override a row of the ledger, field by field."""
    changes = {
        name: getattr(entered, name)
        for name in [
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
            "next_at",
            "declines",
            "declined_charge",
            "untold",
            "cancel_as",
            "stripe_created_at",
            "seen",
            "charged_at",
            "paid_at",
        ]
    }
    if entered.state is row.state or {entered.state, row.state} <= set(_ENDED):
        return ledger.change(tx, row, now, reason=entered.reason, **changes)
    return ledger.move(tx, row, entered.state, now, reason=entered.reason, watch_until=None, told_at=None, **changes)


def _remember_attempt(tx: Transaction, topup: Topup, n: int, charge: Charge) -> None:
    error = charge.error
    answer = "declined" if charge.failed else "answered"
    message = f"{error.decline_code or error.code}: {error.message}" if error else charge.status
    ledger.record_past_send(
        tx, topup, n, charge.created_at, answer=answer, message=message, fingerprint=charge.fingerprint
    )


def _tell_paid(bench: Bench, tx: Transaction, topup: Topup, known: Known, now: datetime) -> None:
    """A charge that another database made is told only where its credit is not seen yet."""
    if credit.is_seen(topup, known.metrics):
        ledger.move(
            tx,
            topup,
            State.CREDITED,
            now,
            reason="the credit was seen already",
            credited_at=known.at,
            credited_microusd=known.metrics.funded_microusd or known.metrics.balance_microusd,
            next_at=None,
            untold=False,
        )
    else:
        bench.tell(tx, [events.succeeded(topup, bench.provider(topup.account), now)], now)
        ledger.change(tx, topup, now, untold=False, reading_at=known.at, next_at=now)


def _rebuild_suspension(bench: Bench, account: str, ours: Sequence[Ours]) -> None:
    """Suspend an account whose newest attempt was refused for good, unless the ledger has known that attempt before.

    A later PaymentIntent that no card was ever tried on says nothing of the card.
    """
    tried = [one for one in ours if one.intent.latest_charge is not None or one.intent.error is not None]
    newest = max(tried, key=lambda one: one.said.seq, default=None)
    if newest is None or newest.intent.status == "succeeded":
        return
    error = newest.intent.why_declined
    if error is None:
        return
    decline = judge(error)
    row = ledger_reads.get(bench.store.reader, newest.intent.id)
    if row is None or row.own:
        return
    gave_up = newest.intent.status == "canceled" and row.declines > 3
    if decline.kind is not Kind.SOFT or gave_up:
        _suspend_once(bench, row, decline)


def _suspend_once(bench: Bench, row: Topup, decline: Decline) -> None:
    now = bench.clock.now()
    with bench.store.write(durable=True) as tx:
        if not ledger_notes.tell_once(tx, row.account, "rebuilt", row.payment_intent or row.id, now):
            return
        if not any(stop.is_for_card for stop in ledger_notes.stops(tx, row.account)):
            breakers.suspend_for_card(bench, tx, row, now, decline)
