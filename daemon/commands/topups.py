"""`topups`: the ledger, why a charge was or was not made, a person's word, the kill switch, the check with Stripe."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from daemon.commands.common import NO, USAGE, fail, fields, load_config, print_json, print_table, reading, writing

if TYPE_CHECKING:
    from daemon.config.model import Config
    from daemon.store import Store
    from daemon.store.ledger import Topup
    from daemon.topups.audit import Audit
    from daemon.topups.bench import Bench

T = TypeVar("T")
LATEST_SHOWN = 20
"""Top-ups that are listed without `--all`, beside all that are open."""

app = typer.Typer(
    name="topups",
    invoke_without_command=True,
    help="What is open and why nothing was charged; explain, acknowledge, pause, resume, audit.",
)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
AccountArgument = Annotated[str | None, typer.Argument(help="An account's id; all accounts without one.")]


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
    from daemon.store import ledger_notes, ledger_reads
    from daemon.topups import explain

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
    _print_ledger(document)


def _open_and_latest(conn: sqlite3.Connection) -> tuple[Topup, ...]:
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
    from daemon.store import ledger_reads
    from daemon.topups.explain import explain_account, explain_topup

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
        _print_topup(document)
    else:
        _print_account(document)


@app.command()
def ack(context: typer.Context, name: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Take a person's word: a charge is credited; a top-up under review is canceled if it is alive, else closed.

    Also for an earlier customer that was deleted in Stripe: it is looked at no more.
    """
    from daemon.store.ledger import Moved
    from daemon.topups.people import NothingToSay, acknowledge

    async def say(bench: Bench) -> str:
        return await acknowledge(bench, name)

    config = load_config(context)
    try:
        with writing(config) as store:
            typer.echo(asyncio.run(_with_bench(config, store, say)))
    except NothingToSay as error:
        fail(str(error))
    except Moved:
        fail(f"{name} is being worked on by the daemon just now: try again")


@app.command()
def pause(context: typer.Context, account: AccountArgument = None) -> None:
    """Charge nothing more, at once, also by a running daemon. `mode = "off"` is what survives a lost disk."""
    from daemon.clock import SystemClock
    from daemon.topups import people

    config = load_config(context, secrets=False)
    _check_account(config, account)
    with _switch(config, make=True) as store:
        new = people.pause(store, account, SystemClock().now())
    typer.echo(f"{account or 'all accounts'}: paused" + ("" if new else " already"))


@app.command()
def resume(context: typer.Context, account: AccountArgument = None) -> None:
    """End a pause; for an account its suspension too, so that its card may be tried again."""
    from daemon.clock import SystemClock
    from daemon.topups import people

    config = load_config(context, secrets=False)
    _check_account(config, account)
    with _switch(config) as store:
        ended = people.resume(store, account, SystemClock().now())
    for one in ended:
        typer.echo(f"{account or 'all accounts'}: ended the {one}")
    if not ended:
        typer.echo(f"{account or 'all accounts'}: nothing was paused or suspended")


@app.command()
def audit(context: typer.Context, account: AccountArgument = None, as_json: JsonOption = False) -> None:
    """Hold ledger, Stripe and balance history against each other, charge for charge; exit 1 where they disagree.

    A key that may only read is enough.
    """
    from daemon.topups.audit import audit as audit_account

    config = load_config(context)
    _check_account(config, account)
    accounts = [account] if account else [one.id for one in config.accounts.values() if one.topup is not None]

    async def compare(bench: Bench) -> list[Audit]:
        return [await audit_account(bench, one, remember=False) for one in accounts]

    with reading(config) as store:
        audits = asyncio.run(_with_bench(config, store, compare))
    _print_audit(audits, as_json=as_json)
    if any(one.findings or one.failure for one in audits):
        raise typer.Exit(NO)


# ── the parts ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _check_account(config: Config, account: str | None) -> None:
    if account is not None and (account not in config.accounts or config.accounts[account].topup is None):
        fail(f"there is no account {account} with a topup table", USAGE)


