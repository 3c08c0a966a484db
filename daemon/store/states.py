"""Account states, episodes, decisions not to notify, and mutes.

A save writes only the changed columns: one column of one row if nothing but the reading's time changed.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from alerts.forecast.memory import BurnMemory
from alerts.model.events import Severity
from alerts.model.instants import from_ms, to_ms
from alerts.model.readings import Known
from alerts.model.spend import SpendMemory
from alerts.model.values import replace
from alerts.rules.evaluation import Evaluation
from alerts.rules.state import AccountState, Episode
from daemon.store.connection import Connection, Transaction
from daemon.store.statecodec import decode_metrics, decode_state_blob, encode_metrics, encode_state_blob, read_episode

DECISIONS_KEPT = 500
"""Most rows of decisions per account; equal ones of an episode are one row."""
EPISODES_LISTED = 200
_NEVER = 2**62
"""Milliseconds beyond every instant."""
_HOUR = timedelta(hours=1)

EPISODE_COLUMNS = "id, account, rule, kind, severity, opened_at, why, told_at, told_type, closed_at, closed_why"


class StoredTexts(NamedTuple):
    """What is stored of an account's state, as text, its burn left out. `last_at` in milliseconds."""

    account: str
    last_at: int | None
    metrics: str | None
    spend: str | None
    memory: str


_SELECT = "SELECT account, last_at, metrics, spend, burn, memory FROM account_state"


def load(conn: Connection, account: str) -> AccountState:
    """Return the account's state; the empty one if it was never evaluated."""
    row = conn.execute(f"{_SELECT} WHERE account = ?", (account,)).fetchone()
    return AccountState.new(account) if row is None else _read(row)


def load_all(conn: Connection) -> dict[str, AccountState]:
    """Return the state of every account that was ever evaluated."""
    return {row[0]: _read(row) for row in conn.execute(f"{_SELECT} ORDER BY account")}


def load_some(conn: Connection, accounts: Collection[str]) -> dict[str, AccountState]:
    """Return the states of these accounts; the empty one of those that were never evaluated."""
    where = "WHERE account IN (SELECT value FROM json_each(?))"
    found = {row[0]: _read(row) for row in conn.execute(f"{_SELECT} {where}", (json.dumps(list(accounts)),))}
    return {account: found.get(account) or AccountState.new(account) for account in accounts}


def texts_without_burn(conn: Connection, accounts: Collection[str]) -> Iterable[StoredTexts]:
    """Return what is stored of these accounts, as it is encoded: the hours of a burn are long, and dear to decode."""
    columns = "account, last_at, metrics, spend, memory"
    where = "WHERE account IN (SELECT value FROM json_each(?))"
    rows = conn.execute(f"SELECT {columns} FROM account_state {where}", (json.dumps(list(accounts)),))
    return map(StoredTexts._make, rows)


def seen_again(tx: Transaction, seen: Sequence[tuple[int, str]]) -> None:
    """Write the new time of readings that changed nothing else: (milliseconds, account)."""
    tx.write_rows("UPDATE account_state SET last_at = ? WHERE account = ?", seen)


def is_seen_again(evaluation: Evaluation, previous: AccountState) -> bool:
    """Whether the evaluation's reading equals the last one, lies within its hour, and changed nothing else."""
    state = evaluation.state
    last, before = state.last, previous.last
    return (
        last is not None
        and before is not None
        and last is evaluation.evaluated
        and last.metrics is before.metrics
        and state.rules is previous.rules
        and state.burn is previous.burn
        and state.falls is previous.falls
        and before.at <= last.at
        and before.at.hour == last.at.hour
        and last.at - before.at < _HOUR
        and state.outage is None
        and previous.outage is None
        and state.held is previous.held
        and state.remind_at == previous.remind_at
        and state.spend is not None
        and previous.spend is not None
        and state.spend.same_counts(previous.spend)
        and not evaluation.episodes
    )


def save(tx: Transaction, evaluation: Evaluation, previous: AccountState | None) -> None:
    """Write what the evaluation changed. `previous`: the stored state; None writes everything."""
    save_all(tx, [(evaluation, previous)])


def save_all(tx: Transaction, changed: Sequence[tuple[Evaluation, AccountState | None]]) -> None:
    """Write what evaluations changed, each with its stored state: one statement for all that changed the same."""
    whole: list[AccountState] = []
    updates: dict[str, list[tuple[AccountState, list[int | str]]]] = {}
    for evaluation, previous in changed:
        state = evaluation.state
        if previous is None:
            whole.append(state)
        else:
            columns, values = _changes(state, previous)
            if columns:
                updates.setdefault(columns, []).append((state, values))
        for episode in evaluation.episodes:
            _save_episode(tx, episode)
        save_decisions(tx, evaluation)
    for columns, rows in updates.items():
        statement = f"UPDATE account_state SET {columns} WHERE account = ?"
        if tx.write_rows(statement, [values for _, values in rows]).rowcount != len(rows):
            whole += _not_stored(tx, [state for state, _ in rows])
    if whole:
        tx.write_rows(_INSERT, [_row(state) for state in whole])


