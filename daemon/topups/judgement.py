"""The gates' facts, gathered inside the transaction that acts on them, and what a refusal leaves behind."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from alerts.falls import CENT_MICROUSD, NO_FALL, Falls
from alerts.foresight.burn import burn
from alerts.foresight.memory import BurnMemory
from alerts.instants import EPOCH, from_ms, rfc3339, to_ms
from alerts.readings import Known, Unavailable
from daemon.config.model import TopupConfig
from daemon.store import ledger, ledger_notes, ledger_reads, states
from daemon.store.connection import Transaction
from daemon.store.ledger import Topup
from daemon.store.ledger_reads import Spend
from daemon.topups import breakers, events
from daemon.topups.bench import Bench
from daemon.topups.brake import RELEASED_FOR, pace
from daemon.topups.declines import ATTEMPTS_WITHIN
from daemon.topups.gates import Facts, Gate, Verdict, judge

Reread = Callable[[], Awaitable[Known | Unavailable]]
BURN_BRAKE = "burn_brake"
"""Why an account is stopped that the brake holds: a person's resume of this alone releases it."""
FORGOTTEN_AFTER = timedelta(days=1)
"""A second read that failed so long ago says nothing of one that fails now, if there was no need between them."""


def brake_mark(account: str) -> str:
    """Return the name under which it is remembered when a person released the account's brake."""
    return f"brake_released:{account}"


@dataclass(frozen=True, slots=True)
class Sight:
    """What a pass knows of an account: its believed reading, the second read where there was one, and its past."""

    account: str
    known: Known
    memory: BurnMemory
    second: Known | None = None
    falls: Falls = NO_FALL


def verdict(
    bench: Bench,
    conn: sqlite3.Connection,
    config: TopupConfig,
    sight: Sight,
    *,
    topup: Topup | None = None,
    fingerprint: str | None = None,
    probe: bool = False,
) -> Verdict:
    """Judge every gate by what the ledger says in `conn`: a transaction, where the verdict is acted on."""
    now = bench.clock.now()
    names = ("latest", f"hold:{sight.account}", brake_mark(sight.account))
    latest, hold, released = ledger_notes.marked_at(conn, names)
    scheduled = burn(sight.memory, sight.known.metrics, now)
    card = fingerprint or (topup.fingerprint if topup else None)
    return judge(
        Facts(
            now=now,
            zone=bench.config.timezone,
            config=config,
            stops=ledger_notes.stops(conn, sight.account),
            ledger_at=latest,
            metrics=sight.known.metrics,
            read_at=(sight.second or sight.known).at,
            second=sight.second.metrics if sight.second else None,
            open_topups=ledger_reads.open_states(conn, sight.account),
            last_attempt_at=ledger_reads.last_attempt_at(conn, sight.account),
            falls=sight.falls,
            credited_microusd=_credited(conn, sight.account),
            twins=_twins(bench, conn, config, sight),
            in_place=bench.store.is_in_place(),
            spends=_spends(bench, conn, config, sight.account, now),
            burn_microusd_per_day=scheduled.microusd_per_day if scheduled else None,
            pace=pace(sight.memory, now),
            stripe_now=bench.gateway.stripe_now(now),
            released=released is not None and abs(now - released) < RELEASED_FOR,
            hold_until=hold,
            probe=probe or (topup is not None and topup.probe),
            attempts_on_card=ledger_reads.attempts_on_card(conn, card, now - ATTEMPTS_WITHIN) if card else 0,
            itself=topup.id if topup else None,
            amount_microusd=topup.amount_microusd if topup else None,
        )
    )


def _credited(conn: sqlite3.Connection, account: str) -> int | None:
    """Return the highest `funded` with which a charge's credit was seen, since a person last accepted a fall."""
    accepted = states.accepted(conn).get(account)
    return ledger_reads.highest_credited(conn, account, accepted or EPOCH)


def _spends(
    bench: Bench, conn: sqlite3.Connection, config: TopupConfig, account: str, now: datetime
) -> tuple[Spend, ...]:
    """Return what the caps count: the account's charges, and the customer's under ids that are configured no more."""

    def is_configured_no_more(name: str) -> bool:
        return name not in bench.config.accounts

    since = ledger_reads.since_for_caps(now)
    listed = ledger_reads.spends_of_customer(conn, config.customer, since)
    former = [one for of, one in listed if is_configured_no_more(of)]
    return (*ledger_reads.spends(conn, account, since), *former)


