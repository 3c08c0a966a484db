"""Episodes: which verdicts of a rule send an event, and why the others do not. Pure.

An episode opens with one event and ends with another once the value is beyond the clear line. Opening and closing
events of a rule and account alternate strictly, since both depend on the episode stored in the account's state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from alerts.model.events import EventType, Severity
from alerts.model.values import replace
from alerts.rules.state import NOTHING_NOTIFIED, Episode, Notified, RuleMemory
from alerts.rules.view import Condition, News, RuleVerdict

ALREADY_NOTIFIED = "already notified in this episode"
MAX_HELD_EVENTS = 64
"""Most events queued per account while a mute is active. When full, the oldest finished episode is dropped."""


@dataclass(frozen=True, slots=True)
class Notification:
    """One event to send about an episode."""

    type: EventType
    episode: Episode
    verdict: RuleVerdict
    reminder: bool = False


@dataclass(frozen=True, slots=True)
class Advance:
    """What a verdict changes: the new memory, the events to send in order, and the reasons for sending none."""

    memory: RuleMemory
    notifications: tuple[Notification, ...] = ()
    reasons: tuple[str, ...] = ()
    ended: Episode | None = None
    """The episode that this verdict closed; the caller stores it."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The rule and account that a verdict is about. A breach must last `for_readings` readings to open an episode."""

    account: str
    rule: str
    kind: str
    severity: Severity
    for_readings: int
    ended_type: EventType | None
    """Sent when the episode ends; None for kinds that send nothing then."""


def advance(
    subject: Subject,
    memory: RuleMemory,
    verdict: RuleVerdict,
    find_news: Callable[[RuleVerdict, Notified], tuple[News, ...]],
    *,
    why: Callable[[RuleVerdict], str],
    new_id: Callable[[str], str],
    now: datetime,
) -> Advance:
    """Return what the verdict changes. The condition `UNKNOWN` changes nothing."""
    ended = None
    if verdict.period_start is not None and memory.period_start != verdict.period_start:
        memory, ended = turn_period(memory, verdict, now)
    if verdict.condition is Condition.UNKNOWN:
        reasons = ("nothing is known: the last state is kept",) if memory.episode is not None else ()
        return Advance(memory, reasons=reasons, ended=ended)
    if verdict.condition is Condition.BREACH:
        moved = _breach(subject, memory, verdict, find_news, why, new_id, now)
        return replace(moved, ended=ended)
    if memory.breaches:
        memory = replace(memory, breaches=0)
    if memory.episode is None or verdict.condition is Condition.BETWEEN:
        reasons = () if memory.episode is None else ("not in breach, and not beyond the clear line either",)
        return Advance(memory, reasons=reasons, ended=ended)
    closed = replace(memory.episode, closed_at=now, closed_why=why(verdict))
    notified = () if subject.ended_type is None else (Notification(subject.ended_type, closed, verdict),)
    return Advance(replace(memory, episode=None, notified=NOTHING_NOTIFIED), notified, ended=closed)


def turn_period(memory: RuleMemory, verdict: RuleVerdict, now: datetime) -> tuple[RuleMemory, Episode | None]:
    """Return the memory of a new period, and the old period's episode, closed without an event."""
    closed = None
    if memory.episode is not None:
        closed = replace(memory.episode, closed_at=memory.period_end or now, closed_why="the period ended")
    fresh = RuleMemory(
        rule_fingerprint=memory.rule_fingerprint, period_start=verdict.period_start, period_end=verdict.period_end
    )
    return fresh, closed


def rebase(memory: RuleMemory, verdict: RuleVerdict, severity: Severity, rule_fingerprint: str) -> RuleMemory:
    """Return the memory after the rule was edited.

    The episode stays open. Steps and projections that the new numbers do not reach count as not notified.
    """
    notified, episode = memory.notified, memory.episode
    if verdict.condition is not Condition.UNKNOWN and notified.step is not None:
        step = None if verdict.step is None else min(notified.step, verdict.step)
        notified = replace(notified, step=step)
    if notified.projected and not verdict.projected and verdict.condition is not Condition.UNKNOWN:
        notified = replace(notified, projected=False)
    if episode is not None and episode.severity is not severity:
        episode = replace(episode, severity=severity)
    return replace(memory, rule_fingerprint=rule_fingerprint, notified=notified, episode=episode)


def reminder_due(episode: Episode, remind_every: timedelta | None, now: datetime) -> bool:
    """Whether the episode's last event is `remind_every` old. False while a mute holds back its first event."""
    return remind_every is not None and episode.notified_at is not None and now - episode.notified_at >= remind_every


def _breach(
    subject: Subject,
    memory: RuleMemory,
    verdict: RuleVerdict,
    find_news: Callable[[RuleVerdict, Notified], tuple[News, ...]],
    why: Callable[[RuleVerdict], str],
    new_id: Callable[[str], str],
    now: datetime,
) -> Advance:
    episode = memory.episode
    if episode is None and memory.breaches + 1 < subject.for_readings:
        breaches = memory.breaches + 1
        waiting = f"in breach for {breaches} of {subject.for_readings} readings"
        return Advance(replace(memory, breaches=breaches), reasons=(waiting,))
    found = find_news(verdict, memory.notified)
    if not found:
        return Advance(memory, reasons=(ALREADY_NOTIFIED if episode else "already notified in this period",))
    sentence = why(verdict)
    if episode is None:
        episode = Episode(
            new_id("ep"), subject.account, subject.rule, subject.kind, subject.severity, opened_at=now, why=sentence
        )
    else:
        episode = replace(episode, why=sentence)
    episode = replace(episode, notified_at=now, notified_type=found[0].type)
    notifications = tuple(Notification(one.type, episode, verdict) for one in found)
    return Advance(replace(memory, episode=episode, breaches=0, notified=found[-1].notified), notifications)
