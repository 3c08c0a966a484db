"""Built-in rules: no reading, an implausible reading, billing errors, changed limits, nothing left.

They apply to every account without configuration. Each has a rule name, so that it has episodes and can be muted.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from operator import attrgetter

from alerts.model.accounts import AccountInfo
from alerts.model.events import EventType, JsonValue, Severity
from alerts.model.instants import rfc3339
from alerts.model.money import show_amount, show_usd, to_number
from alerts.model.readings import Known, Metrics, Reason, Unavailable
from alerts.model.reasons import FALL, STALE, AnomalyKind, Limit, SuspectReason
from alerts.model.specs import Stale
from alerts.model.units import GB, OLDER_NAMES
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
BUILTIN = (READING, SUSPECT, BILLING, LIMITS, BALANCE, CREDITS)
REMIND_EVERY = timedelta(hours=24)
REMINDED = {READING: REMIND_EVERY, BILLING: REMIND_EVERY}
"""Built-in rules that send reminders, and how often. The others notify once an episode."""
POLLS_BEFORE_ALERT = 3
"""Transient failures alert after so many consecutive polls."""
QUIET = timedelta(hours=1)
"""After so long of plausible readings the suspect episode ends; a later fault opens a new one."""
_WIRE = {
    "total_charged_microusd": "total_charged",
    "balance_microusd": "balance",
    "available_microusd": "available",
    "used_microgb": "used",
    "effective_microgb": "effective",
    "limit_microgb": "limit",
    "period_used_microgb": "period_used",
}
_PERIOD_USED_IN_GB = "current_period_usage_gb"
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


def unavailable(builder: EvaluationBuilder, reading: Unavailable) -> None:
    """Notify of a failed poll, once an outage: a transient failure after three polls in a row, any other at once."""
    past = builder.state.outage
    outage = Outage(
        since=reading.at if past is None else past.since,
        polls=1 if past is None else past.polls + 1,
        reason=reading.reason,
        detail=reading.detail,
        last_at=reading.at,
    )
    builder.state = replace(builder.state, outage=outage)
    memory, reason = builder.memory(READING), reading.reason
    why = f"no reading: {reason.value}{f' ({reading.detail})' if reading.detail else ''}"
    if memory.episode is not None:
        needs_person_now = Reason(memory.notified.words).passes_by_itself and not reason.passes_by_itself
        if needs_person_now:
            numbers = _outage_numbers(builder, outage, reason.value)
            builder.notify_again(
                READING, EventType.READING_UNAVAILABLE, why, numbers, at=reading.at, words=reason.value
            )
        else:
            builder.decide(READING, f"still unavailable ({reason.value}): already notified", memory.episode)
        return
    if reason.passes_by_itself and outage.polls < POLLS_BEFORE_ALERT:
        builder.decide(READING, f"{reason.value} passes by itself: alerts after {POLLS_BEFORE_ALERT} polls in a row")
        return
    if reason.passes_by_itself and (silent := _open_stale(builder)):
        builder.decide(READING, f"already notified as stale by the rule {silent[0].rule}", silent[0])
        return
    numbers = _outage_numbers(builder, outage, reason.value)
    severity = Severity.WARNING if reason.passes_by_itself else Severity.CRITICAL
    builder.open(READING, severity, EventType.READING_UNAVAILABLE, why, numbers, at=reading.at, words=reason.value)


def available(builder: EvaluationBuilder, known: Known) -> None:
    """End the outage and every open `stale` episode: an accepted reading has come."""
    outage = builder.state.outage
    if outage is not None:
        builder.state = replace(builder.state, outage=None)
    if (episode := builder.memory(READING).episode) is not None:
        numbers = _restored_numbers(episode, known.at, builder.memory(READING).notified.words, outage)
        builder.close(READING, EventType.READING_RESTORED, "read again", numbers, at=known.at)
    elif outage is not None:
        builder.decide(READING, f"{outage.reason.value} passed by itself before an alert")
    for silent in _open_stale(builder):
        numbers = _restored_numbers(silent, known.at, STALE, outage)
        builder.close(silent.rule, EventType.READING_RESTORED, "read again", numbers, at=known.at)


def silence(builder: EvaluationBuilder, rule: Stale, *, read: bool) -> None:
    """Notify that the last good reading is too old, unless the outage was notified.

    `read`: called after a poll; only then the decision not to notify is recorded.
    """
    if builder.memory(rule.id).episode is not None or not is_stale(rule, builder.state.last, builder.context):
        return
    if (notified := builder.memory(READING).episode) is not None:
        if not read:
            return
        builder.decide(rule.id, "already notified as unavailable", notified)
        return
    last = builder.state.last
    since = "ever" if last is None else f"since {rfc3339(last.at)}"
    why = f"no good reading {since}"
    numbers = _outage_numbers(builder, builder.state.outage, STALE, why)
    builder.open(rule.id, rule.severity, EventType.READING_UNAVAILABLE, why, numbers, at=builder.now)


def remind(builder: EvaluationBuilder, rule: str, episode: Episode) -> None:
    """Send the reminder of an open built-in or `stale` episode."""
    state = builder.state
    if rule == BILLING:
        known = state.last
        assert known is not None
        numbers: Payload = {"billing_error": builder.memory(BILLING).notified.words}
        observed_at = known.at
    else:
        outage = state.outage
        numbers = _outage_numbers(builder, outage, builder.memory(rule).notified.words or STALE, episode.why)
        observed_at = builder.now if outage is None else outage.last_at
    assert episode.notified_type is not None
    builder.notify(episode.notified_type, episode, numbers, at=builder.now, observed_at=observed_at, reminder=True)
    reminded = replace(episode, notified_at=builder.now)
    builder.record(reminded)
    builder.remember(rule, replace(builder.memory(rule), episode=reminded))


def _open_stale(builder: EvaluationBuilder) -> list[Episode]:
    found = []
    for rule in builder.context.rules:
        if isinstance(rule, Stale) and (episode := builder.memory(rule.id).episode) is not None:
            found.append(episode)
    return found


def _outage_numbers(builder: EvaluationBuilder, outage: Outage | None, reason: str, detail: str = "") -> Payload:
    last = builder.state.last
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


# ── an implausible reading ──────────────────────────────────────────────────────────────────────────────────────────


def suspect(builder: EvaluationBuilder, anomaly: Anomaly, known: Known, *, confirmed: bool) -> None:
    """Notify of an implausible reading.

    A reset that the second read confirmed opens and ends an episode each time. Any other fault opens one episode, which
    lasts until readings were plausible for `QUIET`.
    """
    findings: list[JsonValue] = [
        {
            "field": _wire(finding.field, builder.context.info),
            "kind": finding.kind.value,
            "before": to_number(finding.before) if finding.field in _WIRE else finding.before,
            "after": to_number(finding.after) if finding.field in _WIRE else finding.after,
        }
        for finding in anomaly.findings
    ]
    first = anomaly.findings[0]
    why = f"{_described(first, builder.context.info)}{', confirmed by a second read' if confirmed else ''}"
    numbers: Payload = {
        "reason": _SUSPECT_REASONS[first.kind].value,
        "detail": why,
        "confirmed": confirmed,
        "findings": findings,
    }
    memory = builder.memory(SUSPECT)
    if confirmed:
        if memory.episode is not None:
            builder.close(SUSPECT, None, "confirmed by a second read", at=known.at)
        builder.open(SUSPECT, Severity.WARNING, EventType.READING_SUSPECT, why, numbers, at=known.at)
        builder.close(SUSPECT, None, "confirmed: counted on from the new base", at=known.at)
        return
    if memory.episode is not None:
        builder.decide(SUSPECT, "the source is still suspect: already notified", memory.episode)
    else:
        builder.open(SUSPECT, Severity.WARNING, EventType.READING_SUSPECT, why, numbers, at=known.at)
    builder.remember(SUSPECT, replace(builder.memory(SUSPECT), quiet_until=known.at + QUIET))


def undecided(builder: EvaluationBuilder, anomaly: Anomaly, known: Known) -> None:
    """Drop an implausible reading whose second read failed; notify after three such polls in a row."""
    polls = builder.memory(SUSPECT).breaches + 1
    builder.remember(SUSPECT, replace(builder.memory(SUSPECT), breaches=polls))
    if polls < POLLS_BEFORE_ALERT:
        builder.decide(SUSPECT, "implausible, and the second read failed: checked again at the next poll")
    else:
        suspect(builder, anomaly, known, confirmed=False)


def fallen(builder: EvaluationBuilder, before: Falls, known: Known, *, notified: bool, topped_up: bool) -> None:
    """Notify once that `funded` has fallen. Usage cannot lower it, so the provider may be wrong.

    The episode ends when `funded` is back or a person accepts the fall. Only for accounts with top-ups, which charge
    nothing meanwhile. `notified`: `suspect` has notified of the same fault already.
    """
    falls, memory = builder.state.falls, builder.memory(CREDITS)
    funded = known.metrics.funded_microusd
    if falls.fallen_since is None:
        if memory.episode is not None:
            builder.close(CREDITS, None, "every credit shows again, or the fall was accepted", at=known.at)
        return
    if before.fallen_since is not None or not topped_up or funded is None:
        return
    assert falls.funded_microusd is not None, "there is nothing to fall from"
    missing = falls.funded_microusd - funded
    why = (
        f"{show_usd(missing, 0)} of {show_usd(falls.funded_microusd, 0)} ever credited do not show any more: usage "
        f"cannot lower that; nothing is charged until it shows again or `brimful topups accept {builder.state.account}`"
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
    if notified:
        builder.decide(CREDITS, "notified as a counter that ran backwards")
    else:
        builder.open(CREDITS, Severity.WARNING, EventType.READING_SUSPECT, why, numbers, at=known.at)


def _wire(field: str, info: AccountInfo) -> str:
    """Return a field's name in an event: the older one where it is in dollars or gigabytes."""
    name = _WIRE.get(field)
    if name is None:
        return field
    unit = info.quota_unit if field.endswith("gb") else info.unit
    if (name, unit) == ("period_used", GB):  # as the first provider that has it calls it
        return _PERIOD_USED_IN_GB
    return OLDER_NAMES.get(unit, {}).get(name, name)


