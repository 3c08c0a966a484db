"""The confirm: the only step that moves money.

Second look, gates, the attempt written down and committed, the send, its answer, and the PaymentIntent read back by its
id, which alone says what happened. A send of unknown outcome stays open; the same key again, never another one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from daemon.config.model import TopupConfig
from daemon.store import ledger, ledger_notes, ledger_reads
from daemon.store.connection import Transaction
from daemon.store.ledger import Topup
from daemon.store.ledger_reads import Send
from daemon.topups import breakers
from daemon.topups.answers import (
    BACK_OFF_LATER,
    BACK_OFF_LONGEST,
    BACK_OFF_S,
    CONFIRM,
    KEY_IN_USE_TIMES,
    KEY_IN_USE_WAIT_S,
    KEY_LIVES,
    READ_BACK_AFTER,
    REFUSED_FOR_GOOD,
    SAME_KEY_AFTER,
    Action,
    AnswerKind,
)
from daemon.topups.bench import Bench, log
from daemon.topups.breakers import CONFIRMING, LISTING, LISTING_CHARGES
from daemon.topups.declines import Decline, Kind
from daemon.topups.gates import Verdict, most_at_once
from daemon.topups.gateway import Answered, Outcome, Refused
from daemon.topups.judgement import Sight, record_refusal, verdict
from daemon.topups.look import difference, look
from daemon.topups.plan import confirm_key, confirm_params
from daemon.topups.reconcile import take_returned
from daemon.topups.sending import answered, cancel, same_params
from daemon.topups.settle import is_pinned_later, read_back, review
from daemon.topups.states import State
from daemon.topups.stripe_objects import PaymentIntent

NEVER_CONFIRMED_FOR = timedelta(minutes=10)
LOOKS_DIFFERED_MOST = 3
LOOKS_DIFFERED_WITHIN = timedelta(hours=24)
HOLD_S = (30.0, 300.0)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One confirm: its number, its key and its exact parameters, the same however often it is sent."""

    n: int
    key: str
    params: dict[str, object]
    first_sent_at: datetime


async def confirm(bench: Bench, config: TopupConfig, topup: Topup, sight: Sight) -> Topup:
    """Try the card, if nobody else is charging and every gate agrees."""
    second = await look(bench, topup.account)
    if isinstance(second, Refused):
        _count_failed_look(bench, topup, second, LISTING)
        return topup
    take_returned(bench, second)
    differs = "metadata that cannot be read" if second.unreadable else difference(topup, second)
    if differs is not None:
        return await give_way(bench, topup, differs)
    listed = second.find(topup.payment_intent)
    assert listed is not None
    if listed.status != "requires_confirmation" and not _waits_for_retry(topup, listed):
        return await read_back(bench, topup)
    attempt = await _attempt(bench, topup, listed.latest_charge)
    if attempt is None:
        return await read_back(bench, topup)
    after = await _send(bench, config, topup, sight, attempt)
    if after.cancel_as is not None and after.is_open:
        return await cancel(bench, after, after.cancel_as, after.reason)
    return after


def _waits_for_retry(topup: Topup, listed: PaymentIntent) -> bool:
    """Whether it shows the decline that the ledger knows. One that was never confirmed here, or another charge than the
    last one known, is another daemon's attempt with the same number."""
    known = topup.state is not State.CREATED and listed.latest_charge == topup.declined_charge
    return known and listed.status == "requires_payment_method"


def _count_failed_look(bench: Bench, topup: Topup, refused: Refused, doing: str) -> None:
    now = bench.clock.now()
    with bench.store.write(durable=True) as tx:
        ledger_notes.count_decision(tx, topup.account, "second_look", now, detail=refused.message, gates="[]")
    breakers.note_unlisted(bench, topup.account, refused, doing)


async def give_way(bench: Bench, topup: Topup, differs: str) -> Topup:
    """Another daemon is charging: cancel ours, wait a random while, plan afresh. Too often is a person's business."""
    now = bench.clock.now()
    log.warning("second_look", topup=topup.id, differs=differs)
    with bench.store.write(durable=True) as tx:
        ledger.mark_run(tx, f"hold:{topup.account}", now + timedelta(seconds=bench.rng.uniform(*HOLD_S)))
    after = await cancel(bench, topup, State.ABANDONED, f"second look: {differs}")
    now = bench.clock.now()
    ended = ledger_reads.abandoned_by_look(bench.store.reader, topup.account, now - LOOKS_DIFFERED_WITHIN)
    if ended >= LOOKS_DIFFERED_MOST:
        message = f"{ended} times in a day another charge appeared; the last time {differs}"
        with bench.store.write(durable=True) as tx:
            breakers.review_account(
                bench, tx, topup.account, now, reason="second_look", message=message, window=topup.id
            )
    return after


