"""Planning and creating: the gates, the number, the method, and a PaymentIntent that moves no money yet."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from alerts.money import format_usd
from alerts.readings import Known
from alerts.values import replace
from daemon.config.model import TopupConfig, TopupMode
from daemon.store import ledger, ledger_notes, ledger_reads
from daemon.store.ledger import Topup
from daemon.topups import breakers, events
from daemon.topups.adoption import adopt
from daemon.topups.answers import CREATE, CREATE_FOR, KEY_LIVES, KEY_REFUSED, READ_BACK_AFTER, Action
from daemon.topups.bench import Bench
from daemon.topups.breakers import CREATING, LISTING, LISTING_CHARGES, READING_METHOD
from daemon.topups.confirm import confirm
from daemon.topups.declines import BAD_CARDS, Kind
from daemon.topups.gateway import Answered, Refused
from daemon.topups.judgement import Reread, Sight, note_second_read, record_refusal, verdict
from daemon.topups.look import Look, look, mismatch
from daemon.topups.plan import plan
from daemon.topups.reconcile import take_returned
from daemon.topups.sending import answered, same_params
from daemon.topups.settle import OWNER_HAS, read_back
from daemon.topups.states import State
from daemon.topups.stripe_objects import PaymentIntent, PaymentMethod

METHOD_TYPES = ("card", "link")


@dataclass(frozen=True, slots=True)
class Method:
    """The payment method, resolved and frozen at plan. `probe`: another card than the one the account stands for."""

    id: str
    type: str
    fingerprint: str
    probe: bool


async def charge(bench: Bench, config: TopupConfig, sight: Sight, reread: Reread) -> None:
    """Plan a top-up for the account, create it, and confirm it, as far as every gate agrees."""
    probing = _may_probe(bench, sight.account)
    if _refuse(bench, config, sight, probe=probing):
        return
    again = await reread()
    sight = replace(sight, second=again if isinstance(again, Known) and _follows(sight.known, again) else None)
    if config.mode is TopupMode.SHADOW:
        _shadow(bench, config, sight)
        return
    note_second_read(bench, sight, again)
    first = await look(bench, sight.account)
    if isinstance(first, Refused):
        _could_not_look(bench, sight.account, first)
        return
    unknown = await adopt(bench, sight.account, first)
    if unknown is not None:
        _could_not_look(bench, sight.account, unknown, LISTING_CHARGES)
        return
    take_returned(bench, first)
    if not _readable(bench, sight.account, first):
        return
    method = await _method(bench, config, sight.account)
    if method is None or (probing and not method.probe):
        if method is not None:
            _refuse(bench, config, sight, probe=False)
        return
    if not method.probe and _is_refused(bench, sight.account, method):
        return
    planned = _write_plan(bench, config, sight, first, method)
    if planned is not None:
        created = await _send_create(bench, config, sight, planned)
        if created is not None and created.state is State.CREATED and created.own:
            await confirm(bench, config, created, sight)


def _follows(first: Known, second: Known) -> bool:
    """Whether the second read can be true beside the first: what only grows has not fallen.

    It is judged by nothing else, and the plan rests on it: its size, and the sum from which the credit is awaited.
    """
    before, after = first.metrics, second.metrics
    pairs = ((before.funded_microusd, after.funded_microusd), (before.accrued_microusd, after.accrued_microusd))
    return all(old is None or (new is not None and new >= old) for old, new in pairs)


def _may_probe(bench: Bench, account: str) -> bool:
    """Whether the account is suspended for its card, so that another card may be tried once."""
    stops = ledger_notes.stops(bench.store.reader, account)
    return any(stop.is_for_card for stop in stops)


def _refuse(bench: Bench, config: TopupConfig, sight: Sight, *, probe: bool) -> bool:
    """Record what a gate says against a charge. Returns whether one does."""
    now = bench.clock.now()
    with bench.store.write(durable=True) as tx:
        said = verdict(bench, tx, config, replace(sight, second=sight.second or sight.known), probe=probe)
        if said.refused is not None:
            record_refusal(bench, tx, sight.account, config, said, now)
    return said.refused is not None


def _shadow(bench: Bench, config: TopupConfig, sight: Sight) -> None:
    """Record what would have been charged. Nothing is sent, adopted or numbered."""
    now = bench.clock.now()
    with bench.store.write(durable=True) as tx:
        said = verdict(bench, tx, config, sight)
        if said.refused is not None:
            record_refusal(bench, tx, sight.account, config, said, now)
            return
        cents = said.amount_microusd // 10_000
        ledger_notes.record_shadow(tx, sight.account, now, amount_cents=cents, gates=said.encode())
        ledger_notes.count_decision(
            tx, sight.account, "shadow", now, detail=f"would have charged {cents} cents", gates=said.encode()
        )


def _could_not_look(bench: Bench, account: str, refused: Refused, doing: str = LISTING) -> None:
    """Count and tell that Stripe could not be asked what is charged already: nothing is planned on a guess."""
    now = bench.clock.now()
    with bench.store.write(durable=True) as tx:
        ledger_notes.count_decision(tx, account, "look", now, detail=refused.message, gates="[]")
    breakers.note_unlisted(bench, account, refused, doing)


def _readable(bench: Bench, account: str, seen: Look) -> bool:
    """Whether every PaymentIntent that is marked as ours could be read; else the account waits for a person."""
    if not seen.unreadable:
        return True
    now = bench.clock.now()
    with bench.store.write(durable=True) as tx:
        message = f"metadata that cannot be read: {seen.unreadable[0]}"
        breakers.review_account(
            bench, tx, account, now, reason="metadata", message=message, window=seen.unreadable[0].partition(":")[0]
        )
    bench.troubles[account] = f"{account}: {message}"
    return False


# ── the method ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def _method(bench: Bench, config: TopupConfig, account: str) -> Method | None:
    """Resolve the payment method: the configured one, else the customer's default. None is told."""
    wanted = config.payment_method
    if wanted is None:
        default = await bench.gateway.default_method(config.customer)
        if isinstance(default, Refused):
            _no_method(bench, account, default.message, default)
            return None
        wanted = default.value
    if wanted is None:
        _no_method(bench, account, f"{config.customer} has no default payment method")
        return None
    found = await bench.gateway.method(wanted)
    if isinstance(found, Refused):
        _no_method(bench, account, found.message, found)
        return None
    breakers.note_reached(bench, account, READING_METHOD)
    problem = unusable(found.value, config)
    if problem:
        _no_method(bench, account, problem)
        return None
    refused_cards = ledger_notes.refused_cards(bench.store.reader, account, BAD_CARDS)
    suspended_for = {stop.fingerprint for stop in ledger_notes.stops(bench.store.reader, account)}
    probe = found.value.fingerprint not in refused_cards | suspended_for and any(suspended_for)
    return Method(found.value.id, found.value.type, found.value.fingerprint, probe)