def _twins(bench: Bench, conn: sqlite3.Connection, config: TopupConfig, sight: Sight) -> dict[str, str]:
    """Return what is open of another account that has the same customer and totals: another key of the same purse."""
    funded, account = sight.known.metrics.funded_microusd, bench.config.accounts.get(sight.account)
    if funded is None or account is None:
        return {}
    found = {}
    for topup in ledger_reads.open_of_customer(conn, config.customer, but_of=sight.account):
        other = bench.config.accounts.get(topup.account)
        before = topup.funded_before_microusd
        if before is None or (other is not None and other.url != account.url):
            continue
        if min(abs(funded - before), abs(funded - before - topup.amount_microusd)) <= CENT_MICROUSD:
            found[topup.id] = topup.state.value
    return found


def record_refusal(
    bench: Bench, tx: Transaction, account: str, config: TopupConfig, said: Verdict, now: datetime
) -> Gate:
    """Count the first gate that said no, with its numbers; tell what has to be told of it."""
    gate = said.refused
    assert gate is not None, "only a refusal is recorded"
    ledger_notes.count_decision(tx, account, gate.name, now, detail=gate.detail, gates=said.encode())
    if gate.number == 7:
        _tell_capped(bench, tx, account, config, said, gate, now)
    elif gate.name == "brake":
        window = events.day_of(now)
        breakers.review_account(bench, tx, account, now, reason=BURN_BRAKE, message=gate.detail, window=window)
    elif gate.name == "clock":
        breakers.tell_once(bench, tx, account, now, "clock_behind_ledger", gate.detail)
    elif gate.name == "possible":
        since = datetime.fromisoformat(gate.numbers["since"])
        breakers.tell_review_once(bench, tx, account, now, "credits_fell", gate.detail, since)
    elif gate.name in ("card", "size", "twin", "stripe_clock", "database"):
        breakers.tell_once(bench, tx, account, now, gate.name, gate.detail)
    if gate.name not in ("threshold", "slot", "cooldown", "hold", "pause", "mode"):
        bench.troubles[account] = f"{account}: not charged: {gate.detail}"
    return gate


def note_second_read(bench: Bench, sight: Sight, again: Known | Unavailable) -> None:
    """Tell that the second read goes wrong once it lasts, once a day; a good one ends it. `again`: what was read."""
    now = bench.clock.now()
    name = f"second_read:{sight.account}"
    good = sight.second is not None and sight.second.metrics.available_microusd is not None
    if good and ledger_notes.marked(bench.store.reader, name) is None:
        return
    with bench.store.write(durable=not good) as tx:
        if good:
            ledger_notes.clear_mark(tx, name)
            return
        failed = ledger_notes.marked(tx, name)  # when it last failed and, as its text, since when
        lasting = failed is not None and not _ended(tx, sight.account, failed[0], now)
        since = min(from_ms(int(failed[1])), now) if failed is not None and lasting else now
        ledger.mark_run(tx, name, now, str(to_ms(since)))
        if now - since >= breakers.UNREACHABLE_TOLD_AFTER:
            message = f"the second read before a charge goes wrong since {rfc3339(since)}: {_wrong(again)}"
            breakers.tell_once(bench, tx, sight.account, now, "second_read", message)


def _ended(tx: Transaction, account: str, failed_at: datetime, now: datetime) -> bool:
    """Whether the need at which the second read last failed is long over: no second read was wanted in between."""
    if now - failed_at < FORGOTTEN_AFTER:
        return False
    return any(d.gate == "threshold" and d.last_at > failed_at for d in ledger_notes.decisions(tx, account))


def _wrong(again: Known | Unavailable) -> str:
    if isinstance(again, Unavailable):
        return f"{again.reason.value}: {again.detail}".rstrip(": ")
    if again.metrics.available_microusd is None:
        return "it does not say the balance"
    return "it contradicts the first: a total that only grows has fallen"


def _tell_capped(
    bench: Bench, tx: Transaction, account: str, config: TopupConfig, said: Verdict, gate: Gate, now: datetime
) -> None:
    if ledger_notes.tell_once(tx, account, gate.name, events.window_of(gate), now):
        needed = config.amount_microusd or config.min_charge_microusd
        draft = events.capped(account, bench.provider(account), now, gate, config.customer, needed)
        bench.tell(tx, [draft], now)