# ── the attempt ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def _attempt(bench: Bench, topup: Topup, latest_charge: str | None) -> Attempt | None:
    """Return the attempt to send: the last one again while its outcome is unknown, else the next number.

    None where Stripe cannot be asked, or another daemon has made an attempt since the look.
    """
    assert topup.payment_intent is not None
    now = bench.clock.now()
    sends = ledger_reads.sends(bench.store.reader, topup.id, "confirm")
    if topup.state is State.CONFIRMING:
        last = sends[-1]
        return Attempt(last.n, last.key, same_params(last.params), _first_sent(sends, last.n))
    charged = 0
    if latest_charge is not None:
        charges = await bench.gateway.charges(topup.payment_intent)
        if isinstance(charges, Refused):
            _count_failed_look(bench, topup, charges, LISTING_CHARGES)
            return None
        breakers.note_reached(bench, topup.account, LISTING_CHARGES)
        if not charges.value.items or charges.value.items[0].id != latest_charge:
            return None
        charged = len(charges.value.items)
    n = 1 + max(charged, max((send.n for send in sends), default=0))
    if topup.payment_method is None:
        with bench.store.write(durable=True) as tx:
            review(bench, tx, topup, now, "adopted, and nothing says which payment method it was tried with")
        return None
    return Attempt(n, confirm_key(topup.payment_intent, n), confirm_params(topup.payment_method), now)


def _first_sent(sends: tuple[Send, ...], n: int) -> datetime:
    return min(send.sent_at for send in sends if send.n == n)


def _write_attempt(
    bench: Bench, config: TopupConfig, topup: Topup, sight: Sight, attempt: Attempt
) -> tuple[Topup, int] | None:
    """Judge the gates and write the attempt down, in one transaction. None where a gate says no."""
    now = bench.clock.now()
    if now - attempt.first_sent_at >= KEY_LIVES:
        return None  # an old key protects nothing; the next look cancels
    with bench.store.write(durable=True) as tx:
        current = ledger_reads.get(tx, topup.id)
        if current is None or current.state is not topup.state or current.cancel_as is not None:
            return None
        said = verdict(bench, tx, config, sight, topup=current)
        if said.refused is not None and said.refused.name == "card" and current.state is not State.CONFIRMING:
            _wear_out(bench, tx, current, said, now)
            return None
        if said.refused is not None:
            record_refusal(bench, tx, topup.account, config, said, now)
            return None
        next_at = now + READ_BACK_AFTER[0]
        if current.state is State.CONFIRMING:
            current = ledger.change(tx, current, now, next_at=next_at)
        else:
            current = ledger.move(tx, current, State.CONFIRMING, now, reason=f"attempt {attempt.n}", next_at=next_at)
        send = ledger.record_send(
            tx, current, "confirm", attempt.n, attempt.key, attempt.params, now, gates=said.encode()
        )
    return current, send


def _wear_out(bench: Bench, tx: Transaction, topup: Topup, said: Verdict, now: datetime) -> None:
    """The card has had all its attempts: as after the last retry, it is given up, and a person is asked for another."""
    gate = said.refused
    assert gate is not None, "only a card that is refused is given up"
    ledger_notes.count_decision(tx, topup.account, gate.name, now, detail=gate.detail, gates=said.encode())
    decline = Decline(Kind.SOFT, "attempts", gate.detail, topup.fingerprint)
    given_up = ledger.change(tx, topup, now, cancel_as=State.DECLINED, reason=gate.detail)
    breakers.suspend_for_card(bench, tx, given_up, now, decline)


async def _send(bench: Bench, config: TopupConfig, topup: Topup, sight: Sight, attempt: Attempt) -> Topup:
    """Send the attempt, act on its answer, read the PaymentIntent back; the same key again where that is the answer."""
    waits = list(BACK_OFF_S)
    in_use = 0
    while True:
        written = _write_attempt(bench, config, topup, sight, attempt)
        if written is None:
            current = ledger_reads.get(bench.store.reader, topup.id)
            assert current is not None, "the ledger forgets nothing"
            return current
        topup, send = written
        assert topup.payment_intent is not None
        asked = bench.gateway.confirm(topup.payment_intent, attempt.params, attempt.key)
        outcome = await answered(bench, topup, CONFIRMING, send, asked)
        topup = await _act(bench, topup, outcome)
        if topup.state is not State.CONFIRMING or topup.cancel_as is not None or isinstance(outcome, Answered):
            return topup
        action = CONFIRM[outcome.kind]
        if action is Action.SAME_KEY_SOON and in_use < KEY_IN_USE_TIMES:
            in_use += 1
            await bench.clock.sleep(bench.rng.uniform(*KEY_IN_USE_WAIT_S))
        elif action is Action.BACK_OFF and waits and outcome.should_retry is not False:
            await bench.clock.sleep(waits.pop(0))
        else:
            return topup
        topup = await read_back(bench, topup)
        if topup.state is not State.CONFIRMING:
            return topup


