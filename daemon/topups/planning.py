"""Planning: the gates, the second read, the number, the method, and a plan that is written down before it is sent."""

from __future__ import annotations

import json
from dataclasses import dataclass

from alerts.model.money import format_usd
from alerts.model.reasons import ReviewReason, SuspendedReason
from alerts.model.values import replace
from daemon.config.model import TopupConfig, TopupMode
from daemon.store import ledger, ledger_notes, ledger_reads
from daemon.store.connection import Transaction
from daemon.store.topup_rows import State, Topup
from daemon.stripe.answers import NO_USE_WAITING, Refused
from daemon.stripe.declines import BAD_CARDS
from daemon.stripe.objects import PaymentMethod
from daemon.topups.adoption import adopt
from daemon.topups.context import TopupContext
from daemon.topups.executor import run
from daemon.topups.judging import verdict
from daemon.topups.listing import list_intents
from daemon.topups.policy import messages, stops
from daemon.topups.policy.gate import GateName, Verdict
from daemon.topups.policy.intents import Listing
from daemon.topups.policy.plan import Plan
from daemon.topups.policy.step import Count, Doing, Emit, Need
from daemon.topups.returned import take_listed
from daemon.topups.second_read import Pass, read_again

METHOD_TYPES = ("card", "link")


@dataclass(frozen=True, slots=True)
class Method:
    """The payment method, resolved and frozen at plan. `probe`: another card than the one the account stands for."""

    id: str
    type: str
    fingerprint: str
    probe: bool


async def charge(context: TopupContext, config: TopupConfig, account: str, seen: Pass) -> None:
    """Plan a top-up for the account, create it, and confirm it, as far as every gate agrees."""
    probing = any(stop.is_for_card for stop in ledger_notes.stops(context.store.reader, account))
    if _refused(context, account, seen, probe=probing):
        return
    await read_again(context, account, seen)
    if config.mode is TopupMode.SHADOW:
        _shadow(context, account, seen)
        return
    listed = await _known(context, account)
    method = await _method(context, config, account) if listed is not None else None
    if listed is None or method is None:
        return
    if probing and not method.probe:
        _refused(context, account, seen, probe=False)
    elif method.probe or not _is_refused(context, account, method):
        planned = _write(context, config, account, seen, listed, method)
        if planned is None:
            return
        ended = await run(context, planned.id, Need(), seen)
        if ended.state is State.ABANDONED:
            await _known(context, account)  # what stood in the way is adopted


def _refused(context: TopupContext, account: str, seen: Pass, *, probe: bool) -> bool:
    """Record what a gate says against a charge. Returns whether one does."""
    readings = replace(seen.readings, second=seen.readings.second or seen.readings.known)
    with context.store.write(durable=True) as tx:
        return _judge(context, tx, account, Pass(readings, seen.ask), probe=probe) is None


def _judge(
    context: TopupContext,
    tx: Transaction,
    account: str,
    seen: Pass,
    *,
    card: str | None = None,
    probe: bool = False,
    listed: Listing | None = None,
) -> Verdict | None:
    """Judge the gates in the transaction; None where one says no, which is recorded."""
    said = verdict(context, tx, account, seen.readings, fingerprint=card, probe=probe, listed=listed)
    if said is None or said.refused is None:
        return said
    now = context.clock.now()
    context.apply(tx, stops.refusal(context.account(account, tx), now, said), now)
    return None


def _shadow(context: TopupContext, account: str, seen: Pass) -> None:
    """Record what would have been charged. Nothing is sent, adopted or numbered."""
    now = context.clock.now()
    with context.store.write(durable=True) as tx:
        said = _judge(context, tx, account, seen)
        if said is not None:
            cents = said.amount_microusd // 10_000
            ledger_notes.record_shadow(tx, account, now, amount_cents=cents, gates=said.encode())
            context.apply(tx, [Count(account, "shadow", f"would have charged {cents} cents", said.encode())], now)


async def _known(context: TopupContext, account: str) -> Listing | None:
    """Return what is charged already, once the ledger knows all of it; None where that cannot be told."""
    listed = await list_intents(context, account)
    refused = listed if isinstance(listed, Refused) else await adopt(context, account, listed)
    if isinstance(listed, Refused) or refused is not None:
        context.commit(Count(account, "look", refused.message if refused is not None else ""))
        return None
    take_listed(context, listed)
    if not listed.unreadable:
        return listed
    message = f"metadata that cannot be read: {listed.unreadable[0]}"
    intent, now = listed.unreadable[0].partition(":")[0], context.clock.now()
    context.commit(stops.account_review(context.account(account), now, ReviewReason.METADATA, message, intent))
    context.last_errors[account] = f"{account}: {message}"
    return None


