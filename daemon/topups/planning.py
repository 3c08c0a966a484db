"""Planning: the gates, the second read, the number, the method, and a plan that is written down before it is sent."""

from __future__ import annotations

import json

from alerts.model.money import MICROUSD_PER_CENT, format_usd
from alerts.model.reasons import ReviewReason, SuspendedReason
from alerts.model.values import replace
from daemon.config.model import TopupConfig, TopupMode
from daemon.store import ledger, ledger_notes, ledger_reads
from daemon.store.connection import Transaction
from daemon.store.topup_rows import State, Topup
from daemon.stripe.answers import NO_USE_WAITING, Refused
from daemon.stripe.declines import BAD_CARDS
from daemon.stripe.intents import Listing, Metadata
from daemon.stripe.methods import find_method
from daemon.stripe.objects import PaymentMethod
from daemon.stripe.requests import create_key, create_params
from daemon.topups.adoption import adopt
from daemon.topups.context import TopupContext
from daemon.topups.executor import run
from daemon.topups.gate_check import check_gates
from daemon.topups.listing import list_intents
from daemon.topups.policy import messages, stops
from daemon.topups.policy.gate import GateName, Verdict
from daemon.topups.policy.step import Count, Doing, Emit, Need, Readings
from daemon.topups.returned import record_returns
from daemon.topups.second_read import AccountReads, read_again


async def charge(context: TopupContext, config: TopupConfig, account: str, seen: AccountReads) -> None:
    """Plan a top-up for the account, create it, and confirm it, as far as every gate agrees."""
    probing = any(stop.is_for_card for stop in await context.read(ledger_notes.stops, account))
    if await context.apart(_is_refused, account, seen.readings, probe=probing):
        return
    await read_again(context, account, seen)
    if config.mode is TopupMode.SHADOW:
        await context.apart(_shadow, account, seen.readings)
        return
    listed = await _known(context, account)
    method = await _method(context, config, account) if listed is not None else None
    if listed is None or method is None:
        return
    is_probe = await context.apart(_is_probe, account, method)
    if probing and not is_probe:
        await context.apart(_is_refused, account, seen.readings)
    elif is_probe or not await context.apart(_is_bad_card, account, method):
        planned = await context.apart(_write, config, account, seen.readings, listed, method, probe=is_probe)
        if planned is None:
            return
        ended = await run(context, planned.id, Need(), seen)
        if ended.state is State.ABANDONED:
            await _known(context, account)  # what stood in the way is adopted


def _is_refused(context: TopupContext, account: str, readings: Readings, *, probe: bool = False) -> bool:
    """Record what a gate says against a charge, where none is yet read twice. Returns whether one does."""
    readings = replace(readings, second=readings.second or readings.known)
    with context.store.write(durable=True, lock=account) as tx:
        return _passed(context, tx, account, readings, probe=probe) is None


def _passed(
    context: TopupContext,
    tx: Transaction,
    account: str,
    readings: Readings,
    *,
    card: str | None = None,
    probe: bool = False,
    listed: Listing | None = None,
) -> Verdict | None:
    """Evaluate the gates in the transaction; None where one says no, which is recorded."""
    said = check_gates(context, tx, account, readings, fingerprint=card, probe=probe, listed=listed)
    if said is None or said.refused is None:
        return said
    context.apply(tx, stops.refusal(context.account(account), context.clock.now(), said))
    return None


def _shadow(context: TopupContext, account: str, readings: Readings) -> None:
    """Record what would have been charged. Nothing is sent, adopted or numbered."""
    with context.store.write(durable=True, lock=account) as tx:
        said = _passed(context, tx, account, readings)
        if said is not None:
            cents = said.amount_microusd // MICROUSD_PER_CENT
            ledger_notes.record_shadow(tx, account, context.clock.now(), amount_cents=cents, gates=said.encode())
            context.apply(tx, [Count(account, "shadow", f"would have charged {cents} cents", said.encode())])


async def _known(context: TopupContext, account: str) -> Listing | None:
    """Return what is charged already, once the ledger knows all of it; None where that cannot be told."""
    listed = await list_intents(context, account)
    refused = listed if isinstance(listed, Refused) else await adopt(context, account, listed)
    if isinstance(listed, Refused) or refused is not None:
        await context.commit(Count(account, "look", refused.message if refused is not None else ""))
        return None
    await context.apart(record_returns, listed)
    if not listed.unreadable:
        return listed
    await context.apart(_stop_for, account, listed.unreadable[0])
    return None