@contextmanager
def _switch(config: Config, *, make: bool = False) -> Iterator[Store]:
    """Open the store for the kill switch: whatever else its schema lacks, the switch works where its table is.

    `make` makes a database where there is none: a pause before the first start holds, too.
    """
    from daemon.store import Store, StoreError
    from daemon.store.ledger_notes import has_stops

    if not config.store.path.exists():
        if not make:
            raise StoreError(f"there is no database at {config.store.path} yet: nothing was paused or suspended")
        _make_database(config)
    store = Store(config.store.path)
    try:
        if not has_stops(store.reader):
            raise StoreError(f"the database {config.store.path} has no ledger yet: `brimful run` prepares it")
        yield store
    finally:
        store.close()


def _make_database(config: Config) -> None:
    from daemon.lock import DatabaseHeldError, held
    from daemon.store import Store
    from daemon.store.migrations import migrate

    try:
        with held(config.store.path):
            store = Store(config.store.path)
            try:
                migrate(store)
            finally:
                store.close()
    except DatabaseHeldError as error:
        fail(f"{error}; a daemon is making it just now: pause again")


async def _with_bench(config: Config, store: Store, act: Callable[[Bench], Awaitable[T]]) -> T:
    """Run something with Stripe at hand, on the store as it is."""
    async with _bench(config, store) as bench:
        return await act(bench)


@asynccontextmanager
async def _bench(config: Config, store: Store) -> AsyncIterator[Bench]:
    from daemon.clock import RandomIds, SystemClock
    from daemon.http import HttpClient
    from daemon.store.outbox import Outbox, known_store_id
    from daemon.topups.bench import Bench
    from daemon.topups.gateway import StripeGateway

    if config.stripe is None:
        fail("there is no [stripe] table in the configuration", USAGE)
    clock, ids = SystemClock(), RandomIds()
    http = HttpClient()
    try:
        yield Bench(
            config=config,
            store=store,
            outbox=Outbox(known_store_id(store.reader), config.receivers, ids),
            gateway=StripeGateway(config.stripe, http, clock),
            clock=clock,
            ids=ids,
            rng=random.SystemRandom(),
        )
    finally:
        await http.aclose()


# ── on a screen ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _print_ledger(document: dict[str, Any]) -> None:
    print_table(
        "Top-ups",
        ("id", "state", "amount", "payment intent", "since", "reason"),
        [
            (t["id"], t["state"], f"${t['amount_usd']:.2f}", t["payment_intent"] or "–", t["state_at"], t["reason"])
            for t in document["topups"]
        ],
        right=("amount",),
        empty="none yet",
    )
    _print_stops(document["stops"])
    _print_decisions(document["decisions"], with_account=True)
    if document["would_have_charged"]:
        _print_shadows(document["would_have_charged"])


def _print_stops(stops: list[dict[str, Any]]) -> None:
    print_table(
        "What stops charging",
        ("account", "kind", "reason", "since", "message"),
        [
            ("all" if s["scope"] == "*" else s["scope"], s["kind"], s["reason"], s["since"], s["message"] or "–")
            for s in stops
        ],
        empty="nothing",
    )


def _print_decisions(decisions: list[dict[str, Any]], *, with_account: bool) -> None:
    rows = [(d["account"], d["gate"], str(d["count"]), d["last_at"], d["detail"]) for d in decisions]
    columns = ("account", "gate", "times", "last", "numbers")
    print_table(
        "Why nothing was charged",
        columns if with_account else columns[1:],
        rows if with_account else [row[1:] for row in rows],
        right=("times",),
        empty="no gate has said no",
    )


def _print_shadows(shadows: list[dict[str, Any]]) -> None:
    print_table(
        "Would have been charged (shadow)",
        ("account", "amount", "from", "to", "readings"),
        [
            (s["account"], f"${s['amount_usd']:.2f}", s["first_at"], s["ended_at"] or s["last_at"], str(s["times"]))
            for s in shadows
        ],
        right=("amount", "readings"),
    )


