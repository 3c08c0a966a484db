"""The judgement: what a reading, or time alone, changes for one account, and what is told of it. Pure.

`judge` takes one reading (and the second read of a doubted one), `judge_time` takes none. Both return the new state,
the events, the episodes that changed, and every decision not to tell.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

from msgspec import Struct

from alerts.model.events import EventDraft
from alerts.model.readings import Known, Metrics, Reading, Reason, Unavailable
from alerts.model.specs import RuleSpec, Stale
from alerts.model.spend import SpendMemory
from alerts.model.values import replace
from alerts.rules import own
from alerts.rules.builder import EvaluationBuilder
from alerts.rules.episodes import ALREADY_TOLD, Notification, Subject, advance, rebase, reminder_due
from alerts.rules.falls import CENT_MICROUSD, Falls, fold, learned
from alerts.rules.kinds import KINDS, RuleKind, fingerprint
from alerts.rules.plausibility import Anomaly, Finding, confirms, doubt, largest_explained
from alerts.rules.stale import stale_at
from alerts.rules.state import NEW_RULE, AccountState, Decision, Episode, RuleMemory
from alerts.rules.view import UNKNOWN, Context, RuleVerdict, RuleView, Standing

__all__ = ["Context", "Evaluation", "evaluate", "evaluate_time", "next_evaluation_at"]

_IN_BREACH = Standing.BREACH
"""Looked up once: that costs more than the comparison."""
_TOTAL = "total_charged_microusd"
REMINDER_AGAIN = timedelta(minutes=5)
"""When a reminder that was held back is looked at again."""


class Evaluation(Struct, frozen=True, gc=False):
    """What a judgement found. `believed` may be acted on; None where there is no such reading."""

    state: AccountState
    drafts: tuple[EventDraft, ...]
    episodes: tuple[Episode, ...]
    decisions: tuple[Decision, ...]
    believed: Known | None
    judged: Reading | None
    changes: bool
    """Whether there is anything to commit."""

    @property
    def recorded(self) -> Reading:
        """The reading as history keeps it: a suspect one is none. Only for a judgement of a reading."""
        assert self.judged is not None
        return self.judged


def evaluate(state: AccountState, reading: Reading, second: Reading | None, context: Context) -> Evaluation:
    """Judge one reading. `second` is the read that was made at once because `belief.doubt` doubted the first."""
    sitting = EvaluationBuilder(state, context)
    sitting.release()
    _rest_and_resume(sitting)
    recorded, believed, doubted = _believe(sitting, reading, second)
    if believed is not None:
        _take_in(sitting, believed, doubted)
    elif isinstance(recorded, Unavailable) and recorded.reason is not Reason.SUSPECT:
        own.unavailable(sitting, recorded)
    return _conclude(sitting, recorded, believed, read=True)


def evaluate_time(state: AccountState, context: Context) -> Evaluation:
    """Judge what time alone changes: silence, reminders, mutes that ended, edited rules, periods that ended."""
    due_at = next_evaluation_at(state, context)
    if due_at is None or due_at > context.now:
        return Evaluation(state, (), (), (), None, None, changes=False)
    sitting = EvaluationBuilder(state, context)
    sitting.release()
    _rest_and_resume(sitting)
    return _conclude(sitting, None, None, read=False)


def _believe(
    sitting: EvaluationBuilder, reading: Reading, second: Reading | None
) -> tuple[Reading, Known | None, Anomaly | None]:
    """Return what is recorded, what is believed, and the doubt that a second read has confirmed."""
    if isinstance(reading, Unavailable):
        return reading, None, None
    doubted = doubt(sitting.state, reading)
    if doubted is None:
        return reading, reading, None
    if isinstance(second, Known) and confirms(doubted, second) and _follows(sitting.state, reading, second):
        drop = _unexplained(doubted, sitting.state, second)
        if doubted.resets or (drop is not None and _is_topped_up(sitting)):
            own.suspect(sitting, doubted, second, confirmed=True)
        else:
            sitting.decide(own.SUSPECT, "implausible, but the second read agrees: believed")
        return second, second, doubted
    if isinstance(second, Known):
        own.suspect(sitting, doubted, reading, confirmed=False)
        if doubt(sitting.state, second) is None:
            return second, second, None
    else:
        own.undecided(sitting, doubted, reading)
    first = doubted.findings[0]
    detail = f"{first.field} {first.kind.value}: {first.before} then {first.after}"
    return Unavailable(reading.account, reading.at, Reason.SUSPECT, detail), None, None


def _follows(state: AccountState, reading: Known, second: Known) -> bool:
    """Whether the second read can be true beside the first: else one of them is a lie, though both fell far."""
    return doubt(replace(state, last=reading), second) is None


def _is_topped_up(sitting: EvaluationBuilder) -> bool:
    return sitting.context.topup(sitting.state.account) is not None


def _take_in(sitting: EvaluationBuilder, known: Known, doubted: Anomaly | None) -> None:
    """Make the believed reading the last one, then judge everything by it."""
    state, metrics, context = sitting.state, known.metrics, sitting.context
    zone = context.zone
    before = None if state.last is None else state.last.metrics
    resets: frozenset[str] = doubted.resets if doubted is not None else frozenset()
    drop = _unexplained(doubted, state, known)
    falls = fold(
        state.falls,
        known,
        drop,
        accepted_at=context.accepted.get(state.account) if context.accepted else None,
        believed_after=context.info.believe_falls_after,
    )
    resets = _real_resets(sitting, falls, metrics, resets)
    if state.spend is None:
        spend = SpendMemory.begin(known.at, metrics, zone)
    else:
        in_doubt = falls.dropped_at is not None or falls.fallen_since is not None
        spend = state.spend.fold(known.at, metrics, zone, resets, in_doubt=in_doubt)
        if (burnt := learned(state.falls, known)) is not None:
            spend = spend.burnt(burnt)
    counts_money = metrics.accrued_microusd is not None or metrics.available_microusd is not None
    burn = state.burn.fold(
        known.at,
        spend.money.value if counts_money else None,
        metrics.scheduled_burn_microusd_per_day,
        metrics.used_microgb,
        metrics.reserved_microgb,
    )
    sitting.state = AccountState(
        state.account,
        known,
        state.outage,
        spend,
        burn,
        state.rules,
        state.held,
        state.remind_at,
        falls,
        context.rules,
    )
    if falls is not state.falls:
        told = doubted is not None and bool(doubted.resets)
        own.fallen(sitting, state.falls, known, told=told, topped_up=_is_topped_up(sitting))
    own.available(sitting, known)
    own.plain(sitting, known)
    own.limits(sitting, before, known)
    own.billing(sitting, known)
    view = RuleView(sitting.state, known, context)
    own.depleted(sitting, view)
    edited = sitting.edited
    for rule in context.rules:
        if not isinstance(rule, Stale):
            _judge_rule(sitting, rule, view, edited=edited)


def _unexplained(doubted: Anomaly | None, state: AccountState, known: Known) -> Finding | None:
    """Return the drop that neither burn explains, nor that less was ever credited than the reading before has said.

    What was credited and is gone is no burn: it has fallen, or the reading before said too much.
    """
    drop, last = None if doubted is None else doubted.drop, state.last
    if drop is None or last is None:
        return drop
    before, after = last.metrics.funded_microusd, known.metrics.funded_microusd
    lost = 0 if before is None or after is None else before - after
    if lost <= CENT_MICROUSD:
        return drop
    largest = state.spend.largest_burn_microusd_per_day if state.spend is not None else 0
    explained = largest_explained(largest, last.metrics, known.metrics, known.at - last.at)
    left = drop.before - lost
    return replace(drop, before=left) if left - drop.after > explained else None


def _real_resets(sitting: EvaluationBuilder, falls: Falls, metrics: Metrics, resets: frozenset[str]) -> frozenset[str]:
    """Count a total that began anew as such once a person has accepted it, where less shows than was ever credited.

    Until then it may be the provider's mistake, and all of it would be counted as spent when it comes back. Only where
    a person is asked: of an account that is not topped up nobody is.
    """
    before, spend = sitting.state.falls, sitting.state.spend
    if falls.fallen_since is not None and _is_topped_up(sitting):
        return resets - {_TOTAL}
    total, high = metrics.total_charged_microusd, None if spend is None else spend.money.high
    if (
        before.fallen_since is not None
        and total is not None
        and high is not None
        and metrics.accrued_microusd is not None
    ):
        return resets | {_TOTAL} if metrics.accrued_microusd < high else resets
    return resets


def _judge_rule(sitting: EvaluationBuilder, rule: RuleSpec, view: RuleView, *, edited: bool) -> None:
    kind = KINDS[type(rule)]
    verdict = kind.look(rule, view)
    memory = sitting.memory(rule.id)
    if edited:
        memory = _rebased(sitting, rule, kind, memory, verdict)
    elif verdict.period_start == memory.period_start:
        # Nothing is wrong, or it was told already: by far the most frequent, and spared the long way.
        if memory.episode is None:
            if verdict.standing is not _IN_BREACH and not memory.breaches:
                return
        elif verdict.standing is _IN_BREACH and not kind.news(rule, verdict, memory.told):
            sitting.decide(rule.id, ALREADY_TOLD, memory.episode)
            return
    _advance(sitting, rule, kind, memory, verdict, view)


def _rebased(
    sitting: EvaluationBuilder, rule: RuleSpec, kind: RuleKind, memory: RuleMemory, verdict: RuleVerdict
) -> RuleMemory:
    """Return the memory under the rule as it is now written; a rule of another kind begins anew."""
    judged = fingerprint(rule)
    if memory.judged == judged and (memory.episode is None or memory.episode.severity is rule.severity):
        return memory
    if memory.episode is not None and memory.episode.kind != kind.name:
        sitting.record(replace(memory.episode, closed_at=sitting.now, closed_why="the rule is of another kind now"))
        memory = NEW_RULE
    memory = rebase(memory, verdict, rule.severity, judged)
    if memory.episode is not None:
        sitting.record(memory.episode)
    sitting.remember(rule.id, memory)
    return memory


def _advance(
    sitting: EvaluationBuilder, rule: RuleSpec, kind: RuleKind, memory: RuleMemory, verdict: RuleVerdict, view: RuleView
) -> None:
    subject = Subject(sitting.state.account, rule.id, kind.name, rule.severity, rule.for_readings, kind.ended)
    moved = advance(
        subject,
        memory,
        verdict,
        partial(kind.news, rule),
        why=partial(kind.why, rule, view),
        new_id=sitting.context.new_id,
        now=view.known.at,
    )
    changed = moved.memory
    if moved.ended is not None:
        sitting.record(moved.ended)
    for reason in moved.reasons:
        sitting.decide(rule.id, reason, changed.episode)
    told = [_tell(sitting, rule, kind, view, telling) for telling in moved.tellings]
    if changed.episode is not None and told:
        told_at = sitting.now if all(told) else (memory.episode.told_at if memory.episode is not None else None)
        changed = replace(changed, episode=replace(changed.episode, told_at=told_at))
        assert changed.episode is not None
        sitting.record(changed.episode)
    if changed is not memory:
        sitting.remember(rule.id, changed)


def _tell(sitting: EvaluationBuilder, rule: RuleSpec, kind: RuleKind, view: RuleView, telling: Notification) -> bool:
    return sitting.tell(
        telling.type,
        telling.episode,
        kind.numbers(rule, view, telling.verdict),
        at=sitting.now if telling.reminder else view.known.at,
        observed_at=view.known.at,
        reminder=telling.reminder,
        only_receiver=rule.only_receiver,
    )


# ── what time alone changes ─────────────────────────────────────────────────────────────────────────────────────────


def next_evaluation_at(state: AccountState, context: Context) -> datetime | None:
    """Return the earliest instant at which time alone may change something; None where only a reading can.

    It may be past: then `judge_time` is due. It holds for as long as nobody ends a mute before its time.
    """
    if state.judged_by is not context.rules and state.last is not None:
        return context.now
    earliest = state.remind_at
    for draft in state.held:
        at = context.mutes.get(draft.rule or "", context.now)
        if earliest is None or at < earliest:
            earliest = at
    if own.READING in state.rules and state.rules[own.READING].episode is not None:
        return earliest  # silence was told already
    for rule in context.rules:
        if isinstance(rule, Stale) and ((memory := state.rules.get(rule.id)) is None or memory.episode is None):
            at = stale_at(rule, state.last, context)
            if earliest is None or at < earliest:
                earliest = at
    return earliest


def _conclude(
    sitting: EvaluationBuilder, recorded: Reading | None, believed: Known | None, *, read: bool
) -> Evaluation:
    context, edited = sitting.context, sitting.edited
    if believed is None:
        sitting.state = _judged_by(sitting.state, context)
        if edited:
            _judge_edits(sitting)
    for rule in context.rules:
        if isinstance(rule, Stale):
            own.silence(sitting, rule, read=read)
    remind_at = sitting.state.remind_at
    if remind_at is not None and remind_at <= sitting.now:
        _remind(sitting)
        remind_at = _next_reminder(sitting)
    elif edited or sitting.remembers:
        remind_at = _next_reminder(sitting)
    dirty = sitting.dirty or remind_at != sitting.state.remind_at
    return Evaluation(
        sitting.finish(remind_at),
        tuple(sitting.drafts),
        tuple(sitting.episodes.values()),
        tuple(sitting.decisions),
        believed,
        recorded,
        changes=read or dirty,
    )


def _judged_by(state: AccountState, context: Context) -> AccountState:
    return AccountState(
        state.account,
        state.last,
        state.outage,
        state.spend,
        state.burn,
        state.rules,
        state.held,
        state.remind_at,
        state.falls,
        # Without a reading no rule was judged yet: the first one judges them all as new.
        context.rules if state.last is not None else None,
    )


def _rest_and_resume(sitting: EvaluationBuilder) -> None:
    """Let the episodes of rules that were taken out rest, and those of rules that came back go on, judged at once."""
    if not sitting.edited:
        return
    configured = {*own.OWN, *(rule.id for rule in sitting.context.rules)}
    for rule, memory in tuple(sitting.rules.items()):
        if memory.episode is not None and rule not in configured:
            sitting.record(replace(memory.episode, closed_at=sitting.now, closed_why="the rule was taken out"))
            sitting.remember(rule, replace(memory, episode=None, resting=memory.episode))
        elif memory.resting is not None and rule in configured:
            sitting.record(memory.resting)
            sitting.remember(rule, replace(memory, episode=memory.resting, resting=None, judged=""))


def _judge_edits(sitting: EvaluationBuilder) -> None:
    """Judge rules that are new or have other numbers at once, against the last reading."""
    last = sitting.state.last
    if last is None:
        return
    view = RuleView(sitting.state, last, sitting.context)
    for rule in sitting.context.rules:
        if isinstance(rule, Stale):
            continue
        memory = sitting.memory(rule.id)
        if memory.judged != fingerprint(rule):
            _judge_rule(sitting, rule, view, edited=True)
        elif memory.episode is not None and memory.episode.severity is not rule.severity:
            _rebased(sitting, rule, KINDS[type(rule)], memory, UNKNOWN)


def _remind(sitting: EvaluationBuilder) -> None:
    for name, every in own.REMINDED.items():
        memory = sitting.memory(name)
        if memory.episode is not None and reminder_due(memory.episode, every, sitting.now):
            _remind_unless_muted(sitting, name, memory.episode)
    last = sitting.state.last
    for rule in sitting.context.rules:
        memory = sitting.memory(rule.id)
        if memory.episode is None or not reminder_due(memory.episode, rule.remind_every, sitting.now):
            continue
        if isinstance(rule, Stale):
            _remind_unless_muted(sitting, rule.id, memory.episode)
        elif last is not None and KINDS[type(rule)].reminds:
            _remind_rule(sitting, rule, memory, RuleView(sitting.state, last, sitting.context))


def _remind_unless_muted(sitting: EvaluationBuilder, rule: str, episode: Episode) -> None:
    if sitting.is_muted(rule):
        sitting.decide(rule, "muted: no reminder", episode)
    else:
        own.remind(sitting, rule, episode)


def _remind_rule(sitting: EvaluationBuilder, rule: RuleSpec, memory: RuleMemory, view: RuleView) -> None:
    kind, episode = KINDS[type(rule)], memory.episode
    assert episode is not None
    assert episode.told_type is not None
    if sitting.is_muted(rule.id):
        sitting.decide(rule.id, "muted: no reminder", episode)
    elif kind.waits_for_topup and (standing := view.topup()).under_way:
        sitting.decide(rule.id, f"no reminder: a top-up is under way ({standing.state})", episode)
    else:
        verdict = kind.look(rule, view)
        if verdict.standing is Standing.CLEAR:
            sitting.decide(rule.id, "no reminder: clear by now, the next reading ends it", episode)
            return
        verdict = replace(verdict, step=memory.told.step)
        _tell(sitting, rule, kind, view, Notification(episode.told_type, episode, verdict, reminder=True))
        reminded = replace(episode, told_at=sitting.now)
        sitting.record(reminded)
        sitting.remember(rule.id, replace(memory, episode=reminded))


def _next_reminder(sitting: EvaluationBuilder) -> datetime | None:
    """Return the earliest instant at which an open episode is told again."""
    every = dict(own.REMINDED)
    for rule in sitting.context.rules:
        if rule.remind_every is not None and (isinstance(rule, Stale) or KINDS[type(rule)].reminds):
            every[rule.id] = rule.remind_every
    due = [
        memory.episode.told_at + every[rule]
        for rule, memory in sitting.rules.items()
        if memory.episode is not None and memory.episode.told_at is not None and rule in every
    ]
    first = min(due, default=None)
    if first is None or first > sitting.now:
        return first
    # Due and yet not told (a mute, a top-up under way): looked at again in a while, not at every beat. What is said in
    # between does not put that off.
    again, kept = sitting.now + REMINDER_AGAIN, sitting.state.remind_at
    return again if kept is None or kept <= sitting.now else min(again, kept)