_INSERT = (
    "INSERT INTO account_state (account, last_at, metrics, spend, burn, memory) VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (account) DO UPDATE SET last_at = excluded.last_at, metrics = excluded.metrics,"
    " spend = excluded.spend, burn = excluded.burn, memory = excluded.memory"
)


def _not_stored(tx: Transaction, states: Sequence[AccountState]) -> list[AccountState]:
    named = json.dumps([state.account for state in states])
    stored = {
        account
        for (account,) in tx.execute(
            "SELECT account FROM account_state WHERE account IN (SELECT value FROM json_each(?))", (named,)
        )
    }
    return [state for state in states if state.account not in stored]


def _row(state: AccountState) -> tuple[str | int | None, ...]:
    last, spend = state.last, state.spend
    return (
        state.account,
        None if last is None else to_ms(last.at),
        None if last is None else encode_metrics(last.metrics),
        None if spend is None else spend.encode(),
        state.burn.encode(),
        encode_state_blob(state),
    )


def _changes(state: AccountState, previous: AccountState) -> tuple[str, list[int | str]]:
    """Return the columns that changed, as they are set, and their values with the account."""
    columns: list[str] = []
    values: list[int | str] = []
    last, before, spend = state.last, previous.last, state.spend
    if last is not None and last is not before:
        columns.append("last_at = ?")
        values.append(to_ms(last.at))
        if before is None or last.metrics != before.metrics:
            columns.append("metrics = ?")
            values.append(encode_metrics(last.metrics))
    if spend is not None and (previous.spend is None or not spend.same_counts(previous.spend)):
        columns.append("spend = ?")
        values.append(spend.encode())
    if state.burn is not previous.burn and not _same_hours(state.burn, previous.burn):
        columns.append("burn = ?")
        values.append(state.burn.encode())
    if (
        state.rules is not previous.rules
        or state.outage is not previous.outage
        or state.held is not previous.held
        or state.falls is not previous.falls
        or state.remind_at != previous.remind_at
    ):
        columns.append("memory = ?")
        values.append(encode_state_blob(state))
    values.append(state.account)
    return ", ".join(columns), values


def _same_hours(burn: BurnMemory, before: BurnMemory) -> bool:
    """Whether only the position within the current hour changed: `load` computes it again from the last reading."""
    if (burn.spend is None) is not (before.spend is None) or (burn.used is None) is not (before.used is None):
        return False
    spend = burn.spend is None or before.spend is None or burn.spend.packed is before.spend.packed
    used = burn.used is None or before.used is None or burn.used.packed is before.used.packed
    same_hour = spend and used and _hours(burn) == _hours(before)
    return (
        same_hour
        and burn.schedule is before.schedule
        and burn.reserve is before.reserve
        and burn.used_base == before.used_base
    )


def _hours(burn: BurnMemory) -> tuple[int | None, int | None]:
    return (None if burn.spend is None else burn.spend.hour, None if burn.used is None else burn.used.hour)


def _read(row: tuple[str, int | None, str | None, str | None, str, str]) -> AccountState:
    account, last_at, metrics, spend_text, burn_text, memory = row
    rest = decode_state_blob(memory, account)
    last = None
    if last_at is not None and metrics is not None:
        last = Known(account, from_ms(last_at), decode_metrics(metrics))
    spend = None if spend_text is None else SpendMemory.decode(spend_text)
    burn = BurnMemory.decode(burn_text)
    if last is not None and spend is not None:
        spend = replace(spend, at=max(spend.at, last.at))
        said = last.metrics
        counts_money = said.accrued_microusd is not None or said.available_microusd is not None
        burn = burn.fold(
            last.at,
            spend.money.value if counts_money else None,
            said.scheduled_burn_microusd_per_day,
            said.used_microgb,
            said.reserved_microgb,
        )
    return AccountState(
        account=account,
        last=last,
        outage=rest.outage,
        spend=spend,
        burn=burn,
        rules=rest.rules,
        held=rest.held,
        remind_at=rest.remind_at,
        falls=rest.falls,
    )


# ── episodes and decisions ──────────────────────────────────────────────────────────────────────────────────────────


def _save_episode(tx: Transaction, episode: Episode) -> None:
    tx.execute(
        "INSERT INTO episode"
        " (id, account, rule, kind, severity, opened_at, closed_at, told_at, told_type, why, closed_why)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET severity = excluded.severity, closed_at = excluded.closed_at,"
        " told_at = excluded.told_at, told_type = excluded.told_type, why = excluded.why,"
        " closed_why = excluded.closed_why",
        (
            episode.id,
            episode.account,
            episode.rule,
            episode.kind,
            episode.severity.value,
            to_ms(episode.opened_at),
            None if episode.closed_at is None else to_ms(episode.closed_at),
            None if episode.notified_at is None else to_ms(episode.notified_at),
            None if episode.notified_type is None else episode.notified_type.value,
            episode.why,
            episode.closed_why,
        ),
    )


