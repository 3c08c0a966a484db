"""The gates' inputs, gathered inside the transaction that acts on them."""

from __future__ import annotations

from alerts.model.instants import EPOCH
from alerts.model.reasons import CapReason
from alerts.rules.falls import CENT_MICROUSD
from daemon.config.model import TopupConfig
from daemon.store import ledger_notes, ledger_reads, states
from daemon.store.connection import Connection, Transaction
from daemon.store.topup_rows import EVERYWHERE, Bookmark, Spend, Topup
from daemon.stripe.declines import ATTEMPTS_WITHIN, BAD_CARDS
from daemon.stripe.intents import Listing
from daemon.stripe.objects import PaymentIntent
from daemon.topups.context import TopupContext
from daemon.topups.policy.amounts import ROLLING_DAY, Cap
from daemon.topups.policy.builder import OWNER_HAS
from daemon.topups.policy.credit import MISSING_AFTER
from daemon.topups.policy.gate import Verdict
from daemon.topups.policy.gates import RELEASED_FOR, GateInputs, evaluate_gates
from daemon.topups.policy.step import Readings


def check_gates(
    context: TopupContext,
    conn: Transaction,
    account: str,
    readings: Readings,
    *,
    topup: Topup | None = None,
    fingerprint: str | None = None,
    probe: bool = False,
    listed: Listing | None = None,
) -> Verdict | None:
    """Evaluate every gate by what the ledger says in `conn`, the transaction in which the verdict is acted on.

    Gates look at other accounts, too (of the same customer, of the same card): no two verdicts are reached at once.
    `listed`: what Stripe has just listed. None is returned where the account has no top-up.
    """
    config = context.topup(account)
    if config is None:
        return None
    conn.lock(EVERYWHERE)
    now = context.clock.now()
    names = (Bookmark.LATEST, Bookmark.HOLD.of(account), Bookmark.BRAKE_RELEASED.of(account))
    latest, hold, released = ledger_notes.bookmark_times(conn, names)
    card = fingerprint or (topup.fingerprint if topup else None)
    accepted_at = states.accepted(conn).get(account)
    return evaluate_gates(
        GateInputs(
            now=now,
            zone=context.config.timezone,
            config=config,
            stops=ledger_notes.stops(conn, account),
            ledger_at=latest,
            metrics=readings.known.metrics,
            read_at=(readings.second or readings.known).at,
            second=readings.second.metrics if readings.second else None,
            open_topups=ledger_reads.open_states(conn, account),
            last_attempt_at=ledger_reads.last_attempt_at(conn, account),
            falls=readings.falls,
            credited_microusd=ledger_reads.highest_credited(conn, account, accepted_at or EPOCH),
            twins=_twins(context, conn, config, account, readings, listed),
            in_place=not context.store.misplaced(),
            spends=_spends(context, conn, config, account),
            total=_total(context, conn, topup),
            burn=readings.burn,
            stripe_now=context.gateway.stripe_now(now),
            released=released is not None and abs(now - released) < RELEASED_FOR,
            hold_until=hold,
            probe=probe or (topup is not None and topup.probe),
            attempts_on_card=ledger_reads.attempts_on_card(conn, card, now - ATTEMPTS_WITHIN) if card else 0,
            card_refused=card is not None and card in ledger_notes.refused_cards(conn, account, BAD_CARDS),
            itself=topup.id if topup else None,
            amount_microusd=topup.amount_microusd if topup else None,
        )
    )


def _spends(context: TopupContext, conn: Connection, config: TopupConfig, account: str) -> tuple[Spend, ...]:
    """Return what the caps count: the account's charges, and the customer's under ids that are configured no more."""
    since = ledger_reads.since_for_caps(context.clock.now())
    listed = ledger_reads.spends_of_customer(conn, config.customer, since)
    former = [spend for name, spend in listed if name not in context.config.accounts]
    return (*ledger_reads.spends(conn, account, since), *former)


def _total(context: TopupContext, tx: Transaction, topup: Topup | None) -> tuple[Cap, ...]:
    """Return the cap of a day over all accounts, if there is one: told once a calendar day, as others add to it."""
    api, now, zone = context.config.api, context.clock.now(), context.config.timezone
    if api is None:
        return ()
    since, stripe_since = now - ROLLING_DAY, (context.gateway.stripe_now(now) or now) - ROLLING_DAY
    spent = ledger_reads.spent_in_all(tx, since, stripe_since, topup.id if topup else None)
    window = f"day {now.astimezone(zone):%Y-%m-%d} over all accounts"
    return (Cap(CapReason.DAY_TOTAL, api.max_per_day_total_microusd, spent, window),)


def _twins(
    context: TopupContext, conn: Connection, config: TopupConfig, id: str, readings: Readings, listed: Listing | None
) -> dict[str, str]:
    """Return what is open of another account of this customer with equal totals: another key of the same account.

    The ledger knows what this database charges, the list what another one does.
    """
    funded, account = readings.known.metrics.funded_microusd, context.config.accounts.get(id)
    if funded is None or account is None:
        return {}
    found = {}
    for topup in ledger_reads.open_of_customer(conn, config.customer, but_of=id):
        other = context.config.accounts.get(topup.account)
        before = topup.funded_before_microusd
        if before is None or (other is not None and other.url != account.url):
            continue
        if min(abs(funded - before), abs(funded - before - topup.amount_microusd)) <= CENT_MICROUSD:
            found[topup.id] = topup.state.value
    for one in listed.others if listed is not None else ():
        other, before = context.config.accounts.get(one.said.account), one.said.funded_microusd
        is_theirs = other is not None and other.url == account.url and ledger_reads.get(conn, one.intent.id) is None
        is_same = before is not None and abs(funded - before) <= CENT_MICROUSD
        if is_theirs and is_same and _may_come(context, one.intent):
            found[f"{one.said.account}-{one.said.seq}"] = one.intent.status
    return found


def _may_come(context: TopupContext, intent: PaymentIntent) -> bool:
    """Whether the credit of a charge that this ledger does not know may still come: made, or to be made, just now."""
    within = OWNER_HAS if intent.status == "requires_confirmation" else MISSING_AFTER
    return intent.status != "canceled" and context.clock.now() - intent.charged_at < within