def _print_account(document: dict[str, Any]) -> None:
    stand, read, rule = document["standing"], document["reading"], document["rule"]
    fields(
        {
            "account": document["account"],
            "stands": f"{stand['state']}: {stand['reason']}" if stand else "no topup table",
            "available": f"{read['available_usd']} at {read['read_at']}" if read else "not read yet",
            "charged below": str(rule["when_below_usd"]) if rule else "never",
        }
    )
    _print_stops(document["stops"])
    _print_decisions(document["decisions"], with_account=False)
    if document["decisions"]:
        _print_gates("Gates, the last time one said no", document["decisions"][0]["gates"])
    if document["would_have_charged"]:
        _print_shadows(document["would_have_charged"])


def _print_topup(document: dict[str, Any]) -> None:
    read, credit = document["reading"], document["credit"]
    fields(
        {
            "top-up": f"{document['id']}  ${document['amount_usd']:.2f}",
            "state": f"{document['state']} since {document['state_at']}: {document['reason']}",
            "payment intent": f"{document['payment_intent'] or '–'} of {document['customer']}",
            "reading": f"available {read['available_usd']}, funded {read['funded_before_usd']}, at {read['read_at']}",
            "rule": f"charged below {document['rule']['when_below_usd']}",
            "credit": f"expected at funded {credit['expected_funded_usd']}, "
            f"paid {credit['paid_at'] or 'not'}, seen {credit['credited_at'] or 'not yet'}",
        }
    )
    _print_gates("Gates at plan", document["gates"])
    print_table(
        "Attempts",
        ("what", "sent", "answer", "status", "request id", "key", "Stripe said"),
        [
            (
                f"{a['kind']} {a['attempt']}" + (f" (send {a['send']})" if a["send"] > 1 else ""),
                a["sent_at"],
                a["answer"],
                str(a["http_status"] or "–"),
                a["request_id"] or "–",
                a["key"],
                a["message"] or "–",
            )
            for a in document["attempts"]
        ],
        empty="nothing was sent",
    )
    print_table(
        "Read back",
        ("status", "first", "last", "times", "request id"),
        [
            (r["status"], r["first_at"], r["last_at"], str(r["count"]), r["request_id"] or "–")
            for r in document["read_backs"]
        ],
        right=("times",),
        empty="never",
    )
    print_table(
        "Steps", ("at", "to", "reason"), [(s["at"], s["to"], s["reason"]) for s in document["steps"]], empty="none"
    )


def _print_gates(title: str, gates: list[dict[str, Any]]) -> None:
    print_table(
        title,
        ("gate", "name", "says", "numbers"),
        [(str(g["gate"]), g["name"], "yes" if g["passed"] else "NO", g["detail"]) for g in gates],
        empty="not judged: adopted from Stripe",
    )


def _print_audit(audits: list[Audit], *, as_json: bool) -> None:
    from alerts.money import format_usd, to_number

    if as_json:
        print_json(
            [
                {
                    "account": one.account,
                    "charges": one.charges,
                    "charged_usd": to_number(one.charged_microusd),
                    "failure": one.failure,
                    "findings": [
                        {name: getattr(finding, name) for name in finding.__slots__ if name != "told"}
                        for finding in one.findings
                    ],
                }
                for one in audits
            ]
        )
        return
    for one in audits:
        if one.failure:
            typer.echo(f"{one.account}: Stripe could not be asked: {one.failure}")
        elif not one.findings:
            typer.echo(f"{one.account}: {one.charges} charges, {format_usd(one.charged_microusd)}: all three agree")
    findings = [finding for one in audits for finding in one.findings]
    if findings:
        print_table(
            "Disagreements",
            ("account", "top-up", "payment intent", "ledger", "Stripe", "balance history"),
            [(f.account, f.topup, f.payment_intent, f.ledger, f.stripe, f.history) for f in findings],
        )
