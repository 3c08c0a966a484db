"""`alerts`: open and recent episodes, why each is open, what was sent to whom and what was not; mute and unmute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.commands.common import NO, USAGE, JsonOption, fail, load_config, print_json, reading, tell, writing
from daemon.commands.moments import moment

if TYPE_CHECKING:
    from alerts.rules.state import Episode
    from daemon.config.model import Config
    from daemon.store.notifications import StoredNotification
    from daemon.store.states import CountedDecision

RECENT = timedelta(days=7)
RECENT_SHOWN = 20
LONGEST_MUTE = timedelta(days=90)

_app = typer.Typer(help="Open and recent episodes; mute a rule for a while.", invoke_without_command=True)


def register(app: typer.Typer) -> None:
    """Add `alerts`, `alerts mute` and `alerts unmute`."""
    app.add_typer(_app, name="alerts")


@_app.callback()
def alerts(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Not only the last 7 days.")] = False,
    account: Annotated[str | None, typer.Option("--account", help="Of one account only.")] = None,
) -> None:
    """Open and recent episodes: why each is open, since when, what was sent to whom, and what was not and why."""
    if context.invoked_subcommand is not None:
        return
    from daemon.clock import SystemClock
    from daemon.store import states
    from daemon.store.notifications import notifications_of

    config = load_config(context, secrets=False)
    now = SystemClock().now()
    since = None if everything else now - RECENT
    with reading(config) as store:
        if account is not None and account not in config.accounts:
            fail(f"there is no account {account!r}{_near(account, config.accounts)}", USAGE)
        episodes = states.episodes(store.reader, account=account, since=since)
        sent = notifications_of(store.reader, [episode.id for episode in episodes])
        decisions = states.decisions(store.reader, account=account, since=since)
        mutes = states.mutes(store.reader, now)
    if as_json:
        print_json(_document(config, episodes, sent, decisions, mutes))
    else:
        _print(config, now, episodes, sent, decisions, mutes)


@_app.command()
def mute(
    context: typer.Context,
    rule: Annotated[str, typer.Argument(help="The rule's id, or one of the account's own, such as account:reading.")],
    duration: Annotated[str, typer.Option("--for", help="How long, such as 90m, 4h, 2d.")],
    as_json: JsonOption = False,
) -> None:
    """Hold a rule's events back for a while: they are sent when the mute ends. Works beside a running daemon."""
    from alerts.model.instants import rfc3339
    from daemon.clock import SystemClock
    from daemon.config.durations import format_duration, parse_duration
    from daemon.store import states

    config = load_config(context, secrets=False)
    names = _rule_names(config)
    if rule not in names:
        fail(f"there is no rule {rule!r}{_near(rule, names)}", USAGE)
    try:
        length = parse_duration(duration)
    except ValueError as error:
        fail(f"--for {duration!r}: {error}", USAGE)
    if not timedelta() < length <= LONGEST_MUTE:
        fail(f"--for {duration!r}: a mute lasts up to {format_duration(LONGEST_MUTE)}", USAGE)
    now = SystemClock().now()
    with writing(config) as store, store.write(durable=True) as tx:
        states.set_mute(tx, rule, now, now + length)
    said = f"{rule} is muted until {moment(now + length, config.timezone)}; events meanwhile are sent then"
    tell(said, {"rule": rule, "muted_until": rfc3339(now + length)}, as_json=as_json)


@_app.command()
def unmute(
    context: typer.Context,
    rule: Annotated[str, typer.Argument(help="The rule's id.")],
    as_json: JsonOption = False,
) -> None:
    """End a mute: the events held back are sent with the next pass."""
    from daemon.store import states

    config = load_config(context, secrets=False)
    with writing(config) as store, store.write(durable=True) as tx:
        ended = states.clear_mute(tx, rule)
    if not ended:
        fail(f"{rule} is not muted", NO)
    said = f"{rule} is not muted any more; the events held back are sent with the next pass"
    tell(said, {"rule": rule, "muted_until": None}, as_json=as_json)


def _rule_names(config: Config) -> list[str]:
    from alerts.rules.builtin import BUILTIN

    return [*(rule.id for rule in config.rules), *BUILTIN]


def _near(name: str, names: Mapping[str, Any] | Sequence[str]) -> str:
    close = get_close_matches(name, list(names), n=1)
    return f": did you mean {close[0]!r}?" if close else f"; there are {', '.join(sorted(names))}" if names else ""


# ── how it is shown ─────────────────────────────────────────────────────────────────────────────────────────────────