def _stop_for(context: TopupContext, account: str, unreadable: str) -> None:
    message = f"metadata that cannot be read: {unreadable}"
    intent, view = unreadable.partition(":")[0], context.account(account)
    context.write(stops.account_stop(view, context.clock.now(), ReviewReason.METADATA, message, intent))
    context.last_errors[account] = f"{account}: {message}"


# ── the method ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def _method(context: TopupContext, config: TopupConfig, account: str) -> PaymentMethod | None:
    """Return what is charged; None where there is nothing, which is told."""
    found = await find_method(context.gateway, config.customer, config.payment_method)
    if isinstance(found, Refused) and found.kind not in NO_USE_WAITING:
        await context.note(account, Doing.READING_METHOD, found)
        return None
    return await context.apart(_found, account, found)


def _found(context: TopupContext, account: str, found: PaymentMethod | Refused) -> PaymentMethod | None:
    context.reached(account, Doing.READING_METHOD)
    if isinstance(found, PaymentMethod):
        return found
    notice = context.notice(account, SuspendedReason.PAYMENT_METHOD, found.message)
    context.write(Count(account, "payment_method", found.message, is_error=True), notice)
    return None


def _is_probe(context: TopupContext, account: str, method: PaymentMethod) -> bool:
    """Whether the method is another card than those that the account is suspended for, and not a refused one."""
    conn = context.store.reader
    suspended_for = {stop.fingerprint for stop in ledger_notes.stops(conn, account)}
    refused = ledger_notes.refused_cards(conn, account, BAD_CARDS)
    return method.fingerprint not in refused | suspended_for and any(suspended_for)


def _is_bad_card(context: TopupContext, account: str, method: PaymentMethod) -> bool:
    """Whether the bank refused this card for good, though another has paid since: the account is suspended for it."""
    conn, card = context.store.reader, method.fingerprint
    if card not in ledger_notes.refused_cards(conn, account, BAD_CARDS):
        return False
    message = f"the card of {method.id} was refused for good before"
    window = f"{method.id}:{ledger_reads.max_seq(conn, account)}"
    view, now = context.account(account), context.clock.now()
    suspended = stops.suspension(view, now, SuspendedReason.DECLINED, message, window, card=card)
    context.write(Count(account, GateName.CARD, message), suspended)
    return True


# ── the plan ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _write(
    context: TopupContext,
    config: TopupConfig,
    account: str,
    readings: Readings,
    listed: Listing,
    method: PaymentMethod,
    *,
    probe: bool,
) -> Topup | None:
    """Evaluate the gates once more and write the plan, in one transaction. None where one says no, or terms changed."""
    now, reading = context.clock.now(), readings.second or readings.known
    funded, balance = reading.metrics.funded_microusd, reading.metrics.balance_microusd
    with context.store.write(durable=True, lock=account) as tx:
        if context.topup(account) != config or not context.is_current(tx, context.config):
            context.apply(tx, [Count(account, "terms", "its terms have changed: the next reading is judged by them")])
            return None
        said = _passed(context, tx, account, readings, card=method.fingerprint, probe=probe, listed=listed)
        if said is None:
            return None
        seq, cents = 1 + ledger_reads.max_seq(tx, account), said.amount_microusd // MICROUSD_PER_CENT
        plan = Metadata(account, seq, funded, balance)
        suffix, email = config.statement_descriptor_suffix, config.receipt_email
        params = create_params(plan, config.customer, cents, method.id, suffix=suffix, receipt_email=email)
        topup = Topup(
            id=plan.topup,
            account=account,
            customer=config.customer,
            seq=seq,
            own=True,
            state=State.PLANNED,
            reason=f"available below {format_usd(config.when_below_microusd)}",
            amount_cents=cents,
            create_key=create_key(config.customer, account, seq),
            create_params=json.dumps(params, sort_keys=True, separators=(",", ":")),
            planned_at=now,
            state_at=now,
            payment_method=method.id,
            fingerprint=method.fingerprint,
            probe=probe,
            available_microusd=said.available_microusd,
            threshold_microusd=config.when_below_microusd,
            funded_before_microusd=funded,
            balance_before_microusd=balance,
            low_balance_microusd=balance if funded is None else None,
            reading_at=reading.at,
            gates=said.encode(),
            seen=listed.encode(),
            next_at=now,
        )
        ledger.insert(tx, topup, now)
        context.apply(tx, [Emit(messages.planned(topup, context.account(account), now))])
    return topup