def _is_refused(bench: Bench, account: str, method: Method) -> bool:
    """Whether the bank refused this card for good, though another has paid since: the account stands still for it."""
    if method.fingerprint not in ledger_notes.refused_cards(bench.store.reader, account, BAD_CARDS):
        return False
    now = bench.clock.now()
    with bench.store.write(durable=True) as tx:
        window = f"{method.id}:{ledger_reads.max_seq(tx, account)}"
        message = f"the card of {method.id} was refused for good before"
        ledger_notes.count_decision(tx, account, "card", now, detail=message, gates="[]")
        breakers.suspend(
            bench,
            tx,
            account,
            now,
            reason=events.decline_reason(Kind.HARD),
            message=message,
            window=window,
            fingerprint=method.fingerprint,
        )
    return True


def unusable(method: PaymentMethod, config: TopupConfig) -> str | None:
    """Return why the method is not charged, None where it may be: for the daemon and for `check --online` alike."""
    if method.type not in METHOD_TYPES:
        return f"{method.id} is a {method.type}: only cards and Link are charged"
    if method.customer != config.customer:
        return f"{method.id} is not saved for {config.customer}"
    return None


def _no_method(bench: Bench, account: str, message: str, refused: Refused | None = None) -> None:
    now = bench.clock.now()
    if refused is not None and refused.kind not in breakers.NO_USE_WAITING:
        breakers.note_unreachable(bench, account, now, refused, READING_METHOD)
    else:
        with bench.store.write(durable=True) as tx:
            ledger_notes.count_decision(tx, account, "payment_method", now, detail=message, gates="[]")
            breakers.tell_once(bench, tx, account, now, "payment_method", message)
        bench.troubles[account] = f"{account}: {message}"


