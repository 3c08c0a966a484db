"""`brimful test`: one `test.ping` to one receiver, now, with the outcome shown. Needs no database and no daemon."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated

import typer

from alerts.channels.base import Batch, Result, SendOutcome
from alerts.delivery import notices
from alerts.model.events import Event, Severity, encode_body
from alerts.model.outbox import Delivery
from alerts.model.receivers import Receiver
from daemon.clock import RandomIds, SystemClock
from daemon.commands.common import NO, USAGE, fail, load_config, print_json
from daemon.config.model import Config

app = typer.Typer(name="test", no_args_is_help=True, help="Send a test.ping to one receiver and show what came back.")


def register(typer_app: typer.Typer) -> None:
    """Add this module's commands."""
    typer_app.add_typer(app)


JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def webhook(context: typer.Context, id: str, as_json: JsonOption = False) -> None:
    """Send a signed test.ping to a webhook receiver."""
    try_receiver(context, f"webhook:{id}", as_json=as_json)


@app.command()
def email(context: typer.Context, id: str, as_json: JsonOption = False) -> None:
    """Send a test mail to the addresses of an [[emails]] table."""
    try_receiver(context, f"email:{id}", as_json=as_json)


@app.command()
def chat(context: typer.Context, id: str, as_json: JsonOption = False) -> None:
    """Send a test message to a chat."""
    try_receiver(context, f"chat:{id}", as_json=as_json)


def try_receiver(context: typer.Context, key: str, *, as_json: bool = False) -> None:
    """Send a test.ping to one receiver and show what came back; exit 1 where it was not taken."""
    config = load_config(context)
    receiver = next((one for one in config.receivers.all if one.key == key), None)
    if receiver is None:
        kind = key.partition(":")[0]
        known = ", ".join(one.id for one in config.receivers.all if one.key.startswith(f"{kind}:"))
        fail(f"there is no {kind} receiver {key.partition(':')[2]!r}; there is: {known or 'none'}", USAGE)
    event = ping(key, SystemClock().now())
    outcome = asyncio.run(send_ping(config, receiver, event))
    if as_json:
        print_json(
            {
                "receiver": key,
                "event_id": event.id,
                "delivered": outcome.result is Result.OK,
                "status": outcome.status,
                "error": outcome.error,
                "elapsed_ms": outcome.elapsed_ms,
                "answer": outcome.answer,
            }
        )
    elif outcome.result is Result.OK:
        status = "" if outcome.status is None else f", answer {outcome.status}"
        typer.echo(f"{key} took {event.id} in {outcome.elapsed_ms} ms{status}")
        if outcome.answer:
            typer.echo(f"it said: {outcome.answer}")
    if outcome.result is not Result.OK:
        said = f"; it said: {outcome.answer}" if outcome.answer else ""
        fail(f"{key} did not take it: {outcome.error} ({outcome.elapsed_ms} ms){said}", NO)


def ping(key: str, now: datetime) -> Event:
    """Return a fresh test.ping for one receiver."""
    draft = notices.ping(key, now)
    return Event(
        id=RandomIds().new("evt"),
        type=draft.type,
        at=now,
        account=None,
        severity=Severity.INFO,
        rule=None,
        episode=None,
        sequence=None,
        body=encode_body(draft, None, ""),
    )


async def send_ping(config: Config, receiver: Receiver, event: Event) -> SendOutcome:
    """Send `event` to `receiver` as a delivery would be, and return the outcome."""
    from daemon.net.http import HttpClient
    from daemon.work.channels import Channels
    from daemon.work.smtp import SmtpMailer

    http = HttpClient()
    try:
        mailer = None if config.smtp is None else SmtpMailer(config.smtp)
        account = config.accounts.get
        channels = Channels(config, account=account, http=http, strangers=http, mailer=mailer, clock=SystemClock())
        return await channels.of(receiver).send(Batch(event.id, (Delivery(0, receiver.key, event),)))
    finally:
        await http.aclose()
