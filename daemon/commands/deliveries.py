"""`brimful deliveries`: the delivery log, one delivery with every attempt, and the sending of something again."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import Annotated, Any

import typer

from alerts.events.messages.event_fields import show_moment
from alerts.model.instants import rfc3339
from alerts.model.outbox import Attempt, DeliveryState
from daemon.clock import SystemClock
from daemon.commands.common import NO, USAGE, fail, fields, load_config, print_json, print_table, reading, writing
from daemon.commands.moments import parse_since
from daemon.config.model import Config
from daemon.store.replays import Filter, Logged, attempts, event_of, find, replay

MOST_LISTED = 10_000

app = typer.Typer(name="deliveries", invoke_without_command=True, help="The delivery log; show one, send again.")


def register(typer_app: typer.Typer) -> None:
    """Add this module's commands."""
    typer_app.add_typer(app)


ReceiverOption = Annotated[str | None, typer.Option("--receiver", help="Its id, or kind:id such as webhook:app.")]
SinceOption = Annotated[str | None, typer.Option("--since", help="A duration such as 24h, or an RFC 3339 instant.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.callback()
def deliveries(
    context: typer.Context,
    receiver: ReceiverOption = None,
    event: Annotated[str | None, typer.Option("--event", help="An event's id, or a type such as balance.*.")] = None,
    state: Annotated[DeliveryState | None, typer.Option("--state", help="pending, delivered or dead.")] = None,
    since: SinceOption = None,
    until: Annotated[str | None, typer.Option("--until", help="As --since.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=MOST_LISTED, help="The newest so many.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List deliveries, the newest first: who was told of what, how often it was tried, and what is still to come."""
    if context.invoked_subcommand is not None:
        return
    config = load_config(context, secrets=False)
    wanted = Filter(
        receiver=_receiver_key(config, receiver), event=event, state=state, since=_instant(since), until=_instant(until)
    )
    with reading(config) as store:
        rows = find(store.reader, wanted, limit)
    if as_json:
        print_json([_as_json(row) for row in rows])
        return
    print_table(
        "Deliveries",
        ("id", "event", "account", "receiver", "state", "tries", "committed", "next", "last answer"),
        [_as_cells(row, config) for row in rows],
        right=("id", "tries"),
    )


@app.command()
def show(context: typer.Context, id: str, as_json: JsonOption = False) -> None:
    """Show a delivery with each attempt; the id of an event shows all of its deliveries."""
    config = load_config(context, secrets=False)
    with reading(config) as store:
        rows = sorted(find(store.reader, _by_id(id), MOST_LISTED), key=lambda row: row.number)
        if not rows:
            fail(f"there is no delivery and no event {id}")
        shown = [(row, attempts(store.reader, row.number)) for row in rows]
        event = event_of(store.reader, rows[0].number)
    assert event is not None
    body = json.loads(event.body)
    if as_json:
        print_json(
            [{**_as_json(row), "attempts_made": [_attempt(one) for one in tries], "body": body} for row, tries in shown]
        )
        return
    for row, tries in shown:
        fields(_as_fields(row, config))
        print_table(
            "Attempts",
            ("at", "result", "ms", "answer"),
            [(show_moment(one.at, config.timezone), _result(one), str(one.elapsed_ms), one.answer) for one in tries],
            right=("ms",),
            empty="none yet",
        )
        typer.echo()
    typer.echo(json.dumps(body, indent=2, ensure_ascii=False))


@app.command("replay")
def replay_command(
    context: typer.Context,
    id: Annotated[str | None, typer.Argument(help="A delivery, or an event with all of its receivers.")] = None,
    since: SinceOption = None,
    until: Annotated[str | None, typer.Option("--until", help="As --since.")] = None,
    dead: Annotated[bool, typer.Option("--dead", help="All that was given up.")] = False,
    to: Annotated[str | None, typer.Option("--to", help="Only to this receiver.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Send again, with the same id and bytes: one delivery or event, all since an instant, or all that is dead.

    Works beside a running daemon, which sends it within moments; without one it is sent here and now, with all else
    that is due.
    """
    if (id is not None) + (since is not None) + dead == 0:
        fail("say what: an id, --since or --dead", USAGE)
    if id is not None and (since is not None or dead):
        fail("an id stands alone: leave out --since and --dead", USAGE)
    config = load_config(context, secrets=False)
    base = _by_id(id) if id is not None else Filter(since=_instant(since), until=_instant(until))
    wanted = Filter(
        number=base.number,
        event=base.event,
        receiver=_receiver_key(config, to),
        state=DeliveryState.DEAD if dead else None,
        since=base.since,
        until=base.until,
    )
    with writing(config) as store, store.write(durable=True) as tx:
        count = replay(tx, wanted, SystemClock().now())
    if count == 0 and not as_json:
        fail("nothing matches: `brimful deliveries` lists what there is", NO)
    failed, why_not = asyncio.run(_send_now(context)) if count else (0, "")
    if as_json:
        print_json({"replayed": count, "sent": count > 0 and not why_not, "failed": failed})
    else:
        said = why_not or ("all that was due is sent" if not failed else "what could be sent is sent")
        typer.echo(f"{count} {'delivery is' if count == 1 else 'deliveries are'} due again: {said}")
    if failed:
        fail(f"{failed} not taken, and tried again: `brimful deliveries`", NO)
    if count == 0:
        raise typer.Exit(NO)


async def _send_now(context: typer.Context) -> tuple[int, str]:
    """Deliver what is due, and return how many were not taken, and who sends where this process cannot."""
    from daemon.compose import open_service
    from daemon.config.load import ConfigError
    from daemon.process.logs import set_up
    from daemon.store.lock import DatabaseHeldError

    set_up("error")
    try:
        config = load_config(context)
    except ConfigError:
        return 0, "the secrets are not at hand here; the next `run` or `once` sends"
    try:
        async with open_service(config) as service:
            await service.deliverer.deliver_due(SystemClock().now())
            return await service.deliverer.failed_in_last_pass(), ""
    except DatabaseHeldError:
        return 0, "the running daemon sends within moments"
    except ConfigError:
        return 0, "no daemon starts with this configuration: `brimful check` says why; then `run` or `once` sends"


def _by_id(text: str) -> Filter:
    return Filter(number=int(text)) if text.isascii() and text.isdigit() else Filter(event=text)


def _receiver_key(config: Config, name: str | None) -> str | None:
    """Return the key of a receiver that is named by its id or its key; one that is gone can be named by its key."""
    if name is None or ":" in name:
        return name
    keys = [receiver.key for receiver in config.receivers.all if receiver.id == name]
    if not keys:
        fail(f"there is no receiver {name}", USAGE)
    if len(keys) > 1:
        fail(f"{name} names several receivers: say which, {' or '.join(keys)}", USAGE)
    return keys[0]


def _instant(text: str | None) -> datetime | None:
    return None if text is None else parse_since(text, SystemClock().now())


def _as_json(row: Logged) -> dict[str, Any]:
    return {
        "id": row.number,
        "event_id": row.event_id,
        "type": row.type,
        "account": row.account,
        "receiver": row.receiver,
        "state": row.state.value,
        "attempts": row.attempts,
        "created_at": rfc3339(row.created_at),
        "next_attempt_at": None if row.next_attempt_at is None else rfc3339(row.next_attempt_at),
        "settled_at": None if row.settled_at is None else rfc3339(row.settled_at),
        "last_status": row.last_status,
        "last_error": row.last_error,
    }


def _attempt(one: Attempt) -> dict[str, Any]:
    return {
        "at": rfc3339(one.at),
        "status": one.status,
        "error": one.error,
        "elapsed_ms": one.elapsed_ms,
        "answer": one.answer,
    }


def _as_cells(row: Logged, config: Config) -> tuple[str, ...]:
    return (
        str(row.number),
        row.type,
        row.account or "",
        row.receiver,
        row.state.value,
        str(row.attempts),
        show_moment(row.created_at, config.timezone),
        "" if row.next_attempt_at is None else show_moment(row.next_attempt_at, config.timezone),
        row.last_error or ("" if row.last_status is None else str(row.last_status)),
    )


def _as_fields(row: Logged, config: Config) -> dict[str, str]:
    shown = {
        "Delivery": str(row.number),
        "Event": f"{row.type} {row.event_id}",
        "Receiver": row.receiver,
        "State": row.state.value,
        "Committed": show_moment(row.created_at, config.timezone),
    }
    if row.next_attempt_at is not None:
        shown["Next attempt"] = show_moment(row.next_attempt_at, config.timezone)
    if row.last_error:
        shown["Last error"] = row.last_error
    return shown


def _result(one: Attempt) -> str:
    return one.error or (f"{one.status} taken" if one.status is not None else "taken")
