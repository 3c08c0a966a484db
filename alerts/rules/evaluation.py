"""Evaluation: what a reading, or time alone, changes for one account, and which events it sends. Pure.

`evaluate` takes one reading (and the second read of an implausible one), `evaluate_time` takes none. Both return the
new state, the events, the changed episodes, and every decision not to notify.
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
from alerts.rules import builtin
from alerts.rules.builder import EvaluationBuilder
from alerts.rules.episodes import ALREADY_NOTIFIED, Notification, Subject, advance, rebase, reminder_due
from alerts.rules.falls import CENT_MICROUSD, Falls, fold, learned
from alerts.rules.kinds import KINDS, RuleKind, fingerprint
from alerts.rules.plausibility import Anomaly, Finding, confirms, find_anomaly, largest_explained
from alerts.rules.stale import stale_at
from alerts.rules.state import NEW_RULE, AccountState, Decision, Episode, RuleMemory
from alerts.rules.view import UNKNOWN, Condition, Context, RuleVerdict, RuleView

__all__ = ["Context", "Evaluation", "evaluate", "evaluate_time", "next_evaluation_at"]

_IN_BREACH = Condition.BREACH
"""Looked up once: that costs more than the comparison."""
_TOTAL = "total_charged_microusd"
REMINDER_AGAIN = timedelta(minutes=5)
"""How long to wait before a reminder that was due and not sent is tried again."""


class Evaluation(Struct, frozen=True, gc=False):
    """The result for one account. Charge only by `accepted`; `evaluated` is the reading as recorded."""

    state: AccountState
    drafts: tuple[EventDraft, ...]
    episodes: tuple[Episode, ...]
    decisions: tuple[Decision, ...]
    accepted: Known | None
    evaluated: Reading | None
    changes: bool
    """Whether there is anything to commit."""

    @property
    def recorded(self) -> Reading:
        """The reading as history stores it: an implausible one is `Unavailable`. Only after `evaluate`."""
        assert self.evaluated is not None
        return self.evaluated


def evaluate(state: AccountState, reading: Reading, second: Reading | None, context: Context) -> Evaluation:
    """Evaluate one reading. `second`: the read made at once because `find_anomaly` found the first implausible."""
    builder = EvaluationBuilder(state, context)
    builder.release()
    _suspend_and_resume(builder)
    recorded, accepted, anomaly = _accept(builder, reading, second)
    if accepted is not None:
        _apply_reading(builder, accepted, anomaly)
    elif isinstance(recorded, Unavailable) and recorded.reason is not Reason.SUSPECT:
        builtin.unavailable(builder, recorded)
    return _conclude(builder, recorded, accepted, read=True)


def evaluate_time(state: AccountState, context: Context) -> Evaluation:
    """Evaluate what changes without a reading: `stale` rules, reminders, ended mutes and periods, edited rules."""
    due_at = next_evaluation_at(state, context)
    if due_at is None or due_at > context.now:
        return Evaluation(state, (), (), (), None, None, changes=False)
    builder = EvaluationBuilder(state, context)
    builder.release()
    _suspend_and_resume(builder)
    return _conclude(builder, None, None, read=False)


def _accept(
    builder: EvaluationBuilder, reading: Reading, second: Reading | None
) -> tuple[Reading, Known | None, Anomaly | None]:
    """Return the reading to record, the accepted one, and the anomaly that the second read confirmed."""
    if isinstance(reading, Unavailable):
        return reading, None, None
    anomaly = find_anomaly(builder.state, reading)
    if anomaly is None:
        return reading, reading, None
    if isinstance(second, Known) and confirms(anomaly, second) and _follows(builder.state, reading, second):
        drop = _unexplained(anomaly, builder.state, second)
        if anomaly.resets or (drop is not None and _is_topped_up(builder)):
            builtin.suspect(builder, anomaly, second, confirmed=True)
        else:
            builder.decide(builtin.SUSPECT, "implausible, but the second read agrees: accepted")
        return second, second, anomaly
    if isinstance(second, Known):
        builtin.suspect(builder, anomaly, reading, confirmed=False)
        if find_anomaly(builder.state, second) is None:
            return second, second, None
    else:
        builtin.undecided(builder, anomaly, reading)
    first = anomaly.findings[0]
    detail = f"{first.field} {first.kind.value}: {first.before} then {first.after}"
    return Unavailable(reading.account, reading.at, Reason.SUSPECT, detail), None, None


def _follows(state: AccountState, reading: Known, second: Known) -> bool:
    """Whether the second read is plausible right after the first. If not, one of the two is wrong."""
    return find_anomaly(replace(state, last=reading), second) is None


def _is_topped_up(builder: EvaluationBuilder) -> bool:
    return builder.context.topup(builder.state.account) is not None


def _apply_reading(builder: EvaluationBuilder, known: Known, anomaly: Anomaly | None) -> None:
    """Store the accepted reading in the state, then evaluate every rule by it."""
    state, metrics, context = builder.state, known.metrics, builder.context
    zone = context.zone
    before = None if state.last is None else state.last.metrics
    resets: frozenset[str] = anomaly.resets if anomaly is not None else frozenset()
    drop = _unexplained(anomaly, state, known)
    falls = fold(
        state.falls,
        known,
        drop,
        accepted_at=context.accepted.get(state.account) if context.accepted else None,
        accepted_after=context.info.believe_falls_after,
    )
    resets = _real_resets(builder, falls, metrics, resets)
    if state.spend is None:
        spend = SpendMemory.begin(known.at, metrics, zone)
    else:
        uncertain = falls.dropped_at is not None or falls.fallen_since is not None
        spend = state.spend.fold(known.at, metrics, zone, resets, uncertain=uncertain)
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
    builder.state = AccountState(
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
        notified = anomaly is not None and bool(anomaly.resets)
        builtin.fallen(builder, state.falls, known, notified=notified, topped_up=_is_topped_up(builder))
    builtin.available(builder, known)
    builtin.plausible(builder, known)
    builtin.limits(builder, before, known)
    builtin.billing(builder, known)
    view = RuleView(builder.state, known, context)
    builtin.depleted(builder, view)
    edited = builder.edited
    for rule in context.rules:
        if not isinstance(rule, Stale):
            _evaluate_rule(builder, rule, view, edited=edited)


def _unexplained(anomaly: Anomaly | None, state: AccountState, known: Known) -> Finding | None:
    """Return the part of the drop that neither burn nor a lower `funded` explains, or None.

    Where `funded` fell too, that much was not spent: either the provider took it back or the last reading was too high.
    """
    drop, last = None if anomaly is None else anomaly.drop, state.last
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


def _real_resets(builder: EvaluationBuilder, falls: Falls, metrics: Metrics, resets: frozenset[str]) -> frozenset[str]:
    """Return the counter resets to apply: that of the charged total only after a person accepted a fallen `funded`.

    Until then it may be the provider's mistake, and the whole total would count as spent once it is back. Without
    top-ups nobody is asked, so the reset applies at once.
    """
    before, spend = builder.state.falls, builder.state.spend
    if falls.fallen_since is not None and _is_topped_up(builder):
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


def _evaluate_rule(builder: EvaluationBuilder, rule: RuleSpec, view: RuleView, *, edited: bool) -> None:
    kind = KINDS[type(rule)]
    verdict = kind.evaluate(rule, view)
    memory = builder.memory(rule.id)
    if edited:
        memory = _rebased(builder, rule, kind, memory, verdict)
    elif verdict.period_start == memory.period_start:
        # Fast path for the most frequent cases: no breach, or a breach that was notified already.
        if memory.episode is None:
            if verdict.condition is not _IN_BREACH and not memory.breaches:
                return
        elif verdict.condition is _IN_BREACH and not kind.news(rule, verdict, memory.notified):
            builder.decide(rule.id, ALREADY_NOTIFIED, memory.episode)
            return
    _advance(builder, rule, kind, memory, verdict, view)


def _rebased(
    builder: EvaluationBuilder, rule: RuleSpec, kind: RuleKind, memory: RuleMemory, verdict: RuleVerdict
) -> RuleMemory:
    """Return the memory adapted to the edited rule. A rule that changed its kind starts with an empty one."""
    written = fingerprint(rule)
    if memory.rule_fingerprint == written and (memory.episode is None or memory.episode.severity is rule.severity):
        return memory
    if memory.episode is not None and memory.episode.kind != kind.name:
        builder.record(replace(memory.episode, closed_at=builder.now, closed_why="the rule is of another kind now"))
        memory = NEW_RULE
    memory = rebase(memory, verdict, rule.severity, written)
    if memory.episode is not None:
        builder.record(memory.episode)
    builder.remember(rule.id, memory)
    return memory


def _advance(
    builder: EvaluationBuilder, rule: RuleSpec, kind: RuleKind, memory: RuleMemory, verdict: RuleVerdict, view: RuleView
) -> None:
    subject = Subject(builder.state.account, rule.id, kind.name, rule.severity, rule.for_readings, kind.ended)
    moved = advance(
        subject,
        memory,
        verdict,
        partial(kind.news, rule),
        why=partial(kind.why, rule, view),
        new_id=builder.context.new_id,
        now=view.known.at,
    )
    changed = moved.memory
    if moved.ended is not None:
        builder.record(moved.ended)
    for reason in moved.reasons:
        builder.decide(rule.id, reason, changed.episode)
    notified = [_notify(builder, rule, kind, view, notification) for notification in moved.notifications]
    if changed.episode is not None and notified:
        notified_at = (
            builder.now if all(notified) else (memory.episode.notified_at if memory.episode is not None else None)
        )
        changed = replace(changed, episode=replace(changed.episode, notified_at=notified_at))
        assert changed.episode is not None
        builder.record(changed.episode)
    if changed is not memory:
        builder.remember(rule.id, changed)


def _notify(
    builder: EvaluationBuilder, rule: RuleSpec, kind: RuleKind, view: RuleView, notification: Notification
) -> bool:
    return builder.notify(
        notification.type,
        notification.episode,
        kind.numbers(rule, view, notification.verdict),
        at=builder.now if notification.reminder else view.known.at,
        observed_at=view.known.at,
        reminder=notification.reminder,
        only_receiver=rule.only_receiver,
    )


# ── what time alone changes ─────────────────────────────────────────────────────────────────────────────────────────


def next_evaluation_at(state: AccountState, context: Context) -> datetime | None:
    """Return the earliest instant at which time alone may change something; None where only a reading can.

    If it is past, call `evaluate_time`. It stays valid until somebody ends a mute early.
    """
    if state.evaluated_by is not context.rules and state.last is not None:
        return context.now
    earliest = state.remind_at
    for draft in state.held:
        at = context.mutes.get(draft.rule or "", context.now)
        if earliest is None or at < earliest:
            earliest = at
    if builtin.READING in state.rules and state.rules[builtin.READING].episode is not None:
        return earliest  # a failed poll was notified: no `stale` event follows
    for rule in context.rules:
        if isinstance(rule, Stale) and ((memory := state.rules.get(rule.id)) is None or memory.episode is None):
            at = stale_at(rule, state.last, context)
            if earliest is None or at < earliest:
                earliest = at
    return earliest


def _conclude(
    builder: EvaluationBuilder, recorded: Reading | None, accepted: Known | None, *, read: bool
) -> Evaluation:
    context, edited = builder.context, builder.edited
    if accepted is None:
        builder.state = _evaluated_by(builder.state, context)
        if edited:
            _evaluate_edits(builder)
    for rule in context.rules:
        if isinstance(rule, Stale):
            builtin.silence(builder, rule, read=read)
    remind_at = builder.state.remind_at
    if remind_at is not None and remind_at <= builder.now:
        _remind(builder)
        remind_at = _next_reminder(builder)
    elif edited or builder.remembers:
        remind_at = _next_reminder(builder)
    dirty = builder.dirty or remind_at != builder.state.remind_at
    return Evaluation(
        builder.finish(remind_at),
        tuple(builder.drafts),
        tuple(builder.episodes.values()),
        tuple(builder.decisions),
        accepted,
        recorded,
        changes=read or dirty,
    )


def _evaluated_by(state: AccountState, context: Context) -> AccountState:
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
        # Before the first reading no rule was evaluated: leave it unset, so that the first reading evaluates all.
        context.rules if state.last is not None else None,
    )


def _suspend_and_resume(builder: EvaluationBuilder) -> None:
    """Suspend the episodes of rules removed from the configuration; reopen those of rules that are back."""
    if not builder.edited:
        return
    configured = {*builtin.BUILTIN, *(rule.id for rule in builder.context.rules)}
    for rule, memory in tuple(builder.rules.items()):
        if memory.episode is not None and rule not in configured:
            builder.record(replace(memory.episode, closed_at=builder.now, closed_why="the rule was removed"))
            builder.remember(rule, replace(memory, episode=None, suspended=memory.episode))
        elif memory.suspended is not None and rule in configured:
            builder.record(memory.suspended)
            builder.remember(rule, replace(memory, episode=memory.suspended, suspended=None, rule_fingerprint=""))


def _evaluate_edits(builder: EvaluationBuilder) -> None:
    """Evaluate new and edited rules against the last reading, without waiting for the next one."""
    last = builder.state.last
    if last is None:
        return
    view = RuleView(builder.state, last, builder.context)
    for rule in builder.context.rules:
        if isinstance(rule, Stale):
            continue
        memory = builder.memory(rule.id)
        if memory.rule_fingerprint != fingerprint(rule):
            _evaluate_rule(builder, rule, view, edited=True)
        elif memory.episode is not None and memory.episode.severity is not rule.severity:
            _rebased(builder, rule, KINDS[type(rule)], memory, UNKNOWN)


def _remind(builder: EvaluationBuilder) -> None:
    for name, every in builtin.REMINDED.items():
        memory = builder.memory(name)
        if memory.episode is not None and reminder_due(memory.episode, every, builder.now):
            _remind_unless_muted(builder, name, memory.episode)
    last = builder.state.last
    for rule in builder.context.rules:
        memory = builder.memory(rule.id)
        if memory.episode is None or not reminder_due(memory.episode, rule.remind_every, builder.now):
            continue
        if isinstance(rule, Stale):
            _remind_unless_muted(builder, rule.id, memory.episode)
        elif last is not None and KINDS[type(rule)].reminds:
            _remind_rule(builder, rule, memory, RuleView(builder.state, last, builder.context))


def _remind_unless_muted(builder: EvaluationBuilder, rule: str, episode: Episode) -> None:
    if builder.is_muted(rule):
        builder.decide(rule, "muted: no reminder", episode)
    else:
        builtin.remind(builder, rule, episode)


def _remind_rule(builder: EvaluationBuilder, rule: RuleSpec, memory: RuleMemory, view: RuleView) -> None:
    kind, episode = KINDS[type(rule)], memory.episode
    assert episode is not None
    assert episode.notified_type is not None
    if builder.is_muted(rule.id):
        builder.decide(rule.id, "muted: no reminder", episode)
    elif kind.waits_for_topup and (topup := view.topup()).under_way:
        builder.decide(rule.id, f"no reminder: a top-up is under way ({topup.state})", episode)
    else:
        verdict = kind.evaluate(rule, view)
        if verdict.condition is Condition.CLEAR:
            builder.decide(rule.id, "no reminder: clear by now, the next reading ends it", episode)
            return
        verdict = replace(verdict, step=memory.notified.step)
        _notify(builder, rule, kind, view, Notification(episode.notified_type, episode, verdict, reminder=True))
        reminded = replace(episode, notified_at=builder.now)
        builder.record(reminded)
        builder.remember(rule.id, replace(memory, episode=reminded))


def _next_reminder(builder: EvaluationBuilder) -> datetime | None:
    """Return when the next reminder of an open episode is due."""
    every = dict(builtin.REMINDED)
    for rule in builder.context.rules:
        if rule.remind_every is not None and (isinstance(rule, Stale) or KINDS[type(rule)].reminds):
            every[rule.id] = rule.remind_every
    due = [
        memory.episode.notified_at + every[rule]
        for rule, memory in builder.rules.items()
        if memory.episode is not None and memory.episode.notified_at is not None and rule in every
    ]
    first = min(due, default=None)
    if first is None or first > builder.now:
        return first
    # Due and not sent (muted, or a top-up is under way): try again in REMINDER_AGAIN, not at every tick. Events sent
    # meanwhile do not delay that.
    again, kept = builder.now + REMINDER_AGAIN, builder.state.remind_at
    return again if kept is None or kept <= builder.now else min(again, kept)
