"""Listing: every PaymentIntent of an account, as Stripe shows it. Numbers come from it, and the second listing too.

A list by customer reads its own writes; a search lags. Newest first, pages of 100, until 35 days are covered and a
PaymentIntent of this account was found, or the end; over 50 pages nothing is charged, and that is told.
"""

from __future__ import annotations

from datetime import timedelta

from alerts.model.values import replace
from daemon.store import ledger_notes, ledger_reads
from daemon.store.connection import Connection
from daemon.store.ledger_notes import SeenIntent
from daemon.store.topup_rows import Bookmark
from daemon.stripe.answers import GONE, AnswerKind, Refused
from daemon.stripe.intents import APP, Listing, sort_intents
from daemon.stripe.objects import PaymentIntent
from daemon.topups.context import TopupContext
from daemon.topups.policy.step import Doing, SetBookmark

COVERED = timedelta(days=35)
"""How far back a list is read: the longest month (31 d), a cap's day, and what clocks may differ by."""
NOTED_EVERY = timedelta(days=1)
"""How often it is written down that a list was taken in: so much less than `COVERED` a later one may rest on it."""
MOST_PAGES = 50


async def list_intents(context: TopupContext, account: str) -> Listing | Refused:
    """List the account's PaymentIntents, remember them, and note how Stripe answered."""
    listed = await read_list(context, account)
    if isinstance(listed, Refused):
        await context.note(account, Doing.LISTING, listed)
    else:
        await context.apart(_remember, account, listed)
    return listed


async def read_list(context: TopupContext, account: str) -> Listing | Refused:
    """List the account's PaymentIntents over every customer that it has had. Writes nothing.

    The configured customer comes first: an earlier one that Stripe then does not know is gone, not another key's.
    """
    topup = context.topup(account)
    customers = dict.fromkeys([topup.customer] if topup is not None else [])
    customers |= dict.fromkeys(await context.read(earlier_customers, account))
    intents: list[PaymentIntent] = []
    for customer in customers:
        listed = await _read(context, account, customer)
        if isinstance(listed, Refused):
            return listed if topup is None or customer == topup.customer else _gone(customer, listed)
        intents += listed
    return sort_intents(account, context.config.accounts, intents, customers)


def note_taken_in(context: TopupContext, account: str, listed: Listing) -> None:
    """Remember that everything a list showed stands in the ledger: the next ones need not go back further than it."""
    behind = [one for one in listed.customers if not _listed_within(context, account, one, NOTED_EVERY)]
    context.write(*(SetBookmark(Bookmark.LISTED.of(account, one), context.clock.now()) for one in behind))


def _listed_within(context: TopupContext, account: str, customer: str, within: timedelta) -> bool:
    """Whether a list of this customer was taken in so lately: all that came since is covered by the next one."""
    listed = ledger_notes.bookmark(context.store.reader, Bookmark.LISTED.of(account, customer))
    return listed is not None and timedelta() <= context.clock.now() - listed[0] < within


def earlier_customers(conn: Connection, account: str) -> tuple[str, ...]:
    """Return the customers that the account has had, but for those that a person said are gone."""
    had = ledger_reads.customers(conn, account)
    return tuple(one for one in had if ledger_notes.bookmark(conn, Bookmark.CUSTOMER_GONE.of(account, one)) is None)


def _gone(customer: str, refused: Refused) -> Refused:
    """Say of an earlier customer that Stripe does not list it any more, where that is what was answered."""
    if refused.kind not in GONE:
        return refused
    message = f"{customer}, an earlier customer, cannot be listed any more ({refused.message}): "
    return replace(refused, gone=customer, message=f"{message}brimful topups ack {customer}")


async def _read(context: TopupContext, account: str, customer: str) -> list[PaymentIntent] | Refused:
    """Read a customer's list as far as it matters: until one of this account was found, too, where none was lately."""
    read: list[PaymentIntent] = []
    found = await context.apart(_listed_within, account, customer, COVERED - NOTED_EVERY)
    after: str | None = None
    since = context.clock.now() - COVERED
    for _ in range(MOST_PAGES):
        page = await context.gateway.intents(customer, after)
        if isinstance(page, Refused):
            return page
        items = page.value.items
        read += items
        found = found or any((one.metadata.get("app"), one.metadata.get("account")) == (APP, account) for one in items)
        if not page.value.has_more or not items or (found and items[-1].created_at < since):
            return read
        after = items[-1].id
    return Refused(AnswerKind.BAD_REQUEST, f"over {MOST_PAGES} pages of PaymentIntents of {customer}")


def _remember(context: TopupContext, account: str, listed: Listing) -> None:
    """Remember what is listed, by Stripe's time of the charge: one that was declined at first may be days younger."""
    context.reached(account, Doing.LISTING)
    rows = []
    for one in (*listed.ours, *listed.former):
        intent, said = one.intent, one.said
        at = intent.charged_at if intent.status == "succeeded" else intent.created_at
        amount = intent.amount_cents
        rows.append(SeenIntent(intent.id, said.account, intent.customer or "", said.seq, intent.status, amount, at))
    with context.store.write(durable=True, lock=account) as tx:
        ledger_notes.remember_intents(tx, rows, context.clock.now())
