"""`topups`: the ledger, why a charge was or was not made, a person's word, the kill switch, the check with Stripe."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, NoReturn, TypeVar, cast

import typer

from daemon.commands import switch, topups_view
from daemon.commands.common import NO, USAGE, JsonOption, fail, load_config, print_json, reading, tell, writing
from daemon.commands.switch import AccountArgument
from daemon.store.connection import Connection

if TYPE_CHECKING:
    from daemon.clock import Clock
    from daemon.config.model import Config, StripeConfig
    from daemon.net.http import HttpClient
    from daemon.reconcile.audit import Audit
    from daemon.store import Store
    from daemon.store.topup_rows import Topup
    from daemon.stripe.gateway import Gateway
    from daemon.topups.context import TopupContext

T = TypeVar("T")
LATEST_SHOWN = 20
"""Top-ups that are listed without `--all`, beside all that are open."""

app = typer.Typer(
    name="topups",
    invoke_without_command=True,
    help="What is open and why nothing was charged; explain, acknowledge, pause, resume, audit.",
)


def register(typer_app: typer.Typer) -> None:
    """Add this module's commands."""
    typer_app.add_typer(app)


@app.callback()
def topups(
    context: typer.Context,
    everything: Annotated[
        bool, typer.Option("--all", help="The whole ledger, not only what is open and the latest.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what is open and was charged lately, what stops charging, and which gate said no first, and how often."""
    if context.invoked_subcommand is not None:
        return
    from daemon.status import explain
    from daemon.store import ledger_notes, ledger_reads

    config = load_config(context, secrets=False)
    with reading(config) as store:
        conn = store.reader
        rows = ledger_reads.all_topups(conn) if everything else _open_and_latest(conn)
        document = {
            "topups": [explain.summary(row) for row in rows],
            "stops": [explain.stop_document(stop) for stop in ledger_notes.stops(conn)],
            "decisions": [explain.decision_document(one) for one in ledger_notes.decisions(conn)],
            "would_have_charged": [explain.shadow_document(one) for one in ledger_reads.shadows(conn)],
        }
    if as_json:
        print_json(document)
        return
    topups_view.print_ledger(document)


def _open_and_latest(conn: Connection) -> tuple[Topup, ...]:
    """Return what holds a slot, however old, and the latest that ended, newest first."""
    from daemon.store import ledger_reads

    latest = ledger_reads.all_topups(conn, LATEST_SHOWN)
    shown = {topup.id for topup in latest}
    return (*latest, *(topup for topup in reversed(ledger_reads.open_topups(conn)) if topup.id not in shown))


@app.command("explain")
def explain_(
    context: typer.Context, name: Annotated[str, typer.Argument(metavar="ID")], as_json: JsonOption = False
) -> None:
    """Show a top-up with every gate, attempt and read-back; for an account, why nothing was charged."""
    from daemon.clock import SystemClock
    from daemon.status.explain import explain_account, explain_topup
    from daemon.store import ledger_reads

    config = load_config(context, secrets=False)
    with reading(config) as store:
        topup = ledger_reads.get(store.reader, name)
        if topup is not None:
            document = explain_topup(store.reader, topup)
        elif name in config.accounts:
            document = explain_account(config, store.reader, name, SystemClock().now())
        else:
            fail(f"there is no top-up and no account {name}")
    if as_json:
        print_json(document)
    elif topup is not None:
        topups_view.print_topup(document)
    else:
        topups_view.print_account(document)


@app.command()
def ack(
    context: typer.Context, name: Annotated[str, typer.Argument(metavar="ID")], as_json: JsonOption = False
) -> None:
    """Take a person's word: a charge is credited; a top-up under review is canceled if it is alive, else closed; a
    credit that came late is this charge's.

    Also for an earlier customer that was deleted in Stripe: it is looked at no more. Stripe's key is needed only where
    Stripe has to be asked: not for a charge that is credited.
    """
    from daemon.commands.operator import NothingToSay, acknowledge
    from daemon.store.ledger import Moved

    async def say(context: TopupContext) -> str:
        return await acknowledge(context, name)

    config = load_config(context, secrets=False)
    try:
        with writing(config) as store:
            said = asyncio.run(_with_stripe(config, store, say))
    except NothingToSay as error:
        fail(str(error))
    except KeyNotAtHandError:
        _require_key(config)
    except Moved:
        fail(f"{name} is being worked on by the daemon just now: try again")
    else:
        tell(said, {"topup": name, "said": said}, as_json=as_json)


@app.command()
def accept(
    context: typer.Context,
    account: Annotated[str, typer.Argument(help="An account's id.")],
    as_json: JsonOption = False,
) -> None:
    """Take for true that an account's readings show less than was ever credited, so that it is charged again.

    Only where the provider is right: credits that expired, or were taken back after a refund. Usage cannot do that.
    """
    from daemon.clock import SystemClock
    from daemon.commands import operator

    config = load_config(context, secrets=False)
    _check_account(config, account)
    try:
        with writing(config) as store:
            said = operator.accept(store, account, SystemClock().now())
    except operator.NothingToSay as error:
        fail(str(error))
    else:
        tell(said, {"account": account, "said": said}, as_json=as_json)


switch.register(app)


@app.command()
def audit(context: typer.Context, account: AccountArgument = None, as_json: JsonOption = False) -> None:
    """Hold ledger, Stripe and balance history against each other, charge for charge; exit 1 where they disagree.

    A charge whose credit may still come is no disagreement. Of all secrets only Stripe's key is needed; it may be one
    that only reads.
    """
    from daemon.reconcile.audit import audit as audit_account

    config = load_config(context, secrets=False)
    _require_key(config)
    _check_account(config, account)
    accounts = [account] if account else [one.id for one in config.accounts.values() if one.topup is not None]

    async def compare(context: TopupContext) -> list[Audit]:
        return [await audit_account(context, one) for one in accounts]

    with reading(config) as store:
        audits = asyncio.run(_with_stripe(config, store, compare))
    topups_view.print_audit(audits, as_json=as_json)
    if any(one.findings or one.failure for one in audits):
        raise typer.Exit(NO)


# ── the parts ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _check_account(config: Config, account: str | None) -> None:
    if account is not None and (account not in config.accounts or config.accounts[account].topup is None):
        fail(f"there is no account {account} with a topup table", USAGE)


async def _with_stripe(config: Config, store: Store, act: Callable[[TopupContext], Awaitable[T]]) -> T:
    """Run something with Stripe at hand, on the store as it is."""
    async with _context(config, store) as context:
        return await act(context)


@asynccontextmanager
async def _context(config: Config, store: Store) -> AsyncIterator[TopupContext]:
    from daemon.clock import RandomIds, SystemClock
    from daemon.net.http import HttpClient
    from daemon.store.outbox import Outbox, known_store_id
    from daemon.topups.context import TopupContext

    if config.stripe is None:
        fail("there is no [stripe] table in the configuration", USAGE)
    clock = SystemClock()
    http = HttpClient()
    try:
        yield TopupContext(
            config=config,
            store=store,
            outbox=Outbox(known_store_id(store.reader), config.receivers, RandomIds()),
            gateway=_gateway(config.stripe, http, clock),
            clock=clock,
            rng=random.SystemRandom(),
        )
    finally:
        await http.aclose()


class KeyNotAtHandError(Exception):
    """Stripe would have to be asked, and its key is not at hand."""


class _NotAtHand:
    """Stands where Stripe is: whoever asks it nothing needs no key."""

    def __getattr__(self, question: str) -> NoReturn:
        raise KeyNotAtHandError(question)


def _gateway(stripe: StripeConfig, http: HttpClient, clock: Clock) -> Gateway:
    from daemon.stripe.gateway import StripeGateway

    if not stripe.api_key.get_secret_value():
        return cast("Gateway", _NotAtHand())
    return StripeGateway(stripe, http, clock)


def _require_key(config: Config) -> None:
    """Say where Stripe's key is missing, and what to type; the other secrets are not needed."""
    from daemon.config.load import ConfigError, inspect

    if config.stripe is None or config.stripe.api_key.get_secret_value():
        return
    found = inspect(config.path)
    raise ConfigError(config.path, tuple(one for one in found.problems if one.key_path == "stripe.api_key"))
