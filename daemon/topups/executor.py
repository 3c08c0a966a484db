"""The executor: load, decide, commit, send, record, again. The one way in which a top-up goes on.

Each step is one transaction: the fact as it was learned, the new state, its events, and what is about to be sent.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from alerts.model.values import replace
from daemon.journal import about
from daemon.store import ledger, ledger_notes, ledger_reads
from daemon.store import readings as stored_readings
from daemon.store.connection import Transaction
from daemon.store.ledger import Moved
from daemon.store.topup_rows import SECOND_LISTING, Bookmark, State, Topup
from daemon.stripe.answers import Answered, AnswerKind, Refused
from daemon.stripe.declines import DeclineKind, classify_decline
from daemon.stripe.intents import Listing
from daemon.stripe.objects import Charge
from daemon.topups.context import TopupContext, log
from daemon.topups.gate_check import check_gates
from daemon.topups.listing import list_intents
from daemon.topups.policy.machine import decide
from daemon.topups.policy.settle import LISTINGS_DIFFERED_WITHIN
from daemon.topups.policy.step import (
    Acknowledged,
    Answer,
    Command,
    Doing,
    Fact,
    Intent,
    ListIntents,
    Need,
    NotRead,
    ReadBack,
    Reading,
    Request,
    Reread,
    Snapshot,
)
from daemon.topups.returned import record_returns
from daemon.topups.second_read import AccountReads, read_again

MOST_STEPS = 60
"""A pass of one top-up ends after so many steps, whatever Stripe answers."""
HOLD_S = (30.0, 300.0)
_DOING = {"create": Doing.CREATING, "confirm": Doing.CONFIRMING, "cancel": Doing.CANCELING}
_DECLINED = frozenset({"requires_payment_method", "canceled"})


async def run(context: TopupContext, topup: str, fact: Fact, seen: AccountReads | None = None) -> Topup:
    """Take a top-up as far as it goes now, and return it as it then is."""
    for _ in range(MOST_STEPS):
        row, command, send = await context.apart(_commit, topup, fact, seen)
        if isinstance(fact, Answer):
            await context.note(row.account, _DOING[fact.kind], fact.outcome)
        if command is None:
            break
        fact = await about(_perform(context, row, command, send, seen), topup=topup)
    return row


def _commit(
    context: TopupContext, topup: str, fact: Fact, seen: AccountReads | None
) -> tuple[Topup, Command | None, int | None]:
    """Record the fact, decide, and write down what follows, in one transaction."""
    now = context.clock.now()
    account = ledger_reads.account_of(context.store.reader, topup)
    with context.store.write(durable=True, lock=account) as tx:
        _record(tx, topup, fact, now)
        row = ledger_reads.get(tx, topup)
        assert row is not None, "the ledger forgets nothing"
        if isinstance(fact, Acknowledged) and row.state is not fact.state:
            raise Moved(topup)  # what a person saw is no more
        row, command = _decide(context, tx, row, fact, seen)
        if not isinstance(command, Request):
            return row, command, None
        n, key, params, gates = command.n, command.key, command.params, command.gates
        return row, command, ledger.record_send(tx, row, command.kind, n, key, params, now, gates=gates)


def _decide(
    context: TopupContext, tx: Transaction, row: Topup, fact: Fact, seen: AccountReads | None
) -> tuple[Topup, Command | None]:
    now = context.clock.now()
    step = decide(_snapshot(context, tx, row, fact, seen), fact, now)
    before = row
    for after in step.rows:
        row = ledger.save(tx, row, after, now)
    context.apply(tx, step.changes)
    if row.warned_at is not None and before.warned_at is None and row.told_at is None and row.paid_at is not None:
        log.warning("credit_late", topup=row.id, minutes=(now - row.paid_at) // timedelta(minutes=1))
    if row.reason.startswith(SECOND_LISTING) and row.reason != before.reason:
        log.warning("second_look", topup=row.id, differs=row.reason.removeprefix(SECOND_LISTING))
    return row, step.command


def run_in(context: TopupContext, tx: Transaction, row: Topup, fact: Intent) -> Topup:
    """Settle an adopted PaymentIntent in the transaction that enters it; what is to be sent then waits for its time."""
    return _decide(context, tx, row, fact, None)[0]


def _record(tx: Transaction, topup: str, fact: Fact, now: datetime) -> None:
    """Write down what was learned."""
    if isinstance(fact, Answer) and fact.send is not None:
        outcome = fact.outcome
        ledger.record_answer(
            tx,
            fact.send,
            now,
            answer=outcome.kind.value,
            http_status=outcome.http_status,
            request_id=outcome.request_id,
            message=outcome.words,
        )
    elif isinstance(fact, Intent):
        ledger.record_readback(tx, topup, now, status=fact.intent.status, request_id=fact.request_id)
    elif isinstance(fact, NotRead) and not fact.by_list:
        refused = fact.refused
        ledger.record_readback(
            tx, topup, now, status=refused.kind.value, request_id=refused.request_id, detail=refused.message
        )


def _snapshot(context: TopupContext, tx: Transaction, row: Topup, fact: Fact, seen: AccountReads | None) -> Snapshot:
    """Read all that the decision rests on."""
    now = context.clock.now()
    account = context.account(row.account)
    unread = outage = None
    if row.state is State.PAID:
        unread, outage = (
            ledger_notes.bookmark(tx, Bookmark.CREDIT_UNREAD.of(row.id)),
            stored_readings.current_outage(tx, row.account),
        )
    stops = ledger_notes.stops(tx, row.account)
    judged = None
    is_tried = isinstance(fact, Need) or (isinstance(fact, Listing) and context.is_current(tx, context.config))
    if seen is not None and is_tried:
        listed = fact if isinstance(fact, Listing) else None
        judged = check_gates(context, tx, row.account, seen.readings, topup=row, listed=listed)
    return Snapshot(
        topup=row,
        account=account,
        sends=ledger_reads.sends(tx, row.id),
        readings=seen.readings if seen is not None else None,
        verdict=judged,
        stopped=not account.charges or any(not (row.probe and stop.is_for_card) for stop in stops),
        entered=ledger_reads.times_entered(tx, row.id),
        intents=ledger_reads.intents_of(tx, row.account) if row.state is State.CREATING else {},
        listings_differed=ledger_reads.abandoned_by_second_listing(tx, row.account, now - LISTINGS_DIFFERED_WITHIN),
        unread_since=unread[0] if unread is not None else None,
        outage_at=outage.last_at if outage is not None else None,
        hold_s=context.rng.uniform(*HOLD_S),
    )


async def _perform(
    context: TopupContext, row: Topup, command: Command, send: int | None, seen: AccountReads | None
) -> Fact:
    """Do what was committed, and return what came of it."""
    match command:
        case Request():
            outcome = await context.gateway.send(command.kind, row.payment_intent, command.params, command.key)
            return Answer(command.kind, outcome, send)
        case ReadBack():
            return await _read_back(context, row, command)
        case ListIntents():
            listed = await list_intents(context, row.account)
            if isinstance(listed, Refused):
                return NotRead(listed, by_list=True)
            await context.apart(record_returns, listed)
            return listed
        case Reread():
            assert seen is not None, "only a reading asks for another"
            return Reading(await read_again(context, row.account, seen))


async def _read_back(context: TopupContext, row: Topup, command: ReadBack) -> Fact:
    """Read the PaymentIntent back by its id; where it was declined, its attempts too."""
    assert row.payment_intent is not None, "only what was created is read back"
    if command.wait_s is not None:
        await context.clock.sleep(context.rng.uniform(*command.wait_s))
    answer = await context.gateway.retrieve(row.payment_intent)
    await context.note(row.account, Doing.READING_BACK, answer)
    if isinstance(answer, Refused):
        return NotRead(answer)
    intent, charges = answer.value, tuple[Charge, ...]()
    is_news = row.is_open and intent.latest_charge not in (None, row.declined_charge)
    if intent.status in _DECLINED and intent.why_declined is not None and is_news:
        listed = await context.gateway.charges(intent.id)
        await context.note(row.account, Doing.LISTING_CHARGES, listed)
        if isinstance(listed, Answered):
            charges = listed.value.items
        elif intent.status == "canceled" and classify_decline(intent.why_declined).kind is DeclineKind.SOFT:
            return NotRead(replace(listed, kind=AnswerKind.UNKNOWN))  # how often it was tried, nobody can say
        elif intent.charge is not None:
            charges = (intent.charge,)
    return Intent(intent, charges, go_on=command.go_on, again=command.again, request_id=answer.request_id)
