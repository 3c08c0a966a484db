"""The look: every PaymentIntent of an account, as Stripe lists it. Numbers come from it, and the second look too.

A list by customer reads its own writes; a search lags. Newest first, pages of 100, until 35 days are covered and a
PaymentIntent of this account was found, or the end; over 50 pages nothing is charged, and that is told.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from alerts.money import format_usd, from_cents
from alerts.values import replace
from daemon.store import ledger, ledger_notes, ledger_reads
from daemon.store.ledger import Topup
from daemon.store.ledger_notes import SeenIntent
from daemon.topups import breakers
from daemon.topups.answers import AnswerKind
from daemon.topups.bench import Bench
from daemon.topups.gateway import Refused
from daemon.topups.plan import APP, Metadata, UnreadableMetadata, read_metadata
from daemon.topups.stripe_objects import PaymentIntent

COVERED = timedelta(days=35)
"""A calendar month and a cap's day, whatever the clocks."""
NOTED_EVERY = timedelta(days=1)
"""How often it is written down that a look was taken in: so much less than `COVERED` a later one may rest on it."""
MOST_PAGES = 50
GONE = frozenset({AnswerKind.MISSING, AnswerKind.INTENT_MISSING})
"""How Stripe answers for a customer that was deleted, or that it does not know."""


@dataclass(frozen=True, slots=True)
class Ours:
    """A PaymentIntent of the account, with what its metadata says."""

    intent: PaymentIntent
    said: Metadata


@dataclass(frozen=True, slots=True)
class Look:
    """The account's PaymentIntents, newest first, and those marked as ours that cannot be read."""

    ours: tuple[Ours, ...]
    unreadable: tuple[str, ...]
    former: tuple[Ours, ...] = ()
    """Those that were made for an account which the configuration does not name any more: the caps count them."""
    max_seq: int = 0
    """The highest number that Stripe has ever shown."""
    customers: tuple[str, ...] = ()
    """Whose lists were read."""

    @property
    def statuses(self) -> Mapping[str, str]:
        return {one.intent.id: one.intent.status for one in self.ours}

    def encode(self) -> str:
        """Return ids and statuses as JSON, for the plan to be compared with."""
        return json.dumps(self.statuses, sort_keys=True, separators=(",", ":"))

    def find(self, intent: str | None) -> PaymentIntent | None:
        return next((one.intent for one in self.ours if one.intent.id == intent), None)


async def look(bench: Bench, account: str, *, remember: bool = True) -> Look | Refused:
    """List the account's PaymentIntents over every customer that it has had, and remember them.

    The configured customer comes first: an earlier one that Stripe then does not know is gone, not another key's.
    """
    topup = bench.topup(account)
    customers = dict.fromkeys([topup.customer] if topup is not None else [])
    customers |= dict.fromkeys(earlier_customers(bench, account))
    known = ledger_notes.intents(bench.store.reader, account)
    ours: list[Ours] = []
    former: list[Ours] = []
    unreadable: list[str] = []
    for customer in customers:
        listed = await _read(bench, account, customer, deep=not _looked_lately(bench, account, customer))
        if isinstance(listed, Refused):
            return listed if topup is None or customer == topup.customer else _gone(customer, listed)
        for intent in listed:
            _sort_out(bench, account, intent, (ours, former, unreadable))
    if remember:
        _remember(bench, [*ours, *former], bench.clock.now())
        breakers.note_reached(bench, account, breakers.LISTING)
    seqs = [one.said.seq for one in ours] + [seen.seq for seen in known if seen.seq is not None]
    return Look(tuple(ours), tuple(unreadable), tuple(former), max(seqs, default=0), tuple(customers))


def note_looked(bench: Bench, account: str, seen: Look) -> None:
    """Remember that everything a look showed stands in the ledger: the next ones need not go back further than it."""
    now = bench.clock.now()
    behind = [one for one in seen.customers if not _looked_lately(bench, account, one, NOTED_EVERY)]
    if behind:
        with bench.store.write(durable=True) as tx:
            for customer in behind:
                ledger.mark_run(tx, _looked_mark(account, customer), now)


def _looked_lately(bench: Bench, account: str, customer: str, within: timedelta = COVERED - NOTED_EVERY) -> bool:
    """Whether a look at this customer was taken in so lately that all which came since is covered by the next one."""
    looked = ledger_notes.marked(bench.store.reader, _looked_mark(account, customer))
    return looked is not None and timedelta() <= bench.clock.now() - looked[0] < within


