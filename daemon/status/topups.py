"""How an account's top-ups stand, in words: for `balance.low`, for `status`, and for the exit code of `once`."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from alerts.model.instants import rfc3339
from alerts.model.periods import calendar
from alerts.model.specs import Period
from alerts.rules.state import TopupStatus
from daemon.config.model import Config, TopupConfig, TopupMode
from daemon.resources.ceiling import bounded
from daemon.store import ledger_notes, ledger_reads
from daemon.store.connection import Connection
from daemon.store.ledger_notes import GateCount
from daemon.store.topup_rows import CUSTOMER_GONE, ENDS_UNSENT, EVERYWHERE, Bookmark, State, Stop, StopKind, Topup
from daemon.topups.policy.amounts import ROLLING_DAY
from daemon.topups.policy.credit import MISSING_AFTER
from daemon.topups.policy.gates import CLOCK_TOLERANCE

UNDER_WAY = frozenset({State.CREATING, State.CREATED, State.CONFIRMING})
"""States that may hold back a reminder of a low balance, while nothing stops the charge."""
UNDER_WAY_AFTER_SENT = timedelta(hours=2)
"""For so long after its last send a create or confirm whose outcome is unknown is under way."""
DAYS_AHEAD = timedelta(days=1)
"""A smaller step of the clock ends by itself soon enough."""
HELD_BACK_FOR = timedelta(days=2)
"""So long after its last word a refusal is named: an account may be polled once a day."""
NOT_JUDGED = "[]"
"""The gates of what was counted without a need of a charge: no reading came."""
_HELD_BACK = {
    "clock": "",
    "reading": "",
    "possible": "",
    "drop": "",
    "twin": "",
    "stripe_clock": "",
    "database": "",
    "look": "what was charged already cannot be listed: ",
    "payment_method": "no payment method can be charged: ",
    "card": "",
    "terms": "",
    "size": "no amount lies within the bounds: ",
}
"""What is said before the words of a gate that said no last. Others end by themselves, or stand as a stop."""
_STOPPED = {StopKind.PAUSE: "paused", StopKind.SUSPENSION: "suspended", StopKind.BREAKER: "suspended"}


def is_under_way(
    topup: Topup,
    now: datetime,
    mode: TopupMode = TopupMode.CHARGE,
    *,
    stops: Sequence[Stop] = (),
    sent_at: datetime | None = None,
) -> bool:
    """Whether money is really on its way: a reminder of a low balance may wait for it.

    What the bank has taken up is, whatever stops further charges. Before that it is while nothing stops it, for
    `UNDER_WAY_AFTER_SENT` since it was last sent, at `sent_at`. `stops` are those that concern the account.
    """
    if topup.cancel_as is not None:
        return False
    if topup.state is State.PAID:
        return topup.paid_at is not None and abs(now - topup.paid_at) < MISSING_AFTER
    if topup.state not in UNDER_WAY:
        return topup.state is State.PROCESSING
    if mode is not TopupMode.CHARGE or any(not (topup.probe and stop.is_for_card) for stop in stops):
        return False
    return abs(now - (sent_at or topup.state_at)) < UNDER_WAY_AFTER_SENT


def topup_status(config: Config, conn: Connection, account: str, now: datetime) -> TopupStatus | None:
    """Return the account's standing, None where no top-up is configured."""
    configured = config.accounts.get(account)
    bounds = bounded(configured, config.api) if configured is not None else None
    if bounds is None:
        return None
    mode = bounds.mode
    stops = ledger_notes.stops(conn, account)
    opened = ledger_reads.open_topups(conn, account)
    if opened:
        topup = opened[0]
        sends = ledger_reads.sends(conn, topup.id)
        under_way = is_under_way(topup, now, mode, stops=stops, sent_at=sends[-1].sent_at if sends else None)
        return TopupStatus(topup.state.value, under_way, topup.reason, topup.id)
    if mode is not TopupMode.CHARGE:
        return TopupStatus(mode.value, False, f"mode is {mode}")
    for stop in stops:
        return TopupStatus(_STOPPED[stop.kind], False, f"{stop.reason}, since {rfc3339(stop.since_at)}")
    return _refused(config, bounds, conn, account, now) or TopupStatus(
        "none", False, "no top-up is open: it is judged after this reading"
    )


def _refused(config: Config, topup: TopupConfig, conn: Connection, account: str, now: datetime) -> TopupStatus | None:
    """Return what held a charge back last, where it still may: nothing was charged since, nor was there no need."""
    said = [one for one in ledger_notes.decisions(conn, account) if one.gate != "reading" or one.gates != NOT_JUDGED]
    tried_at = ledger_reads.last_attempt_at(conn, account)
    said = [one for one in said if tried_at is None or tried_at <= one.last_at]
    capped = next((one for one in said if one.gate not in ("threshold", "reading")), None)
    if capped is not None and _is_capped(config, topup, capped, now):
        return TopupStatus("capped", False, capped.detail)
    latest = next(iter(said), None)
    if latest is None or latest.gate not in _HELD_BACK or abs(now - latest.last_at) >= HELD_BACK_FOR:
        return None
    return TopupStatus("held_back", False, _HELD_BACK[latest.gate] + latest.detail)