async def _act(bench: Bench, topup: Topup, outcome: Outcome) -> Topup:
    """Act on the answer by the table; reading back comes first, whatever was answered."""
    action = CONFIRM[AnswerKind.ANSWERED if isinstance(outcome, Answered) else outcome.kind]
    if action in (Action.KEEP_OPEN, Action.BREAK, Action.SAME_KEY_SOON):
        return topup
    after = await read_back(bench, topup)
    if isinstance(outcome, Answered) or after.state is not State.CONFIRMING:
        return after
    something_else = outcome.kind is AnswerKind.INTENT_MISSING and _left_no_trace(bench, after)
    if action is Action.CANCEL_AND_SUSPEND or something_else:
        now = bench.clock.now()
        with bench.store.write(durable=True) as tx:
            breakers.suspend(
                bench,
                tx,
                topup.account,
                now,
                reason="refused_by_stripe",
                message=outcome.message,
                window=topup.id,
                topup=topup,
            )
        return await cancel(bench, after, State.DECLINED, f"Stripe refused it: {outcome.message}")
    if action is Action.REVIEW and _left_no_trace(bench, after):
        return _ask_person(bench, after, outcome.message)
    return after


def _ask_person(bench: Bench, topup: Topup, message: str | None) -> Topup:
    """The confirm was refused for good, and the PaymentIntent still waits: it is read back on, and nothing is sent."""
    with bench.store.write(durable=True) as tx:
        current = ledger_reads.get(tx, topup.id)
        if current is None or current.state is not State.CONFIRMING or current.cancel_as is not None:
            return current or topup
        reason = f"Stripe refused the confirm, and it still waits: {message}"
        return review(bench, tx, current, bench.clock.now(), reason)


# ── later passes ────────────────────────────────────────────────────────────────────────────────────────────────────


async def go_on(bench: Bench, config: TopupConfig, topup: Topup, sight: Sight) -> Topup:
    """Go on with an open top-up by a believed reading of this pass: confirm, retry, send again, or give it up."""
    now = bench.clock.now()
    available = sight.known.metrics.available_microusd
    wanted = available is not None and available < config.when_below_microusd
    if topup.cancel_as is not None:
        return topup
    if topup.state is State.CREATED:
        if not topup.own:
            return topup
        if not wanted or now - topup.planned_at >= NEVER_CONFIRMED_FOR:
            why = "no longer wanted" if not wanted else "not confirmed within ten minutes"
            return await cancel(bench, topup, State.ABANDONED, why)
        return await confirm(bench, config, topup, sight)
    if topup.state is State.RETRY_WAIT:
        if topup.own and topup.payment_method is not None and config.payment_method not in (None, topup.payment_method):
            return await cancel(bench, topup, State.ABANDONED, "another payment method is configured")
        if topup.next_at is None or now < topup.next_at:
            return await read_back(bench, topup)
        if not wanted:
            return await cancel(bench, topup, State.ABANDONED, "no longer wanted")
        if topup.amount_microusd > most_at_once(config):
            return await cancel(bench, topup, State.ABANDONED, "more than the configuration still allows at once")
        return await confirm(bench, config, topup, sight)
    if topup.state is State.CONFIRMING:
        return await _again(bench, config, topup, sight, wanted=wanted)
    return topup


async def _again(bench: Bench, config: TopupConfig, topup: Topup, sight: Sight, *, wanted: bool) -> Topup:
    """A confirm of unknown outcome: read back; where it left no trace, the same key again, or cancel."""
    now = bench.clock.now()
    sends = ledger_reads.sends(bench.store.reader, topup.id, "confirm")
    last = sends[-1]
    if now - last.sent_at < SAME_KEY_AFTER or is_pinned_later(sends):
        return topup
    if last.answer == AnswerKind.RATE_LIMITED and now - last.sent_at < _backed_off(sends, last):
        return topup
    topup = await read_back(bench, topup)
    if topup.state is not State.CONFIRMING or topup.cancel_as is not None:
        return topup
    if not _left_no_trace(bench, topup):
        return topup
    if last.answer in REFUSED_FOR_GOOD:
        return _ask_person(bench, topup, last.message)
    if not wanted:
        return await cancel(bench, topup, State.ABANDONED, "the confirm left no trace and is no longer wanted")
    if now - _first_sent(sends, last.n) >= KEY_LIVES:
        return await cancel(bench, topup, State.ABANDONED, "the confirm left no trace and its key is too old")
    return await confirm(bench, config, topup, sight)


def _backed_off(sends: tuple[Send, ...], last: Send) -> timedelta:
    lasted = last.sent_at - _first_sent(sends, last.n)
    return BACK_OFF_LATER if lasted >= BACK_OFF_LONGEST else SAME_KEY_AFTER


def _left_no_trace(bench: Bench, topup: Topup) -> bool:
    """Whether reading back just said that the PaymentIntent still waits for its confirm."""
    said = ledger_reads.readbacks(bench.store.reader, topup.id)
    return bool(said) and said[-1].status in ("requires_confirmation", "requires_payment_method")