def _described(finding: Finding, info: AccountInfo) -> str:
    numbers = (finding.before, finding.after)
    before, after = map(to_number, numbers) if finding.field in _WIRE else numbers
    return f"{_wire(finding.field, info)} {_MOVES[finding.kind]} from {before} to {after}"


def plausible(builder: EvaluationBuilder, known: Known) -> None:
    """End the suspect episode once readings were plausible for `QUIET`."""
    memory = builder.memory(SUSPECT)
    if memory.breaches:
        memory = replace(memory, breaches=0)
        builder.remember(SUSPECT, memory)
    if memory.episode is not None and (memory.quiet_until is None or known.at >= memory.quiet_until):
        builder.close(SUSPECT, None, "plausible for an hour", at=known.at)


# ── what the provider reports of the account ────────────────────────────────────────────────────────────────────────


def billing(builder: EvaluationBuilder, known: Known) -> None:
    """Notify of the provider's billing error, of each change of its text, and of its end."""
    error, memory = known.metrics.billing_error, builder.memory(BILLING)
    if error:
        numbers: Payload = {"billing_error": error}
        why = f"the provider reports: {error}"
        if memory.episode is None:
            builder.open(BILLING, Severity.CRITICAL, EventType.BILLING_ERROR, why, numbers, at=known.at, words=error)
        elif memory.notified.words != error:
            builder.notify_again(BILLING, EventType.BILLING_ERROR, why, numbers, at=known.at, words=error)
        else:
            builder.decide(BILLING, "the same billing error: already notified", memory.episode)
    elif memory.episode is not None and not known.metrics.is_unusable("billing_error"):
        was: Payload = {"billing_error": memory.notified.words}
        builder.close(BILLING, EventType.BILLING_RESTORED, "no billing error any more", was, at=known.at)