def save_decisions(tx: Transaction, evaluation: Evaluation) -> None:
    """Write the evaluation's decisions not to notify; equal ones of an episode are one row with a count."""
    account, added = evaluation.state.account, False
    for decision in evaluation.decisions:
        at = to_ms(decision.at)
        key = (account, decision.rule, decision.episode or "", decision.reason)
        known = tx.execute(
            "UPDATE decision SET times = times + 1, last_at = ?"
            " WHERE account = ? AND rule = ? AND episode = ? AND reason = ?",
            (at, *key),
        ).rowcount
        if not known:
            tx.execute(
                "INSERT INTO decision (account, rule, episode, reason, first_at, last_at) VALUES (?, ?, ?, ?, ?, ?)",
                (*key, at, at),
            )
            added = True
    if added:
        tx.execute(
            "DELETE FROM decision WHERE account = ? AND id <="
            " (SELECT id FROM decision WHERE account = ? ORDER BY id DESC LIMIT 1 OFFSET ?)",
            (account, account, DECISIONS_KEPT),
        )


@dataclass(frozen=True, slots=True)
class CountedDecision:
    """A decision not to notify, and how often it was taken."""

    account: str
    rule: str
    episode: str | None
    reason: str
    first_at: datetime
    last_at: datetime
    times: int


def episodes(
    conn: Connection, *, account: str | None = None, since: datetime | None = None, open_only: bool = False
) -> list[Episode]:
    """Return open episodes, then those that ended at or after `since`, newest first; at most `EPISODES_LISTED`."""
    rows = conn.execute(
        f"SELECT {EPISODE_COLUMNS} FROM episode"
        " WHERE (account = ?1 OR ?1 IS NULL) AND (closed_at IS NULL OR closed_at >= ?2)"
        " ORDER BY closed_at IS NOT NULL, opened_at DESC, id LIMIT ?3",
        (account, _NEVER if open_only else 0 if since is None else to_ms(since), EPISODES_LISTED),
    )
    return [to_episode(row) for row in rows]


def open_severities(conn: Connection) -> dict[str, set[Severity]]:
    """Return the severities of the open episodes by account."""
    found: dict[str, set[Severity]] = {}
    rows = conn.execute("SELECT account, severity FROM episode INDEXED BY episode_open WHERE closed_at IS NULL")
    for account, severity in rows:
        found.setdefault(account, set()).add(Severity(severity))
    return found


def decisions(
    conn: Connection, *, account: str | None = None, since: datetime | None = None, limit: int = 50
) -> list[CountedDecision]:
    """Return the decisions not to notify, latest first."""
    rows = conn.execute(
        "SELECT account, rule, episode, reason, first_at, last_at, times FROM decision"
        " WHERE (account = ?1 OR ?1 IS NULL) AND last_at >= ?2 ORDER BY last_at DESC, id DESC LIMIT ?3",
        (account, 0 if since is None else to_ms(since), limit),
    )
    return [
        CountedDecision(row[0], row[1], row[2] or None, row[3], from_ms(row[4]), from_ms(row[5]), row[6])
        for row in rows
    ]


def to_episode(row: tuple[str, str, str, str, str, int, str, int | None, str | None, int | None, str]) -> Episode:
    identity, account, rule, kind, severity, opened, why, notified, notified_type, closed, closed_why = row
    value = [identity, kind, severity, opened, notified, notified_type, why]
    episode = read_episode(value, account, rule)
    return replace(episode, closed_at=None if closed is None else from_ms(closed), closed_why=closed_why)


# ── accepted falls ──────────────────────────────────────────────────────────────────────────────────────────────────


def accepted(conn: Connection) -> Mapping[str, datetime]:
    """Return when a person last accepted a fall of `funded`, by account."""
    return {account: from_ms(at) for account, at in conn.execute("SELECT account, at FROM accepted_fall")}


def accept(tx: Transaction, account: str, now: datetime) -> None:
    """Accept the account's fall: later readings are compared with the lower `funded`."""
    tx.execute(
        "INSERT INTO accepted_fall (account, at) VALUES (?, ?) ON CONFLICT (account) DO UPDATE SET at = excluded.at",
        (account, to_ms(now)),
    )


# ── mutes ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def mutes(conn: Connection, now: datetime) -> Mapping[str, datetime]:
    """Return the rules that are muted at `now`, and until when."""
    rows = conn.execute("SELECT rule, until_at FROM mute WHERE until_at > ?", (to_ms(now),))
    return {rule: from_ms(until) for rule, until in rows}


def set_mute(tx: Transaction, rule: str, now: datetime, until: datetime) -> None:
    """Mute a rule for every account, replacing its last mute. Delete the mutes that have ended."""
    tx.execute("DELETE FROM mute WHERE until_at <= ?", (to_ms(now),))
    tx.execute(
        "INSERT INTO mute (rule, muted_at, until_at) VALUES (?, ?, ?) ON CONFLICT (rule) DO UPDATE SET"
        " muted_at = excluded.muted_at, until_at = excluded.until_at",
        (rule, to_ms(now), to_ms(until)),
    )


def clear_mute(tx: Transaction, rule: str) -> bool:
    """End a mute; return False if there is none."""
    return bool(tx.execute("DELETE FROM mute WHERE rule = ?", (rule,)).rowcount)
