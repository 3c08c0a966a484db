"""Encoding of an account's state: one JSON text per column, absent fields left out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any

import msgspec

from alerts.model.events import EventDraft, EventType, Severity
from alerts.model.instants import from_ms, to_ms
from alerts.model.readings import Metrics, Reason
from alerts.rules.falls import NO_FALL, Falls
from alerts.rules.state import AccountState, Episode, Notified, Outage, RuleMemory

_METRICS = Metrics.__struct_fields__
_values = attrgetter(*_METRICS)
_INSTANTS = frozenset({"period_start_at", "period_end_at"})


@dataclass(frozen=True, slots=True)
class StateBlob:
    """The content of `account_state.memory`: the parts of a state without their own column."""

    outage: Outage | None
    rules: dict[str, RuleMemory]
    held: tuple[EventDraft, ...]
    remind_at: datetime | None
    falls: Falls


def encode_metrics(metrics: Metrics) -> str:
    """Return the reported fields as a JSON object; instants in milliseconds."""
    said = {
        name: to_ms(value) if name in _INSTANTS else value
        for name, value in zip(_METRICS, _values(metrics), strict=True)
        if value is not None and value not in ("{}", ())
    }
    return msgspec.json.encode(said).decode()


def decode_metrics(text: str) -> Metrics:
    """Return the encoded metrics; fields of a newer program are ignored."""
    said = json.loads(text)
    known: dict[str, Any] = {
        name: from_ms(said[name]) if name in _INSTANTS else said[name] for name in _METRICS if name in said
    }
    if "unusable" in known:
        known["unusable"] = tuple(map(tuple, known["unusable"]))
    return Metrics(**known)


def encode_state_blob(state: AccountState) -> str:
    """Return outage, rules, held events, the next reminder and falls as a JSON object."""
    rest: dict[str, Any] = {"rules": {rule: _rule(memory) for rule, memory in state.rules.items()}}
    if state.outage is not None:
        outage = state.outage
        rest["outage"] = [_ms(outage.since), outage.polls, outage.reason.value, outage.detail, _ms(outage.last_at)]
    if state.held:
        rest["held"] = [_draft(draft) for draft in state.held]
    if state.remind_at is not None:
        rest["remind_at"] = _ms(state.remind_at)
    if (falls := state.falls) is not NO_FALL:
        rest["falls"] = [
            falls.funded_microusd,
            falls.risen_microusd,
            _ms(falls.fallen_since),
            _ms(falls.dropped_at),
            falls.dropped_from_microusd,
            falls.dropped_to_microusd,
            _ms(falls.stood_at),
            falls.stood_microusd,
            falls.stood_used_microusd,
        ]
    return json.dumps(rest, separators=(",", ":"), ensure_ascii=False)


def decode_state_blob(text: str, account: str) -> StateBlob:
    """Return the decoded state; raises ValueError or KeyError for other text."""
    rest = json.loads(text)
    outage = rest.get("outage")
    return StateBlob(
        outage=None if outage is None else _read_outage(outage),
        rules={rule: _read_rule(value, account, rule) for rule, value in rest["rules"].items()},
        held=tuple(_read_draft(value) for value in rest.get("held", ())),
        remind_at=_instant(rest.get("remind_at")),
        falls=_read_falls(rest.get("falls")),
    )


def _rule(memory: RuleMemory) -> dict[str, Any]:
    notified, episode = memory.notified, memory.episode
    written = {
        "judged": memory.rule_fingerprint,
        "breaches": memory.breaches,
        "entered": notified.entered,
        "step": None if notified.step is None else str(notified.step),
        "projected": notified.projected,
        "words": notified.words,
        "from": _ms(memory.period_start),
        "to": _ms(memory.period_end),
        "quiet": _ms(memory.quiet_until),
        "episode": None if episode is None else _episode(episode),
        "resting": None if memory.suspended is None else _episode(memory.suspended),
    }
    return {name: value for name, value in written.items() if value}


def _read_rule(value: dict[str, Any], account: str, rule: str) -> RuleMemory:
    step, episode, suspended = value.get("step"), value.get("episode"), value.get("resting")
    return RuleMemory(
        rule_fingerprint=value.get("judged", ""),
        breaches=value.get("breaches", 0),
        episode=None if episode is None else read_episode(episode, account, rule),
        suspended=None if suspended is None else read_episode(suspended, account, rule),
        notified=Notified(
            entered=value.get("entered", False),
            step=None if step is None else Decimal(step),
            projected=value.get("projected", False),
            words=value.get("words", ""),
        ),
        period_start=_instant(value.get("from")),
        period_end=_instant(value.get("to")),
        quiet_until=_instant(value.get("quiet")),
    )


def _episode(episode: Episode) -> list[Any]:
    """Return an open or suspended episode as a list; its end is not part of the state."""
    notified_type = None if episode.notified_type is None else episode.notified_type.value
    return [
        episode.id,
        episode.kind,
        episode.severity.value,
        _ms(episode.opened_at),
        _ms(episode.notified_at),
        notified_type,
        episode.why,
    ]


def read_episode(value: list[Any], account: str, rule: str) -> Episode:
    """Return the episode of such a list, without an end."""
    identity, kind, severity, opened, notified, notified_type, why = value
    return Episode(
        id=identity,
        account=account,
        rule=rule,
        kind=kind,
        severity=Severity(severity),
        opened_at=from_ms(opened),
        why=why,
        notified_at=_instant(notified),
        notified_type=None if notified_type is None else EventType(notified_type),
    )


def _read_outage(value: list[Any]) -> Outage:
    since, polls, reason, detail, last = value
    return Outage(from_ms(since), polls, Reason(reason), detail, from_ms(last))


def _read_falls(value: list[int | None] | None) -> Falls:
    if value is None:
        return NO_FALL
    funded, risen, since, dropped, before, after, *stood = value
    stood_at, size, used = stood or (None, 0, 0)
    return Falls(
        funded,
        risen,
        _instant(since),
        _instant(dropped),
        before or 0,
        after or 0,
        _instant(stood_at),
        size or 0,
        used or 0,
    )


def _draft(draft: EventDraft) -> dict[str, Any]:
    return {
        "type": draft.type.value,
        "at": _ms(draft.at),
        "data": dict(draft.data),
        "account": draft.account,
        "severity": draft.severity.value,
        "rule": draft.rule,
        "episode": draft.episode,
        "only_receiver": draft.only_receiver,
    }


def _read_draft(value: dict[str, Any]) -> EventDraft:
    return EventDraft(
        type=EventType(value["type"]),
        at=from_ms(value["at"]),
        data=value["data"],
        account=value["account"],
        severity=Severity(value["severity"]),
        rule=value["rule"],
        episode=value["episode"],
        only_receiver=value["only_receiver"],
    )


def _ms(instant: datetime | None) -> int | None:
    return None if instant is None else to_ms(instant)


def _instant(ms: int | None) -> datetime | None:
    return None if ms is None else from_ms(ms)
