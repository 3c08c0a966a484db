"""How an account's top-ups stand, in words: for `balance.low`, for `status`, and for the exit code of `once`."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import datetime

from alerts.instants import rfc3339
from alerts.state import TopupStanding
from daemon.config.model import Config, TopupMode
from daemon.store import ledger_notes, ledger_reads
from daemon.store.ledger import Topup
from daemon.store.ledger_notes import Decision, StopKind
from daemon.topups.gates import ROLLING_DAY, start_of_month
from daemon.topups.states import ENDS_UNSENT, UNDER_WAY, UNDER_WAY_AFTER_PAID, UNDER_WAY_UNCHARGED, State

CUSTOMER_GONE = "customer_gone"
"""Why an account is suspended that `topups ack CUSTOMER` lets go on, not `resume`."""
_STOPPED = {StopKind.PAUSE: "paused", StopKind.SUSPENSION: "suspended", StopKind.BREAKER: "suspended"}


def is_under_way(topup: Topup, now: datetime, mode: TopupMode = TopupMode.CHARGE) -> bool:
    """Whether money is really on its way: a reminder of a low balance may wait for it.

    In a mode that charges nothing only what Stripe has already taken up: the rest is not sent to be brought about.
    """
    if topup.cancel_as is not None:
        return False
    if topup.state is State.PAID:
        return topup.paid_at is not None and now - topup.paid_at < UNDER_WAY_AFTER_PAID
    return topup.state in (UNDER_WAY if mode is TopupMode.CHARGE else UNDER_WAY_UNCHARGED)


def standing(config: Config, conn: sqlite3.Connection, account: str, now: datetime) -> TopupStanding | None:
    """Return the account's standing, None where no top-up is configured."""
    configured = config.accounts.get(account)
    if configured is None or configured.topup is None:
        return None
    mode = configured.topup.mode
    opened = ledger_reads.open_topups(conn, account)
    if opened:
        topup = opened[0]
        return TopupStanding(topup.state.value, is_under_way(topup, now, mode), topup.reason, topup.id)
    if mode is not TopupMode.CHARGE:
        return TopupStanding(mode.value, False, f"mode is {mode}")
    for stop in ledger_notes.stops(conn, account):
        return TopupStanding(_STOPPED[stop.kind], False, f"{stop.reason}, since {rfc3339(stop.since_at)}")
    said = next((d for d in ledger_notes.decisions(conn, account) if d.gate not in ("threshold", "reading")), None)
    if said is not None and _holds_back(config, conn, said, now):
        return TopupStanding("capped", False, said.detail)
    return TopupStanding("none", False, "no top-up is open: it is judged after this reading")


def _holds_back(config: Config, conn: sqlite3.Connection, said: Decision, now: datetime) -> bool:
    """Whether a cap said no, its window may still last, and nothing was charged since."""
    if said.gate == "cap_day":
        lasts = now - said.last_at < ROLLING_DAY
    else:
        lasts = said.gate == "cap_month" and said.last_at >= start_of_month(now, config.timezone)
    if not lasts:
        return False
    charged_at = ledger_reads.last_attempt_at(conn, said.account)
    return charged_at is None or charged_at <= said.last_at


def people(config: Config, conn: sqlite3.Connection, troubles: Mapping[str, str]) -> list[str]:
    """Return a sentence for every charge that needs a person, or whose outcome is still unknown."""
    sentences = list(troubles.values())
    for stop in ledger_notes.stops(conn):
        if stop.kind is not StopKind.PAUSE and (stop.scope in config.accounts or stop.scope == ledger_notes.EVERYWHERE):
            named = stop.kind is StopKind.BREAKER or stop.reason == CUSTOMER_GONE  # its message names the command
            command = "" if named else f": brimful topups resume {stop.scope}"
            scope = "all accounts" if stop.scope == ledger_notes.EVERYWHERE else stop.scope
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
    return sentences


def _is_shadow(config: Config, account: str) -> bool:
    configured = config.accounts.get(account)
    return configured is not None and configured.topup is not None and configured.topup.mode is TopupMode.SHADOW