def _is_capped(config: Config, topup: TopupConfig, said: GateCount, now: datetime) -> bool:
    """Whether a cap said no, its window may still last, and the cap was not raised since."""
    if said.gate == "cap_day":
        lasts, cap = now - said.last_at < ROLLING_DAY, topup.max_per_day_microusd
    elif said.gate == "cap_month":
        month = calendar(Period.MONTH, now, config.timezone)
        lasts, cap = said.last_at >= month.start, topup.max_per_month_microusd
    elif said.gate == "cap_day_total" and config.api is not None:
        lasts, cap = now - said.last_at < ROLLING_DAY, config.api.max_per_day_total_microusd
    else:
        return False
    return lasts and not _is_raised(said, cap)


def _is_raised(said: GateCount, cap_microusd: int) -> bool:
    """Whether the cap is higher now than the one that said no."""
    gates: list[dict[str, Any]] = json.loads(said.gates)
    gate = next((gate for gate in gates if gate["name"] == said.gate), {})
    then = gate.get("microusd", {}).get("cap")  # what an earlier version wrote has none: it is told as it stands
    return then is not None and cap_microusd > int(then)


def needs_person(config: Config, conn: Connection, last_errors: Mapping[str, str]) -> list[str]:
    """Return a sentence for every charge that needs a person, or whose outcome is still unknown."""
    sentences = list(last_errors.values())
    for stop in ledger_notes.stops(conn):
        if stop.kind is not StopKind.PAUSE and (stop.scope in config.accounts or stop.scope == EVERYWHERE):
            named = stop.kind is StopKind.BREAKER or stop.reason == CUSTOMER_GONE  # its message names the command
            command = "" if named else f": brimful topups resume {stop.scope}"
            scope = "all accounts" if stop.scope == EVERYWHERE else stop.scope
            sentences.append(f"{scope}: suspended ({stop.reason}: {stop.message}){command}")
    for topup in ledger_reads.open_topups(conn):
        if topup.state not in ENDS_UNSENT and _is_shadow(config, topup.account):
            why = f"{topup.state} ({topup.reason})"
            sentences.append(f'{topup.id}: {why}: shadow mode sends nothing to end it: set mode = "off" until it has')
        elif topup.state is State.NEEDS_REVIEW:
            sentences.append(f"{topup.id}: {topup.state} ({topup.reason}): brimful topups ack {topup.id}")
        elif topup.state is State.ACTION_REQUIRED:
            sentences.append(f"{topup.id}: {topup.reason}: its PaymentIntent is being canceled")
        elif topup.state is State.PROCESSING and topup.told_at is not None:
            sentences.append(f"{topup.id}: the bank has not decided for over an hour: look at it in Stripe")
        elif topup.state in (State.CREATING, State.CONFIRMING):
            sentences.append(f"{topup.id}: its outcome is not known yet; it is read back until it is")
        elif topup.state is State.PAID and topup.told_at is not None:
            sentences.append(f"{topup.id}: charged, but the credit is not seen: brimful topups ack {topup.id}")
    for topup in ledger_reads.late(conn):
        sentences.append(f"{topup.id}: its credit came late, and may be another's: brimful topups ack {topup.id}")
    return sentences


def _is_shadow(config: Config, account: str) -> bool:
    configured = config.accounts.get(account)
    return configured is not None and configured.topup is not None and configured.topup.mode is TopupMode.SHADOW


def still_stopped(conn: Connection, accounts: Container[str], account: str | None) -> tuple[str, ...]:
    """Return a sentence for each stop that is left, with the command that ends it; without an account for all known."""
    return tuple(
        _left(stop)
        for stop in ledger_notes.stops(conn, account)
        if stop.scope in (EVERYWHERE, account) or stop.scope in accounts
    )


def _left(stop: Stop) -> str:
    scope = "all accounts" if stop.scope == EVERYWHERE else stop.scope
    if stop.kind is StopKind.BREAKER:
        return f"{scope}: still suspended ({stop.reason}: {stop.message}): ends by itself when Stripe answers the key"
    if stop.kind is StopKind.PAUSE:
        where = "" if stop.scope == EVERYWHERE else f" {stop.scope}"
        return f"{scope}: still paused: brimful topups resume{where}"
    said = f"{scope}: still suspended ({stop.reason}: {stop.message})"
    return said if stop.reason == CUSTOMER_GONE else f"{said}: brimful topups resume {stop.scope}"


def still_ahead(conn: Connection, now: datetime) -> str | None:
    """Return a sentence where the ledger is ahead of the clock, and what has to end before that is taken back."""
    latest = ledger_notes.bookmark(conn, Bookmark.LATEST)
    if latest is None or latest[0] - now <= CLOCK_TOLERANCE:
        return None
    said = f"all accounts: the ledger is ahead of the clock: nothing is charged until {rfc3339(latest[0])}"
    opened = ledger_reads.open_topups(conn)
    if latest[0] - now < DAYS_AHEAD or not opened:
        return said
    ends = ", ".join(_end_of(topup) for topup in opened)
    return f"{said}, or until what is open has ended and this is typed again: {ends}"


def _end_of(topup: Topup) -> str:
    a_person_may = topup.state in (State.PAID, State.NEEDS_REVIEW)
    return f"{topup.id} is {topup.state} (brimful topups {'ack' if a_person_may else 'explain'} {topup.id})"
