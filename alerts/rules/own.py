"""The account's own events: no reading, a reading that cannot be believed, billing errors, changed limits, no money.

They need no rule. Each has a rule's name all the same, so that it has episodes and can be muted.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from operator import attrgetter

from alerts.model.events import EventType, JsonValue, Severity
from alerts.model.instants import rfc3339
from alerts.model.money import show_usd, to_number
from alerts.model.readings import Known, Metrics, Reason, Unavailable
from alerts.model.reasons import FALL, STALE, AnomalyKind, Limit, SuspectReason
from alerts.model.specs import Stale
from alerts.model.values import replace
from alerts.rules.builder import EvaluationBuilder
from alerts.rules.falls import Falls
from alerts.rules.numbers import burn_numbers, money, money_numbers, topup_numbers
from alerts.rules.plausibility import Anomaly, Finding
from alerts.rules.stale import is_stale
from alerts.rules.state import Episode, Outage
from alerts.rules.view import Payload, RuleView

READING, SUSPECT, BILLING = "account:reading", "account:suspect", "account:billing"
LIMITS, BALANCE, CREDITS = "account:limits", "account:balance", "account:credits"
OWN = (READING, SUSPECT, BILLING, LIMITS, BALANCE, CREDITS)
REMIND_EVERY = timedelta(hours=24)
REMINDED = {READING: REMIND_EVERY, BILLING: REMIND_EVERY}
"""Own episodes that are told again; the others are told once."""
POLLS_BEFORE_TOLD = 3
"""Transient failures alert after so many consecutive polls."""
QUIET = timedelta(hours=1)
"""After so long of plausible readings the suspect episode ends; a later fault opens a new one."""
_WIRE = {
    "total_charged_microusd": "total_charged_usd",
    "balance_microusd": "balance_usd",
    "available_microusd": "available_usd",
    "used_microgb": "used_gb",
    "effective_microgb": "effective_gb",
    "limit_microgb": "limit_gb",
    "period_used_microgb": "current_period_usage_gb",
}
_MOVES = {AnomalyKind.BACKWARDS: "ran backwards", AnomalyKind.DROP: "dropped", AnomalyKind.JUMP: "jumped"}
_SUSPECT_REASONS = {
    AnomalyKind.BACKWARDS: SuspectReason.COUNTER_BACKWARDS,
    AnomalyKind.DROP: SuspectReason.IMPLAUSIBLE_DROP,
    AnomalyKind.JUMP: SuspectReason.IMPLAUSIBLE_JUMP,
}
_LIMITS = (
    (Limit.QUOTA, "limit_microgb"),
    (Limit.RESOLUTION, "max_resolution"),
    (Limit.DURATION, "max_duration_s"),
    (Limit.FILESIZE_BYTES, "max_filesize_bytes"),
    (Limit.FILESIZE_MB, "max_filesize_microunits_mb"),
    (Limit.PRICE, "cost_per_snapshot_microusd"),
)
_limits = attrgetter(*(field for _, field in _LIMITS))


# ── no reading ──────────────────────────────────────────────────────────────────────────────────────────────────────


def unavailable(sitting: EvaluationBuilder, reading: Unavailable) -> None:
    """Tell at once what needs a person, after three polls what passes by itself, and once."""
    past = sitting.state.outage
    outage = Outage(
        since=reading.at if past is None else past.since,
        polls=1 if past is None else past.polls + 1,
        reason=reading.reason,
        detail=reading.detail,
        last_at=reading.at,
    )
    sitting.state = replace(sitting.state, outage=outage)
    memory, reason = sitting.memory(READING), reading.reason
    why = f"no reading: {reason.value}{f' ({reading.detail})' if reading.detail else ''}"
    if memory.episode is not None:
        needs_person_now = Reason(memory.told.words).passes_by_itself and not reason.passes_by_itself
        if needs_person_now:
            numbers = _outage_numbers(sitting, outage, reason.value)
            sitting.tell_again(READING, EventType.READING_UNAVAILABLE, why, numbers, at=reading.at, words=reason.value)
        else:
            sitting.decide(READING, f"still unavailable ({reason.value}): already told", memory.episode)
        return
    if reason.passes_by_itself and outage.polls < POLLS_BEFORE_TOLD:
        sitting.decide(READING, f"{reason.value} passes by itself: told after {POLLS_BEFORE_TOLD} polls in a row")
        return
    if reason.passes_by_itself and (silent := _open_stale(sitting)):
        sitting.decide(READING, f"already told as stale by the rule {silent[0].rule}", silent[0])
        return
    numbers = _outage_numbers(sitting, outage, reason.value)
    severity = Severity.WARNING if reason.passes_by_itself else Severity.CRITICAL
    sitting.open(READING, severity, EventType.READING_UNAVAILABLE, why, numbers, at=reading.at, words=reason.value)


def available(sitting: EvaluationBuilder, known: Known) -> None:
    """A believed reading ends the outage, told or not, and every episode of silence."""
    outage = sitting.state.outage
    if outage is not None:
        sitting.state = replace(sitting.state, outage=None)
    if (episode := sitting.memory(READING).episode) is not None:
        numbers = _restored_numbers(episode, known.at, sitting.memory(READING).told.words, outage)
        sitting.close(READING, EventType.READING_RESTORED, "read again", numbers, at=known.at)
    elif outage is not None:
        sitting.decide(READING, f"{outage.reason.value} passed by itself before it was told")
    for silent in _open_stale(sitting):
        numbers = _restored_numbers(silent, known.at, STALE, outage)
        sitting.close(silent.rule, EventType.READING_RESTORED, "read again", numbers, at=known.at)


def silence(sitting: EvaluationBuilder, rule: Stale, *, read: bool) -> None:
    """Tell that there was no good reading for too long, unless that was told already (recorded with polls only)."""
    if sitting.memory(rule.id).episode is not None or not is_stale(rule, sitting.state.last, sitting.context):
        return
    if (told := sitting.memory(READING).episode) is not None:
        if not read:
            return
        sitting.decide(rule.id, "already told as unavailable", told)
        return
    last = sitting.state.last
    since = "ever" if last is None else f"since {rfc3339(last.at)}"
    why = f"no good reading {since}"
    numbers = _outage_numbers(sitting, sitting.state.outage, STALE, why)
    sitting.open(rule.id, rule.severity, EventType.READING_UNAVAILABLE, why, numbers, at=sitting.now)


def remind(sitting: EvaluationBuilder, rule: str, episode: Episode) -> None:
    """Tell an own episode (or one of silence) again."""
    state = sitting.state
    if rule == BILLING:
        known = state.last
        assert known is not None
        numbers: Payload = {"billing_error": sitting.memory(BILLING).told.words}
        observed_at = known.at
    else:
        outage = state.outage
        numbers = _outage_numbers(sitting, outage, sitting.memory(rule).told.words or STALE, episode.why)
        observed_at = sitting.now if outage is None else outage.last_at
    assert episode.told_type is not None
    sitting.tell(episode.told_type, episode, numbers, at=sitting.now, observed_at=observed_at, reminder=True)
    reminded = replace(episode, told_at=sitting.now)
    sitting.record(reminded)
    sitting.remember(rule, replace(sitting.memory(rule), episode=reminded))


def _open_stale(sitting: EvaluationBuilder) -> list[Episode]:
    found = []
    for rule in sitting.context.rules:
        if isinstance(rule, Stale) and (episode := sitting.memory(rule.id).episode) is not None:
            found.append(episode)
    return found


def _outage_numbers(sitting: EvaluationBuilder, outage: Outage | None, reason: str, detail: str = "") -> Payload:
    last = sitting.state.last
    return {
        "reason": reason,
        "detail": detail if outage is None else outage.detail,
        "polls": 0 if outage is None else outage.polls,
        "since": None if outage is None else rfc3339(outage.since),
        "last_good_at": None if last is None else rfc3339(last.at),
    }


def _restored_numbers(episode: Episode, at: datetime, reason: str, outage: Outage | None) -> Payload:
    since = episode.opened_at if outage is None else outage.since
    return {
        "reason": reason,
        "since": rfc3339(since),
        "unavailable_s": max((at - since) // timedelta(seconds=1), 0),
        "polls": 0 if outage is None else outage.polls,
    }


# ── a reading that cannot be believed ───────────────────────────────────────────────────────────────────────────────


def suspect(sitting: EvaluationBuilder, doubt: Anomaly, known: Known, *, confirmed: bool) -> None:
    """Tell what cannot be believed: a confirmed reset always, another fault once until the source is plain again."""
    findings: list[JsonValue] = [
        {
            "field": _WIRE.get(finding.field, finding.field),
            "kind": finding.kind.value,
            "before": to_number(finding.before) if finding.field in _WIRE else finding.before,
            "after": to_number(finding.after) if finding.field in _WIRE else finding.after,
        }
        for finding in doubt.findings
    ]
    first = doubt.findings[0]
    why = f"{_described(first)}{', confirmed by a second read' if confirmed else ''}"
    numbers: Payload = {
        "reason": _SUSPECT_REASONS[first.kind].value,
        "detail": why,
        "confirmed": confirmed,
        "findings": findings,
    }
    memory = sitting.memory(SUSPECT)
    if confirmed:
        if memory.episode is not None:
            sitting.close(SUSPECT, None, "confirmed by a second read", at=known.at)
        sitting.open(SUSPECT, Severity.WARNING, EventType.READING_SUSPECT, why, numbers, at=known.at)
        sitting.close(SUSPECT, None, "confirmed: counted on from the new base", at=known.at)
        return
    if memory.episode is not None:
        sitting.decide(SUSPECT, "the source is still suspect: already told", memory.episode)
    else:
        sitting.open(SUSPECT, Severity.WARNING, EventType.READING_SUSPECT, why, numbers, at=known.at)
    sitting.remember(SUSPECT, replace(sitting.memory(SUSPECT), quiet_until=known.at + QUIET))


def undecided(sitting: EvaluationBuilder, doubt: Anomaly, known: Known) -> None:
    """Neither believe nor tell a doubted reading whose second read failed; told where that goes on."""
    polls = sitting.memory(SUSPECT).breaches + 1
    sitting.remember(SUSPECT, replace(sitting.memory(SUSPECT), breaches=polls))
    if polls < POLLS_BEFORE_TOLD:
        sitting.decide(SUSPECT, "implausible, and the second read failed: looked at again with the next poll")
    else:
        suspect(sitting, doubt, known, confirmed=False)


def fallen(sitting: EvaluationBuilder, before: Falls, known: Known, *, told: bool, topped_up: bool) -> None:
    """Tell once that less shows than was ever credited, which usage cannot do, until it shows again or is accepted.

    Only of an account that is topped up: nothing is charged meanwhile. `told`: the same fault was told as a reset.
    """
    falls, memory = sitting.state.falls, sitting.memory(CREDITS)
    funded = known.metrics.funded_microusd
    if falls.fallen_since is None:
        if memory.episode is not None:
            sitting.close(CREDITS, None, "all that was credited shows again, or the fall was accepted", at=known.at)
        return
    if before.fallen_since is not None or not topped_up or funded is None:
        return
    assert falls.funded_microusd is not None, "there is nothing to fall from"
    missing = falls.funded_microusd - funded
    why = (
        f"{show_usd(missing, 0)} of {show_usd(falls.funded_microusd, 0)} ever credited do not show any more: usage "
        f"cannot lower that; nothing is charged until it shows again or `brimful topups accept {sitting.state.account}`"
    )
    numbers: Payload = {
        "reason": SuspectReason.CREDITS_FELL.value,
        "detail": why,
        "confirmed": False,
        "findings": [
            {
                "field": "funded_usd",
                "kind": FALL,
                "before": to_number(falls.funded_microusd),
                "after": to_number(funded),
            }
        ],
    }
    if told:
        sitting.decide(CREDITS, "told as a counter that ran backwards")
    else:
        sitting.open(CREDITS, Severity.WARNING, EventType.READING_SUSPECT, why, numbers, at=known.at)


def _described(finding: Finding) -> str:
    name = _WIRE.get(finding.field)
    before, after = (number if name is None else to_number(number) for number in (finding.before, finding.after))
    return f"{name or finding.field} {_MOVES[finding.kind]} from {before} to {after}"


def plain(sitting: EvaluationBuilder, known: Known) -> None:
    """A believed reading ends a suspect episode once the source was plain for a while."""
    memory = sitting.memory(SUSPECT)
    if memory.breaches:
        memory = replace(memory, breaches=0)
        sitting.remember(SUSPECT, memory)
    if memory.episode is not None and (memory.quiet_until is None or known.at >= memory.quiet_until):
        sitting.close(SUSPECT, None, "plain for an hour", at=known.at)


# ── what the provider says of the account ───────────────────────────────────────────────────────────────────────────


def billing(sitting: EvaluationBuilder, known: Known) -> None:
    """Tell a billing error, again where its words change, and its end."""
    error, memory = known.metrics.billing_error, sitting.memory(BILLING)
    if error:
        numbers: Payload = {"billing_error": error}
        why = f"the provider reports: {error}"
        if memory.episode is None:
            sitting.open(BILLING, Severity.CRITICAL, EventType.BILLING_ERROR, why, numbers, at=known.at, words=error)
        elif memory.told.words != error:
            sitting.tell_again(BILLING, EventType.BILLING_ERROR, why, numbers, at=known.at, words=error)
        else:
            sitting.decide(BILLING, "the same billing error: already told", memory.episode)
    elif memory.episode is not None and not known.metrics.is_unusable("billing_error"):
        was: Payload = {"billing_error": memory.told.words}
        sitting.close(BILLING, EventType.BILLING_RESTORED, "no billing error any more", was, at=known.at)


def limits(sitting: EvaluationBuilder, before: Metrics | None, known: Known) -> None:
    """Tell every limit and price that is another than at the last believed reading; null where there is none.

    One that was said and could not be used, then or now, is not compared.
    """
    if before is None or _limits(before) == _limits(known.metrics):
        return
    changes: list[JsonValue] = []
    for wire, field in _LIMITS:
        old, new = getattr(before, field), getattr(known.metrics, field)
        if before.is_unusable(field) or known.metrics.is_unusable(field):
            continue
        if old != new and not (wire is Limit.FILESIZE_MB and _bytes_said(before, known.metrics)):
            changes.append({"limit": wire.value, "old": _limit_number(field, old), "new": _limit_number(field, new)})
    if not changes:
        return
    why = "; ".join(f"{c['limit']}: {_said(c['old'])} → {_said(c['new'])}" for c in changes if isinstance(c, dict))
    sitting.open(LIMITS, Severity.INFO, EventType.LIMITS_CHANGED, why, {"changes": changes}, at=known.at)
    sitting.close(LIMITS, None, "told", at=known.at)


def depleted(sitting: EvaluationBuilder, view: RuleView) -> None:
    """Tell once that nothing is left, until the available balance is positive again."""
    available, episode = view.available_microusd, sitting.memory(BALANCE).episode
    if available is None:
        return
    at = view.known.at
    if available <= 0 and episode is None:
        numbers: Payload = {
            **money_numbers(view),
            "threshold_usd": 0,
            **burn_numbers(view),
            "topup": topup_numbers(view),
        }
        why = f"available is {show_usd(available, 0)}: the service pauses"
        sitting.open(BALANCE, Severity.CRITICAL, EventType.BALANCE_DEPLETED, why, numbers, at=at)
    elif available <= 0:
        sitting.decide(BALANCE, "still nothing left: already told", episode)
    elif episode is not None:
        sitting.close(BALANCE, None, f"available is {show_usd(available, 0)}", at=at)


def _bytes_said(before: Metrics, after: Metrics) -> bool:
    return before.max_filesize_bytes is not None or after.max_filesize_bytes is not None


def _limit_number(field: str, value: int | str | None) -> JsonValue:
    return money(value) if isinstance(value, int) and "micro" in field else value


def _said(value: JsonValue) -> str:
    return "none" if value is None else str(value)