def _document(
    config: Config,
    episodes: Sequence[Episode],
    sent: Mapping[str, list[StoredNotification]],
    decisions: Sequence[CountedDecision],
    mutes: Mapping[str, datetime],
) -> dict[str, Any]:
    from alerts.model.instants import rfc3339

    entries = [_entry(config, episode, sent.get(episode.id, []), mutes) for episode in episodes]
    return {
        "open": [entry for entry in entries if entry["closed_at"] is None],
        "recent": [entry for entry in entries if entry["closed_at"] is not None],
        "not_told": [
            {
                "account": one.account,
                "rule": one.rule,
                "episode": one.episode,
                "reason": one.reason,
                "first_at": rfc3339(one.first_at),
                "last_at": rfc3339(one.last_at),
                "times": one.times,
            }
            for one in decisions
        ],
        "mutes": [{"rule": rule, "until": rfc3339(until)} for rule, until in sorted(mutes.items())],
    }


def _entry(
    config: Config, episode: Episode, sent: Sequence[StoredNotification], mutes: Mapping[str, datetime]
) -> dict[str, Any]:
    from alerts.model.instants import rfc3339

    return {
        "episode": episode.id,
        "account": episode.account,
        "rule": episode.rule,
        "kind": episode.kind,
        "severity": episode.severity.value,
        "opened_at": rfc3339(episode.opened_at),
        "why": episode.why,
        "closed_at": None if episode.closed_at is None else rfc3339(episode.closed_at),
        "closed_why": episode.closed_why or None,
        "configured": episode.rule in _rule_names(config),
        "muted_until": None if episode.rule not in mutes else rfc3339(mutes[episode.rule]),
        "told": [
            {
                "event": notification.event,
                "type": notification.type.value,
                "at": rfc3339(notification.at),
                "to": [
                    {
                        "receiver": recipient.receiver,
                        "state": recipient.state,
                        "at": None if recipient.settled_at is None else rfc3339(recipient.settled_at),
                    }
                    for recipient in notification.recipients
                ],
            }
            for notification in sent
        ],
    }


def _print(
    config: Config,
    now: datetime,
    episodes: Sequence[Episode],
    sent: Mapping[str, list[StoredNotification]],
    decisions: Sequence[CountedDecision],
    mutes: Mapping[str, datetime],
) -> None:
    names = _rule_names(config)
    open_ones = [episode for episode in episodes if episode.closed_at is None]
    ended = [episode for episode in episodes if episode.closed_at is not None]
    typer.echo("Open" if open_ones else "Open: nothing")
    for episode in open_ones:
        gone = "" if episode.rule in names else " (not configured any more)"
        since = f"since {moment(episode.opened_at, config.timezone)} ({_age(now - episode.opened_at)})"
        typer.echo(f"  {episode.account} · {episode.rule}{gone} · {episode.severity.value} · {since}")
        typer.echo(f"    {episode.why}")
        _print_sent(sent.get(episode.id, []), config, muted=episode.rule in mutes)
    typer.echo("Recent" if ended else "Recent: nothing")
    for episode in ended[:RECENT_SHOWN]:
        span = f"{moment(episode.opened_at, config.timezone)} to {moment(episode.closed_at or now, config.timezone)}"
        typer.echo(f"  {episode.account} · {episode.rule} · {span}")
        typer.echo(f"    {episode.why}; ended: {episode.closed_why}")
        _print_sent(sent.get(episode.id, []), config, muted=False)
    if len(ended) > RECENT_SHOWN:
        typer.echo(f"  and {len(ended) - RECENT_SHOWN} more: --json lists them")
    typer.echo("Not sent" if decisions else "Not sent: nothing")
    for one in decisions[:RECENT_SHOWN]:
        times = "once" if one.times == 1 else f"{one.times} times"
        typer.echo(f"  {one.account} · {one.rule}: {one.reason} ({times}, last {moment(one.last_at, config.timezone)})")
    for rule, until in sorted(mutes.items()):
        typer.echo(f"Muted: {rule} until {moment(until, config.timezone)}")


def _print_sent(sent: Sequence[StoredNotification], config: Config, *, muted: bool) -> None:
    if not sent:
        typer.echo(f"    sent: {'held back by a mute' if muted else 'nothing yet'}")
    for notification in sent:
        recipients = ", ".join(
            one.receiver if one.state == "delivered" else f"{one.receiver} ({one.state})"
            for one in notification.recipients
        )
        at = moment(notification.at, config.timezone)
        typer.echo(
            f"    sent {at}: {notification.type.value} to {recipients or 'nobody: no receiver subscribes to it'}"
        )


def _age(age: timedelta) -> str:
    minutes = max(age // timedelta(minutes=1), 0)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} d"
