"""What a person says: pause, resume, acknowledge. Small transactions, safe beside a running daemon.

A pause takes effect before the next confirm, whichever process makes it: the gates read it in the transaction that
writes the attempt.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Container
from datetime import datetime, timedelta

from alerts.instants import rfc3339
from alerts.money import format_usd
from daemon.store import ledger, ledger_notes, ledger_reads, states
from daemon.store.connection import Store, Transaction
from daemon.store.ledger import Topup
from daemon.store.ledger_notes import CUSTOMER_GONE, EVERYWHERE, Stop, StopKind
from daemon.topups import events
from daemon.topups.answers import AnswerKind
from daemon.topups.bench import Bench
from daemon.topups.breakers import released_mark
from daemon.topups.gates import CLOCK_TOLERANCE
from daemon.topups.gateway import Answered, Refused
from daemon.topups.judgement import BURN_BRAKE, brake_mark
from daemon.topups.look import GONE, earlier_customers, left_mark
from daemon.topups.sending import cancel
from daemon.topups.settle import settle
from daemon.topups.states import State
from daemon.topups.stripe_objects import PaymentIntent

DAYS_AHEAD = timedelta(days=1)
"""A smaller step ends by itself soon enough."""
RETURNED = frozenset({"refunded", "disputed"})
"""Why an account is suspended whose credit may be taken back."""
_MONEY_MAY_MOVE = frozenset({State.CONFIRMING, State.PROCESSING, State.NEEDS_REVIEW, State.PAID})
ALIVE = frozenset({"requires_confirmation", "requires_payment_method", "requires_action", "requires_capture"})


class NothingToSay(Exception):  # noqa: N818 – the message is a sentence for a person
    """What was said does not apply; the message says why."""


def pause(store: Store, account: str | None, now: datetime) -> bool:
    """Charge nothing more, for an account or at all. Returns whether that is new."""
    scope = account or EVERYWHERE
    with store.write(durable=True) as tx:
        return ledger_notes.stop(tx, Stop(scope, StopKind.PAUSE, "paused by a person", "", now))


def resume(store: Store, account: str | None, now: datetime) -> tuple[str, ...]:
    """End the pause, and for an account its suspension too; its refused cards may be tried again.

    The brake is released only where it was what held the account: who resumes after a decline has not seen the burn.

    After a refund or a dispute the provider may have taken the credit back: such a fall is accepted, too.
    Where the ledger has seen an instant that is days ahead, written by a clock that was, that is taken back.
    Returns what was ended. Without an account only the pause over all accounts ends.
    """
    scope = account or EVERYWHERE
    ended = []
    with store.write(durable=True) as tx:
        stops = [stop for stop in ledger_notes.stops(tx) if stop.scope == scope and stop.kind is not StopKind.BREAKER]
        for stop in stops:
            ledger_notes.lift(tx, scope, stop.kind)
            ended.append(f"{stop.kind}: {stop.reason}")
        if account is None:
            ledger_notes.pause_file_of(tx).unlink(missing_ok=True)
        if account is not None and any(stop.kind is StopKind.SUSPENSION for stop in stops):
            ledger_notes.forget_cards(tx, account)
            for stop in stops:
                if stop.fingerprint is not None:
                    ledger_notes.forget_card(tx, stop.fingerprint)
                if stop.reason in RETURNED:  # the provider may take the credit back, too
                    states.accept(tx, account, now)
            ledger.mark_run(tx, released_mark(account), now)
            if any(stop.reason == BURN_BRAKE for stop in stops):
                ledger.mark_run(tx, brake_mark(account), now)
        ended += _take_back_clock(tx, now)
    return tuple(ended)


def accept(store: Store, account: str, now: datetime) -> str:
    """Take the fall that the account's readings show for true, so that it is charged by them again.

    Takes effect with the next reading. Returns what was accepted; raises NothingToSay where nothing has fallen.
    """
    with store.write(durable=True) as tx:
        state = states.load(tx, account)
        falls, last = state.falls, state.last
        accepted_at = states.accepted(tx).get(account)
        if accepted_at is not None and last is not None and accepted_at >= (falls.fallen_since or last.at):
            raise NothingToSay(f"{account}: already accepted: it is charged by the next reading again")
        held = next(iter(ledger_notes.decisions(tx, account)), None)
        held_now = held is not None and held.gate == "possible"
        if last is None or (falls.fallen_since is None and not held_now):
            raise NothingToSay(f"{account}: its readings show all that was ever credited: there is nothing to accept")
        states.accept(tx, account, now)
    said = format_usd(last.metrics.funded_microusd or 0, 6)
    return f"{account}: accepted that {said} is all that was ever credited; charged by the next reading again"


def _take_back_clock(tx: Transaction, now: datetime) -> list[str]:
    """Believe the clock as it is now. Not while a top-up is open: how old its keys are, nobody could say."""
    latest = ledger_notes.marked(tx, "latest")
    if latest is None or latest[0] - now < DAYS_AHEAD or ledger_reads.open_accounts(tx):
        return []
    ledger.mark_run(tx, "latest", now)
    return [f"wait for {rfc3339(latest[0])}, which a clock that was ahead has written into the ledger"]


def still_stopped(conn: sqlite3.Connection, accounts: Container[str], account: str | None) -> tuple[str, ...]:
    """Return a sentence for each stop that is left, with the command that ends it; without an account for all known."""
    return tuple(
        _left(stop)
        for stop in ledger_notes.stops(conn, account)
        if stop.scope in (EVERYWHERE, account) or stop.scope in accounts
    )


def _left(stop: Stop) -> str:
    scope = "all accounts" if stop.scope == EVERYWHERE else stop.scope
    if stop.kind is StopKind.BREAKER:
        return f"{scope}: still suspended ({stop.reason}: {stop.message}): ends by itself when Stripe answers the key"
    if stop.kind is StopKind.PAUSE:
        where = "" if stop.scope == EVERYWHERE else f" {stop.scope}"
        return f"{scope}: still paused: brimful topups resume{where}"
    said = f"{scope}: still suspended ({stop.reason}: {stop.message})"
    return said if stop.reason == CUSTOMER_GONE else f"{said}: brimful topups resume {stop.scope}"


def still_ahead(conn: sqlite3.Connection, now: datetime) -> str | None:
    """Return a sentence where the ledger is ahead of the clock, and what has to end before that is taken back."""
    latest = ledger_notes.marked(conn, "latest")
    if latest is None or latest[0] - now <= CLOCK_TOLERANCE:
        return None
    said = f"all accounts: the ledger is ahead of the clock: nothing is charged until {rfc3339(latest[0])}"
    opened = ledger_reads.open_topups(conn)
    if latest[0] - now < DAYS_AHEAD or not opened:
        return said
    ends = ", ".join(_end_of(topup) for topup in opened)
    return f"{said}, or until what is open has ended and this is typed again: {ends}"


def _end_of(topup: Topup) -> str:
    a_person_may = topup.state in (State.PAID, State.NEEDS_REVIEW)
    return f"{topup.id} is {topup.state} (brimful topups {'ack' if a_person_may else 'explain'} {topup.id})"


async def acknowledge(bench: Bench, name: str) -> str:
    """Take a person's word for a top-up (or an earlier customer) and return what became of it.

    `paid`: the credit is taken as seen; one that came late is confirmed. `needs_review`: its PaymentIntent is canceled
    if it is alive, else closed. An earlier customer that Stripe does not list any more is looked at no more.
    Raises NothingToSay where there is nothing to acknowledge, or Stripe cannot be asked.
    """
    topup = ledger_reads.get(bench.store.reader, name)
    if topup is None:
        return await _let_go(bench, name)
    if topup.state is State.PAID:
        _credited(bench, topup)
        return f"{topup.id}: taken as credited; the next need is charged again"
    if topup.is_late:
        return _confirmed(bench, topup)
    if topup.state is not State.NEEDS_REVIEW:
        raise NothingToSay(f"{topup.id} is {topup.state}: only paid and needs_review are acknowledged")
    assert topup.payment_intent is not None, "only what was created is under review"
    answer = await bench.gateway.retrieve(topup.payment_intent)
    if isinstance(answer, Refused):
        if answer.kind is AnswerKind.INTENT_MISSING:
            return _close(bench, topup)
        raise NothingToSay(f"Stripe could not be asked: {answer.message}")
    if answer.value.status in ALIVE:
        if not bench.may_post(topup.account):
            said = f"{topup.id}: its PaymentIntent is alive, and nothing is sent to Stripe that would cancel it"
            raise NothingToSay(f'{said}: set mode = "off" or "charge" for {topup.account}, then acknowledge it again')
        after = await cancel(bench, topup, State.ABANDONED, "acknowledged by a person")
        if after.is_open:
            raise NothingToSay(f"{topup.id}: its PaymentIntent could not be canceled yet; it is tried again")
        return f"{topup.id}: canceled"
    return _settled(bench, topup, answer)


async def _let_go(bench: Bench, customer: str) -> str:
    """Look no more at an earlier customer that is gone from Stripe: what was charged to it cannot be listed again.

    Only where Stripe says so itself, and lists the configured customer with the same key.
    """
    accounts = [one for one in bench.config.accounts if customer in _had(bench, one)]
    if not accounts:
        raise NothingToSay(f"there is no top-up {customer}")
    for topup in ledger_reads.open_topups(bench.store.reader):
        if topup.customer == customer and topup.state in _MONEY_MAY_MOVE:
            raise NothingToSay(f"{topup.id} of {customer} is {topup.state}: it has to end first")
    answer = await bench.gateway.intents(customer, limit=1)
    if isinstance(answer, Answered):
        raise NothingToSay(f"Stripe lists {customer}: it goes on being looked at")
    if answer.kind not in GONE:
        raise NothingToSay(f"Stripe could not be asked: {answer.message}")
    for configured in {found.customer for one in accounts if (found := bench.topup(one)) is not None}:
        present = await bench.gateway.intents(configured, limit=1)
        if isinstance(present, Refused):
            raise NothingToSay(f"Stripe does not list the configured customer {configured} either: {present.message}")
    now = bench.clock.now()
    with bench.store.write(durable=True) as tx:
        for account in accounts:
            ledger.mark(tx, left_mark(account, customer), now, "acknowledged by a person")
            ledger_notes.lift(tx, account, StopKind.SUSPENSION, CUSTOMER_GONE)
    return f"{customer}: gone from Stripe, looked at no more for {', '.join(accounts)}"


def _had(bench: Bench, account: str) -> tuple[str, ...]:
    """Return the account's earlier customers; the configured one is none."""
    topup = bench.topup(account)
    return () if topup is None else tuple(c for c in earlier_customers(bench, account) if c != topup.customer)