# ── the plan ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _write_plan(bench: Bench, config: TopupConfig, sight: Sight, seen: Look, method: Method) -> Topup | None:
    """Judge the gates once more and write the plan, in one transaction."""
    now = bench.clock.now()
    metrics = (sight.second or sight.known).metrics
    with bench.store.write(durable=True) as tx:
        said = verdict(bench, tx, config, sight, fingerprint=method.fingerprint, probe=method.probe)
        if said.refused is not None:
            record_refusal(bench, tx, sight.account, config, said, now)
            return None
        wanted = plan(
            config,
            sight.account,
            seq=1 + max(seen.max_seq, ledger_reads.max_seq(tx, sight.account)),
            amount_cents=said.amount_microusd // 10_000,
            payment_method=method.id,
            method_type=method.type,
            funded_microusd=metrics.funded_microusd,
            balance_microusd=metrics.balance_microusd,
        )
        topup = Topup(
            id=wanted.topup,
            account=sight.account,
            customer=wanted.customer,
            seq=wanted.seq,
            own=True,
            state=State.PLANNED,
            reason=f"available below {format_usd(config.when_below_microusd)}",
            amount_cents=wanted.amount_cents,
            create_key=wanted.create_key,
            create_params=json.dumps(wanted.create_params(), sort_keys=True, separators=(",", ":")),
            planned_at=now,
            state_at=now,
            payment_method=method.id,
            fingerprint=method.fingerprint,
            probe=method.probe,
            available_microusd=said.available_microusd,
            threshold_microusd=config.when_below_microusd,
            funded_before_microusd=metrics.funded_microusd,
            balance_before_microusd=metrics.balance_microusd,
            low_balance_microusd=metrics.balance_microusd if metrics.funded_microusd is None else None,
            reading_at=(sight.second or sight.known).at,
            gates=said.encode(),
            seen=seen.encode(),
            next_at=now,
        )
        ledger.insert(tx, topup, now)
        bench.tell(tx, [events.planned(topup, bench.provider(sight.account), now)], now)
    return topup


# ── the create ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def _send_create(bench: Bench, config: TopupConfig, sight: Sight, topup: Topup) -> Topup | None:
    """Write the create down and send it; where its outcome is unknown, list once and send the same key once more."""
    now = bench.clock.now()
    with bench.store.write(durable=True) as tx:
        said = verdict(bench, tx, config, sight, topup=topup)
        if said.refused is not None:
            gate = record_refusal(bench, tx, sight.account, config, said, now)
            ledger.move(tx, topup, State.ABANDONED, now, reason=f"not created: {gate.detail}", next_at=None)
            return None
        topup = ledger.move(
            tx, topup, State.CREATING, now, reason="asking Stripe to create it", next_at=now + READ_BACK_AFTER[0]
        )
        send = ledger.record_send(
            tx, topup, "create", 1, topup.create_key, same_params(topup.create_params), now, gates=said.encode()
        )
    after = await _create(bench, topup, send)
    return await continue_create(bench, after) if after.state is State.CREATING else after


async def _create(bench: Bench, topup: Topup, send: int) -> Topup:
    asked = bench.gateway.create(same_params(topup.create_params), topup.create_key)
    outcome = await answered(bench, topup, CREATING, send, asked)
    if isinstance(outcome, Answered):
        created = take_created(bench, topup, outcome.value)
        return await read_back(bench, created) if outcome.replayed and created.is_open else created
    return await _act(bench, topup, outcome)