def _looked_mark(account: str, customer: str) -> str:
    return f"looked:{account}:{customer}"


def earlier_customers(bench: Bench, account: str) -> tuple[str, ...]:
    """Return the customers that the account has had, but for those that a person said are gone."""
    conn = bench.store.reader
    had = ledger_reads.customers(conn, account)
    return tuple(one for one in had if ledger_notes.marked(conn, left_mark(account, one)) is None)


def left_mark(account: str, customer: str) -> str:
    """Return the name under which a person's word is kept that an earlier customer is gone."""
    return f"left:{account}:{customer}"


def _gone(customer: str, refused: Refused) -> Refused:
    """Say of an earlier customer that Stripe does not list it any more, where that is what was answered."""
    if refused.kind not in GONE:
        return refused
    message = f"{customer}, an earlier customer, cannot be listed any more ({refused.message}): "
    return replace(refused, gone=customer, message=f"{message}brimful topups ack {customer}")


async def _read(bench: Bench, account: str, customer: str, *, deep: bool) -> list[PaymentIntent] | Refused:
    """Read a customer's list as far as it matters: where `deep`, until one of this account was found, too."""
    read: list[PaymentIntent] = []
    found = not deep
    after: str | None = None
    since = bench.clock.now() - COVERED
    for _ in range(MOST_PAGES):
        page = await bench.gateway.intents(customer, after)
        if isinstance(page, Refused):
            return page
        read += page.value.items
        found = found or any(_is_of(account, intent) for intent in page.value.items)
        if not page.value.has_more or not page.value.items:
            return read
        if found and page.value.items[-1].created_at < since:
            return read
        after = page.value.items[-1].id
    return Refused(AnswerKind.BAD_REQUEST, f"over {MOST_PAGES} pages of PaymentIntents of {customer}")


def _is_of(account: str, intent: PaymentIntent) -> bool:
    return intent.metadata.get("app") == APP and intent.metadata.get("account") == account


def _sort_out(
    bench: Bench, account: str, intent: PaymentIntent, into: tuple[list[Ours], list[Ours], list[str]]
) -> None:
    """Put a PaymentIntent where it belongs. One that is ours but names no account could be anybody's: unreadable."""
    ours, former, unreadable = into
    try:
        said = read_metadata(intent.metadata)
    except UnreadableMetadata as error:
        if intent.metadata.get("account") in (account, "", None):
            unreadable.append(f"{intent.id}: {error}")
        return
    if said is None:
        return
    if said.account == account:
        ours.append(Ours(intent, said))
    elif said.account not in bench.config.accounts:
        former.append(Ours(intent, said))


def _remember(bench: Bench, listed: list[Ours], now: datetime) -> None:
    with bench.store.write(durable=True) as tx:
        ledger_notes.remember_intents(
            tx,
            [
                SeenIntent(
                    one.intent.id,
                    one.said.account,
                    one.intent.customer or "",
                    one.said.seq,
                    one.intent.status,
                    one.intent.amount_cents,
                    _moved_at(one.intent),
                )
                for one in listed
            ],
            now,
        )


def _moved_at(intent: PaymentIntent) -> datetime:
    """Return when the money moved, by Stripe's clock: a charge that was declined at first may be days younger."""
    charge = intent.charge
    return charge.created_at if intent.status == "succeeded" and charge is not None else intent.created_at


def difference(topup: Topup, second: Look) -> str | None:
    """Return what the second look shows that the plan did not see, or None: then nobody else is charging."""
    seen = topup.seen_statuses
    for one in second.ours:
        intent = one.intent
        if intent.id == topup.payment_intent:
            continue
        if intent.id not in seen:
            return f"{intent.id} ({intent.status}) appeared"
        if intent.status != seen[intent.id]:
            return f"{intent.id} went from {seen[intent.id]} to {intent.status}"
    own = second.find(topup.payment_intent)
    if own is None:
        return f"{topup.payment_intent} is not listed"
    return mismatch(topup, own)


def mismatch(topup: Topup, intent: PaymentIntent) -> str | None:
    """Return where the PaymentIntent is not what was planned, or None."""
    for name, planned, found in (
        ("amount", format_usd(from_cents(topup.amount_cents)), format_usd(from_cents(intent.amount_cents))),
        ("currency", "usd", intent.currency),
        ("customer", topup.customer, intent.customer),
    ):
        if planned != found:
            return f"its {name} is {found}, planned was {planned}"
    return None
