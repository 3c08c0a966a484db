"""Episodes: what is told of a rule's verdicts, once, in order, and with the reason for everything that is not told.

An episode opens with one event and ends with one beyond the clear line. Entering and ending alternate strictly for
each rule and account, because the only way to either leads through the episode that is kept with the state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from alerts.model.events import EventType, Severity
from alerts.model.values import replace
from alerts.rules.state import NOTHING_TOLD, Episode, Notified, RuleMemory
from alerts.rules.view import News, RuleVerdict, Standing

ALREADY_TOLD = "already told in this episode"
LONGEST_HOLD = 64
"""Most events queued per account while a mute is active. When full, the oldest finished episode is dropped."""


@dataclass(frozen=True, slots=True)
class Notification:
    """One event to be told of an episode."""

    type: EventType
    episode: Episode
    verdict: RuleVerdict
    reminder: bool = False


@dataclass(frozen=True, slots=True)
class Advance:
    """What a verdict changes: the memory, what to tell in order, and why nothing (or no more) is told."""

    memory: RuleMemory
    tellings: tuple[Notification, ...] = ()
    reasons: tuple[str, ...] = ()
    ended: Episode | None = None
    """The episode that was closed, to be recorded."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose episode it would be, and how it is told."""

    account: str
    rule: str
    kind: str
    severity: Severity
    for_readings: int
    ended_type: EventType | None
    """None for kinds that nobody is told the end of."""


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
    """Return what the verdict changes. An unknown standing changes nothing."""
    ended = None
    if verdict.period_start is not None and memory.period_start != verdict.period_start:
        memory, ended = turn_period(memory, verdict, now)
    if verdict.standing is Standing.UNKNOWN:
        reasons = ("nothing is known: the last state is kept",) if memory.episode is not None else ()
        return Advance(memory, reasons=reasons, ended=ended)
    if verdict.standing is Standing.BREACH:
        moved = _breach(subject, memory, verdict, find_news, why, new_id, now)
        return replace(moved, ended=ended)
    if memory.breaches:
        memory = replace(memory, breaches=0)
    if memory.episode is None or verdict.standing is Standing.BETWEEN:
        reasons = () if memory.episode is None else ("not in breach, and not beyond the clear line either",)
        return Advance(memory, reasons=reasons, ended=ended)
    closed = replace(memory.episode, closed_at=now, closed_why=why(verdict))
    told = () if subject.ended_type is None else (Notification(subject.ended_type, closed, verdict),)
    return Advance(replace(memory, episode=None, told=NOTHING_TOLD), told, ended=closed)


def turn_period(memory: RuleMemory, verdict: RuleVerdict, now: datetime) -> tuple[RuleMemory, Episode | None]:
    """Begin a period from zero: what was told of the one before is forgotten, its episode ends without a word."""
    closed = None
    if memory.episode is not None:
        closed = replace(memory.episode, closed_at=memory.period_end or now, closed_why="the period ended")
    fresh = RuleMemory(judged=memory.judged, period_start=verdict.period_start, period_end=verdict.period_end)
    return fresh, closed


def rebase(memory: RuleMemory, verdict: RuleVerdict, severity: Severity, judged: str) -> RuleMemory:
    """Return the memory under edited words or numbers: the episode stays, and steps not reached any more are untold."""
    told, episode = memory.told, memory.episode
    if verdict.standing is not Standing.UNKNOWN and told.step is not None:
        step = None if verdict.step is None else min(told.step, verdict.step)
        told = replace(told, step=step)
    if told.projected and not verdict.projected and verdict.standing is not Standing.UNKNOWN:
        told = replace(told, projected=False)
    if episode is not None and episode.severity is not severity:
        episode = replace(episode, severity=severity)
    return replace(memory, judged=judged, told=told, episode=episode)


def reminder_due(episode: Episode, remind_every: timedelta | None, now: datetime) -> bool:
    """Whether the open episode was last told of so long ago. One that is held back by a mute was never told."""
    return remind_every is not None and episode.told_at is not None and now - episode.told_at >= remind_every


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
    found = find_news(verdict, memory.told)
    if not found:
        return Advance(memory, reasons=(ALREADY_TOLD if episode else "already told in this period",))
    sentence = why(verdict)
    if episode is None:
        episode = Episode(
            new_id("ep"), subject.account, subject.rule, subject.kind, subject.severity, opened_at=now, why=sentence
        )
    else:
        episode = replace(episode, why=sentence)
    episode = replace(episode, told_at=now, told_type=found[0].type)
    tellings = tuple(Notification(one.type, episode, verdict) for one in found)
    return Advance(replace(memory, episode=episode, breaches=0, told=found[-1].told), tellings)