def _settled(bench: Bench, topup: Topup, answer: Answered[PaymentIntent]) -> str:
    """Close a top-up whose PaymentIntent is no longer alive."""
    now = bench.clock.now()
    intent = answer.value
    status = intent.status
    if status == "succeeded":
        with bench.store.write(durable=True) as tx:
            current = _current(tx, topup)
            paid = ledger.move(
                tx,
                current,
                State.PAID,
                now,
                reason="charged; acknowledged by a person",
                amount_cents=intent.amount_cents,  # what was really charged counts, whatever was planned
                paid_at=now,
                charged_at=intent.charge.created_at if intent.charge else intent.created_at,
            )
            bench.tell(tx, [events.succeeded(paid, bench.provider(topup.account), now)], now)
        _credited(bench, paid)
        return f"{topup.id}: it was charged; closed as credited"
    if status == "processing":
        raise NothingToSay(f"{topup.id}: the bank is still working on it; it can be acknowledged when that has ended")
    after = settle(bench, topup, answer)
    return f"{topup.id}: {after.state}"


def _credited(bench: Bench, topup: Topup) -> None:
    now = bench.clock.now()
    with bench.store.write(durable=True) as tx:
        current = _current(tx, topup)
        after = ledger.move(
            tx,
            current,
            State.CREDITED,
            now,
            reason="acknowledged by a person",
            credited_at=now,
            told_at=None,
            next_at=None,
        )
        bench.tell(tx, [events.credited(after, bench.provider(topup.account), now)], now)


def _confirmed(bench: Bench, topup: Topup) -> str:
    """A person has seen that the credit which came late is this charge's, and not another's."""
    now = bench.clock.now()
    with bench.store.write(durable=True) as tx:
        reason = "the credit that came late is confirmed by a person"
        ledger.change(tx, _current(tx, topup), now, reason=reason, told_at=None)
    return f"{topup.id}: its credit, which came late, is confirmed"


def _close(bench: Bench, topup: Topup) -> str:
    why = "Stripe does not know its PaymentIntent"
    now = bench.clock.now()
    with bench.store.write(durable=True) as tx:
        current = _current(tx, topup)
        ledger.move(tx, current, State.ABANDONED, now, reason=f"acknowledged by a person: {why}", next_at=None)
    return f"{topup.id}: closed, {why}"


def _current(tx: Transaction, topup: Topup) -> Topup:
    current = ledger_reads.get(tx, topup.id)
    assert current is not None, "the ledger forgets nothing"
    if current.state is not topup.state:
        raise NothingToSay(f"{topup.id} has become {current.state} meanwhile")
    return current