# ── the method ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def _method(context: TopupContext, config: TopupConfig, account: str) -> Method | None:
    """Resolve the payment method: the configured one, else the customer's default. None is told."""
    wanted = config.payment_method
    if wanted is None:
        default = await context.gateway.default_method(config.customer)
        if isinstance(default, Refused):
            _no_answer(context, account, default)
            return None
        wanted = default.value
    if wanted is None:
        _no_method(context, account, f"{config.customer} has no default payment method")
        return None
    found = await context.gateway.method(wanted)
    if isinstance(found, Refused):
        _no_answer(context, account, found)
        return None
    context.reached(account, Doing.READING_METHOD)
    method = found.value
    problem = unusable(method, config)
    if problem:
        _no_method(context, account, problem)
        return None
    conn = context.store.reader
    suspended_for = {stop.fingerprint for stop in ledger_notes.stops(conn, account)}
    refused = ledger_notes.refused_cards(conn, account, BAD_CARDS)
    probe = method.fingerprint not in refused | suspended_for and any(suspended_for)
    return Method(method.id, method.type, method.fingerprint, probe)


def unusable(method: PaymentMethod, config: TopupConfig) -> str | None:
    """Return why the method is not charged, None where it may be: for the daemon and for `check --online` alike."""
    if method.type not in METHOD_TYPES:
        return f"{method.id} is a {method.type}: only cards and Link are charged"
    if method.customer != config.customer:
        return f"{method.id} is not saved for {config.customer}"
    return None


def _no_answer(context: TopupContext, account: str, refused: Refused) -> None:
    if refused.kind in NO_USE_WAITING:
        _no_method(context, account, refused.message)
    else:
        context.note(account, Doing.READING_METHOD, refused)


def _no_method(context: TopupContext, account: str, message: str) -> None:
    notice = stops.daily_notice(context.account(account), context.clock.now(), SuspendedReason.PAYMENT_METHOD, message)
    context.commit(Count(account, "payment_method", message, is_error=True), notice)


def _is_refused(context: TopupContext, account: str, method: Method) -> bool:
    """Whether the bank refused this card for good, though another has paid since: the account stands still for it."""
    conn = context.store.reader
    if method.fingerprint not in ledger_notes.refused_cards(conn, account, BAD_CARDS):
        return False
    message = f"the card of {method.id} was refused for good before"
    window = f"{method.id}:{ledger_reads.max_seq(conn, account)}"
    view, now = context.account(account), context.clock.now()
    suspended = stops.suspension(view, now, SuspendedReason.DECLINED, message, window, fingerprint=method.fingerprint)
    context.commit(Count(account, GateName.CARD, message), *suspended)
    return True


# ── the plan ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _write(
    context: TopupContext, config: TopupConfig, account: str, seen: Pass, listed: Listing, method: Method
) -> Topup | None:
    """Judge the gates once more and write the plan, in one transaction. None where one says no."""
    now = context.clock.now()
    reading = seen.readings.second or seen.readings.known
    metrics = reading.metrics
    with context.store.write(durable=True) as tx:
        said = _judge(context, tx, account, seen, card=method.fingerprint, probe=method.probe, listed=listed)
        if said is None:
            return None
        plan = Plan(
            account=account,
            customer=config.customer,
            seq=1 + max(listed.max_seq, ledger_reads.max_seq(tx, account)),
            amount_cents=said.amount_microusd // 10_000,
            payment_method=method.id,
            method_type=method.type,
            funded_microusd=metrics.funded_microusd,
            balance_microusd=metrics.balance_microusd,
            statement_descriptor_suffix=config.statement_descriptor_suffix,
            receipt_email=config.receipt_email,
        )
        topup = Topup(
            id=plan.topup,
            account=account,
            customer=plan.customer,
            seq=plan.seq,
            own=True,
            state=State.PLANNED,
            reason=f"available below {format_usd(config.when_below_microusd)}",
            amount_cents=plan.amount_cents,
            create_key=plan.create_key,
            create_params=json.dumps(plan.create_params(), sort_keys=True, separators=(",", ":")),
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
            reading_at=reading.at,
            gates=said.encode(),
            seen=listed.encode(),
            next_at=now,
        )
        ledger.insert(tx, topup, now)
        provider = context.account(account, tx).provider
        context.apply(tx, [Emit(messages.planned(topup, provider, now))], now)
    return topup