async def _act(bench: Bench, topup: Topup, refused: Refused) -> Topup:
    now = bench.clock.now()
    action = CREATE[refused.kind]
    if action is Action.LIST_THEN_SAME_KEY or action is Action.BREAK:
        return topup
    if action is Action.ADOPT_OTHER:
        _end(bench, topup, State.ABANDONED, f"another daemon owns number {topup.seq}")
        seen = await look(bench, topup.account)
        if not isinstance(seen, Refused):
            await adopt(bench, topup.account, seen)
    else:
        with bench.store.write(durable=True) as tx:
            topup = ledger.move(
                tx, topup, State.DECLINED, now, reason=f"Stripe refused it: {refused.message}", next_at=None
            )
            reason = "livemode" if action is Action.REVIEW else "refused_by_stripe"
            breakers.suspend(
                bench, tx, topup.account, now, reason=reason, message=refused.message, window=topup.id, topup=topup
            )
    current = ledger_reads.get(bench.store.reader, topup.id)
    assert current is not None, "the ledger forgets nothing"
    return current


def _end(bench: Bench, topup: Topup, end: State, reason: str) -> Topup:
    now = bench.clock.now()
    with bench.store.write(durable=True) as tx:
        return ledger.move(tx, topup, end, now, reason=reason, next_at=None)


def take_created(bench: Bench, topup: Topup, intent: PaymentIntent) -> Topup:
    """Write down that Stripe has the PaymentIntent; one that differs from the plan is a person's business."""
    now = bench.clock.now()
    wrong = mismatch(topup, intent)
    with bench.store.write(durable=True) as tx:
        other = ledger_reads.get(tx, intent.id)
        if other is not None and other.id != topup.id:
            return ledger.move(tx, topup, State.ABANDONED, now, reason=f"{intent.id} is {other.id}'s", next_at=None)
        breakers.note_done(tx, topup.account, CREATING)
        changes: dict[str, Any] = {"payment_intent": intent.id, "stripe_created_at": intent.created_at}
        if wrong:
            after = ledger.move(tx, topup, State.NEEDS_REVIEW, now, reason=wrong, **changes)
            bench.tell(tx, [events.needs_review(after, bench.provider(topup.account), now, wrong)], now)
            return after
        changes["next_at"] = topup.planned_at + OWNER_HAS
        return ledger.move(tx, topup, State.CREATED, now, reason="Stripe has it", **changes)


async def continue_create(bench: Bench, topup: Topup) -> Topup:
    """Go on with a create of unknown outcome: list, then the same key for 15 minutes, then give the number up.

    While Stripe refuses the API key for it, it is asked again as often as the breaker closes, for as long as its
    idempotency key protects: no new number is planned for every probe.
    """
    now = bench.clock.now()
    sends = ledger_reads.sends(bench.store.reader, topup.id, "create")
    seen = await look(bench, topup.account)
    if isinstance(seen, Refused):
        breakers.note_unlisted(bench, topup.account, seen, LISTING)
        return _later(bench, topup)
    for one in seen.ours:
        if one.said.seq == topup.seq and mismatch(topup, one.intent) is None:
            return await read_back(bench, take_created(bench, topup, one.intent))
    first_sent_at = sends[0].sent_at if sends else topup.planned_at
    refused_key = bool(sends) and sends[-1].answer in KEY_REFUSED
    if now - first_sent_at >= (KEY_LIVES if refused_key else CREATE_FOR):
        return _end(bench, topup, State.ABANDONED, "the outcome of the create stayed unknown: its number is given up")
    if not bench.may_post(topup.account) or _stopped(bench, topup):
        return _later(bench, topup)
    with bench.store.write(durable=True) as tx:
        send = ledger.record_send(tx, topup, "create", 1, topup.create_key, same_params(topup.create_params), now)
    after = await _create(bench, topup, send)
    return _later(bench, after) if after.state is State.CREATING else after


def _stopped(bench: Bench, topup: Topup) -> bool:
    config = bench.topup(topup.account)
    if config is None or config.mode is not TopupMode.CHARGE:
        return True
    stops = ledger_notes.stops(bench.store.reader, topup.account)
    return any(not (topup.probe and stop.is_for_card) for stop in stops)


def _later(bench: Bench, topup: Topup) -> Topup:
    """Come back on the schedule of unknown outcomes."""
    now = bench.clock.now()
    wait = READ_BACK_AFTER[min(topup.reads, 2)]
    with bench.store.write(durable=True) as tx:
        current = ledger_reads.get(tx, topup.id)
        assert current is not None, "the ledger forgets nothing"
        return ledger.change(tx, current, now, next_at=now + wait, reads=current.reads + 1)