def limits(builder: EvaluationBuilder, before: Metrics | None, known: Known) -> None:
    """Notify of every limit and price that differs from the last accepted reading; null means none.

    A field that could not be parsed in either reading is not compared.
    """
    if before is None or _limits(before) == _limits(known.metrics):
        return
    changes: list[JsonValue] = []
    quota_unit = builder.context.info.quota_unit
    for wire, field in _LIMITS:
        old, new = getattr(before, field), getattr(known.metrics, field)
        if before.is_unusable(field) or known.metrics.is_unusable(field):
            continue
        if old != new and not (wire is Limit.FILESIZE_MB and _bytes_said(before, known.metrics)):
            name = wire if wire is not Limit.QUOTA or quota_unit == GB else Limit.QUOTA_IN_UNIT
            change = {"limit": name.value, "old": _limit_number(field, old), "new": _limit_number(field, new)}
            changes.append(change if name is not Limit.QUOTA_IN_UNIT else {**change, "unit": quota_unit})
    if not changes:
        return
    why = "; ".join(f"{c['limit']}: {_said(c['old'])} → {_said(c['new'])}" for c in changes if isinstance(c, dict))
    builder.open(LIMITS, Severity.INFO, EventType.LIMITS_CHANGED, why, {"changes": changes}, at=known.at)
    builder.close(LIMITS, None, "notified", at=known.at)


def depleted(builder: EvaluationBuilder, view: RuleView) -> None:
    """Notify once that the available balance is zero or less; the episode ends when it is positive."""
    available, episode = view.available_microusd, builder.memory(BALANCE).episode
    if available is None:
        return
    at, unit = view.known.at, builder.context.info.unit
    if available <= 0 and episode is None:
        numbers: Payload = {
            **money_numbers(view, threshold=0),
            **burn_numbers(view),
            "topup": topup_numbers(view),
        }
        why = f"available is {show_amount(available, unit, 0)}: the service pauses"
        builder.open(BALANCE, Severity.CRITICAL, EventType.BALANCE_DEPLETED, why, numbers, at=at)
    elif available <= 0:
        builder.decide(BALANCE, "still nothing left: already notified", episode)
    elif episode is not None:
        builder.close(BALANCE, None, f"available is {show_amount(available, unit, 0)}", at=at)


def _bytes_said(before: Metrics, after: Metrics) -> bool:
    return before.max_filesize_bytes is not None or after.max_filesize_bytes is not None


def _limit_number(field: str, value: int | str | None) -> JsonValue:
    return money(value) if isinstance(value, int) and "micro" in field else value


def _said(value: JsonValue) -> str:
    return "none" if value is None else str(value)
