"""What a person is told of each event: a title, what happened, the numbers, and what happens next or is to be done.

Every event type has its words here; mails and chats lay the same words out. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from zoneinfo import ZoneInfo

from alerts.events import Event, EventType, Severity
from alerts.words import sentences
from alerts.words.figures import Figure, Figures, show_moment
from alerts.words.sentences import Words, sentence


class Tone(StrEnum):
    """How a message looks: good news, a fact, something to watch, something to act on."""

    GOOD = "good"
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Wording:
    """One event in words. `next` says what follows by itself or what a person does; `command` is what they type."""

    title: str
    sentence: str
    next: str
    command: str
    figures: tuple[Figure, ...]
    tone: Tone
    at: str
    type: str
    account: str
    event_id: str


def word(event: Event, zone: ZoneInfo) -> Wording:
    """Return the words for an event, times in `zone` with its name."""
    data = json.loads(event.body)["data"]
    figures = Figures(data, zone)
    account = event.account or ""
    title, said, then, command = _WORDS[event.type](figures, account)
    if data.get("reminder") is True:
        title = f"Still: {title}"
    typed = data.get("command")
    if isinstance(action := data.get("action"), str) and action:
        then, command = (sentence(action), command) if typed else _split_action(action, command)
    if isinstance(typed, str) and typed:
        command = typed
    return Wording(
        title=title,
        sentence=said,
        next=then,
        command=command,
        figures=tuple(figures.rows()),
        tone=_tone(event),
        at=show_moment(event.at, zone),
        type=event.type.value,
        account=account,
        event_id=event.id,
    )


def _split_action(action: str, command: str) -> tuple[str, str]:
    """Return the sentence and the command of an action such as ``do this: `command` ``, which names its command alone.

    Where the event names its command apart, what stands in backticks is a word of the sentence.
    """
    before, tick, rest = action.partition("`")
    if not tick:
        return sentence(action), command
    quoted, _, after = rest.partition("`")
    return sentence(before.rstrip(": ") + after), quoted


def _tone(event: Event) -> Tone:
    if event.type in _GOOD:
        return Tone.GOOD
    if event.type in _FACTS:
        return Tone.INFO
    return Tone.CRITICAL if event.severity is Severity.CRITICAL or event.type in _ACT_NOW else Tone.WARNING


_GOOD = frozenset(
    {
        EventType.BALANCE_RECOVERED,
        EventType.RUNWAY_RECOVERED,
        EventType.QUOTA_RECOVERED,
        EventType.USAGE_SPIKE_ENDED,
        EventType.READING_RESTORED,
        EventType.BILLING_RESTORED,
        EventType.TOPUP_SUCCEEDED,
        EventType.TOPUP_CREDITED,
        EventType.DELIVERY_RECOVERED,
    }
)
_FACTS = frozenset({EventType.LIMITS_CHANGED, EventType.TOPUP_PLANNED, EventType.TEST_PING})
_ACT_NOW = frozenset(
    {
        EventType.BALANCE_DEPLETED,
        EventType.QUOTA_EXCEEDED,
        EventType.TOPUP_SUSPENDED,
        EventType.TOPUP_ACTION_REQUIRED,
        EventType.TOPUP_NEEDS_REVIEW,
    }
)


_WORDS: dict[EventType, Callable[[Figures, str], Words]] = {
    EventType.BALANCE_LOW: sentences.balance_low,
    EventType.BALANCE_RECOVERED: sentences.balance_recovered,
    EventType.BALANCE_DEPLETED: sentences.balance_depleted,
    EventType.RUNWAY_SHORT: sentences.runway_short,
    EventType.RUNWAY_RECOVERED: sentences.runway_recovered,
    EventType.QUOTA_HIGH: sentences.quota_high,
    EventType.QUOTA_EXCEEDED: sentences.quota_exceeded,
    EventType.QUOTA_RECOVERED: sentences.quota_recovered,
    EventType.BUDGET_REACHED: sentences.budget_reached,
    EventType.BUDGET_PROJECTED: sentences.budget_projected,
    EventType.USAGE_SPIKE: sentences.usage_spike,
    EventType.USAGE_SPIKE_ENDED: sentences.usage_spike_ended,
    EventType.READING_UNAVAILABLE: sentences.reading_unavailable,
    EventType.READING_RESTORED: sentences.reading_restored,
    EventType.READING_SUSPECT: sentences.reading_suspect,
    EventType.BILLING_ERROR: sentences.billing_error,
    EventType.BILLING_RESTORED: sentences.billing_restored,
    EventType.LIMITS_CHANGED: sentences.limits_changed,
    EventType.TOPUP_PLANNED: sentences.topup_planned,
    EventType.TOPUP_SUCCEEDED: sentences.topup_succeeded,
    EventType.TOPUP_CREDITED: sentences.topup_credited,
    EventType.TOPUP_DECLINED: sentences.topup_declined,
    EventType.TOPUP_ACTION_REQUIRED: sentences.topup_action_required,
    EventType.TOPUP_SUSPENDED: sentences.topup_suspended,
    EventType.TOPUP_NOT_CREDITED: sentences.topup_not_credited,
    EventType.TOPUP_NEEDS_REVIEW: sentences.topup_needs_review,
    EventType.TOPUP_CAPPED: sentences.topup_capped,
    EventType.DELIVERY_FAILING: sentences.delivery_failing,
    EventType.DELIVERY_RECOVERED: sentences.delivery_recovered,
    EventType.TEST_PING: sentences.test_ping,
}
