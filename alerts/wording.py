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
from alerts.figures import DASH, Figure, Figures, show_moment


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


_Words = tuple[str, str, str, str]
"""Title, sentence, next, command."""


def word(event: Event, zone: ZoneInfo) -> Wording:
    """Return the words for an event, times in `zone` with its name."""
    data = json.loads(event.body)["data"]
    figures = Figures(data, zone)
    account = event.account or ""
    title, sentence, then, command = _WORDS[event.type](figures, account)
    if data.get("reminder") is True:
        title = f"Still: {title[0].lower()}{title[1:]}"
    if isinstance(action := data.get("action"), str) and action:
        then, command = _split_action(action, command)
    return Wording(
        title=title,
        sentence=sentence,
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
    """Return the sentence and the command of an action such as ``do this: `command` ``."""
    before, tick, rest = action.partition("`")
    if not tick:
        return _sentence(action), command
    quoted, _, after = rest.partition("`")
    return _sentence(before.rstrip(": ") + after), quoted


def _sentence(text: str) -> str:
    text = text.strip()
    return text if not text else text[0].upper() + text[1:] + ("" if text[-1] in ".!?" else ".")


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


def _burn(f: Figures) -> str:
    if f.number("days_remaining") == DASH:
        return ""
    return f" At {f.usd('burn_usd_per_day')} a day it lasts {f.number('days_remaining')} days."


def _topup_next(f: Figures) -> str:
    topup = f.topup("topup")
    return f"Top-up: {topup}." if topup != DASH else "No top-up is configured: add credit by hand."


def _balance_low(f: Figures, account: str) -> _Words:
    return (
        f"{account}: balance low, {f.usd('available_usd')} left",
        f"{f.usd('available_usd')} is available, below the threshold of {f.usd('threshold_usd')}.{_burn(f)}",
        _topup_next(f),
        f"brimful afford {account} --days 7",
    )


def _balance_recovered(f: Figures, account: str) -> _Words:
    return (
        f"{account}: balance is fine again",
        f"{f.usd('available_usd')} is available, above the threshold of {f.usd('threshold_usd')}.{_burn(f)}",
        "Nothing needs to be done.",
        "",
    )


def _balance_depleted(f: Figures, account: str) -> _Words:
    return (
        f"{account}: balance used up",
        f"{f.usd('available_usd')} is available: the service pauses until credit is added.",
        _topup_next(f),
        "brimful status",
    )


def _runway_short(f: Figures, account: str) -> _Words:
    return (
        f"{account}: {f.number('days_remaining')} days left",
        f"At the present burn of {f.usd('burn_usd_per_day')} a day, {f.usd('available_usd')} runs out "
        f"{f.span('runs_out_at')}.",
        _topup_next(f),
        f"brimful afford {account} --days 7",
    )


def _runway_recovered(f: Figures, account: str) -> _Words:
    return (
        f"{account}: runway is long enough again",
        f"The available {f.usd('available_usd')} lasts {f.number('days_remaining')} days.",
        "Nothing needs to be done.",
        "",
    )


def _quota_high(f: Figures, account: str) -> _Words:
    full = f.span("full_at")
    return (
        f"{account}: quota at {f.percent('percent')}",
        f"{f.gb('effective_gb')} of {f.gb('limit_gb')} is used or reserved."
        + (f" At the present pace it is full {full}." if full != DASH else ""),
        "At the limit new jobs are refused. Ask the provider for a larger quota, or slow down.",
        f"brimful history {account} --since 30d",
    )


def _quota_exceeded(f: Figures, account: str) -> _Words:
    return (
        f"{account}: quota exceeded",
        f"{f.gb('effective_gb')} of {f.gb('limit_gb')} is used or reserved: new jobs are refused.",
        "Ask the provider for a larger quota; deleting files does not lower what counts.",
        f"brimful history {account} --since 30d",
    )


def _quota_recovered(f: Figures, account: str) -> _Words:
    return (
        f"{account}: quota is fine again",
        f"{f.gb('effective_gb')} of {f.gb('limit_gb')} is used or reserved.",
        "Nothing needs to be done.",
        "",
    )


def _budget_amounts(f: Figures) -> tuple[str, str]:
    in_usd = f.usd("limit_usd") != DASH
    spent = f.usd("spent_usd") if in_usd else f.gb("spent_gb") if f.gb("spent_gb") != DASH else f.gb("used_gb")
    return spent, f.usd("limit_usd") if in_usd else f.gb("limit_gb")


def _budget_reached(f: Figures, account: str) -> _Words:
    spent, limit = _budget_amounts(f)
    return (
        f"{account}: {f.percent('percent')} of the budget is spent",
        f"{spent} of {limit} is spent in the period from {f.at('period_start')} to {f.at('period_end')}.",
        "Each step is told once a period. Spending goes on: a budget stops nothing.",
        f"brimful history {account} --since 30d",
    )


def _budget_projected(f: Figures, account: str) -> _Words:
    spent, limit = _budget_amounts(f)
    projected = f.usd("projected_usd") if f.usd("projected_usd") != DASH else f.gb("projected_gb")
    return (
        f"{account}: heading for {projected}, above the budget",
        f"{spent} is spent so far; by {f.at('period_end')} it will be about {projected}, above the limit of {limit}.",
        "Told once a period. Slow down, or raise the limit in the configuration.",
        f"brimful history {account} --since 30d",
    )


def _usage_spike(f: Figures, account: str) -> _Words:
    return (
        f"{account}: usage far above its usual",
        f"It burns {f.usd('burn_usd_per_day')} a day; {f.usd('usual_usd_per_day')} is usual.",
        "If nobody meant it, find out which job does it.",
        f"brimful history {account} --since 7d",
    )


def _usage_spike_ended(f: Figures, account: str) -> _Words:
    return (
        f"{account}: usage is back to its usual",
        f"It burns {f.usd('burn_usd_per_day')} a day.",
        "Nothing needs to be done.",
        "",
    )


_READING_NEXT = {
    "unauthorized": "The key is wrong or was rotated: put the new one into the configuration.",
    "forbidden": "The key lacks permission: grant it, or use another key.",
    "payment_required": "The provider wants to be paid: look at its billing page.",
    "bad_payload": "The answer is not what the documentation says: look at the base URL, or at the provider's news.",
    "not_found": "The address is wrong: look at base_url in the configuration.",
    "redirected": "The address has moved: correct base_url in the configuration.",
}


def _reading_unavailable(f: Figures, account: str) -> _Words:
    reason = f.text("reason")
    return (
        f"{account}: no reading ({reason.replace('_', ' ')})",
        f"The usage API gives no usable answer: {f.text('detail') if f.text('detail') != DASH else reason}.",
        _READING_NEXT.get(reason, "It usually passes by itself.")
        + " Meanwhile every rule keeps its last state and nothing is charged.",
        "brimful check --online",
    )


def _reading_restored(f: Figures, account: str) -> _Words:
    return (f"{account}: readings are back", "The usage API answers again.", "Nothing needs to be done.", "")


def _reading_suspect(f: Figures, account: str) -> _Words:
    return (
        f"{account}: a reading that cannot be right",
        f"The usage API said something implausible: {f.text('reason').replace('_', ' ')}.",
        "No rule judges it and nothing is charged on it until a second reading agrees.",
        f"brimful history {account} --since 1d",
    )


def _billing_error(f: Figures, account: str) -> _Words:
    return (
        f"{account}: the provider reports a billing error",
        f"It says: {f.text('billing_error')}.",
        "Look at the provider's billing page: service may stop.",
        "",
    )


def _billing_restored(f: Figures, account: str) -> _Words:
    return (
        f"{account}: billing is fine again",
        "The provider's billing error is gone.",
        "Nothing needs to be done.",
        "",
    )


def _limits_changed(f: Figures, account: str) -> _Words:
    change = f.change("changes")
    return (
        f"{account}: the provider changed its limits or price",
        f"Changed: {change}." if change != DASH else "A limit or the unit price changed.",
        "Check that thresholds and budgets still fit.",
        "brimful backtest --since 30d --advise",
    )


def _topup_planned(f: Figures, account: str) -> _Words:
    return (
        f"{account}: a top-up of {f.usd('amount_usd')} is planned",
        f"{f.usd('available_usd')} is available, so {f.usd('amount_usd')} is being charged.",
        "The outcome follows.",
        "brimful topups",
    )


def _topup_succeeded(f: Figures, account: str) -> _Words:
    return (
        f"{account}: {f.usd('amount_usd')} charged",
        f"The card was charged {f.usd('amount_usd')} (payment {f.text('payment_intent')}).",
        "The credit is watched for in the balance; you will be told if it does not come.",
        "brimful topups",
    )


def _topup_credited(f: Figures, account: str) -> _Words:
    return (
        f"{account}: the top-up is in the balance",
        f"The {f.usd('amount_usd')} that were charged are credited.",
        "Nothing needs to be done.",
        "",
    )


def _topup_declined(f: Figures, account: str) -> _Words:
    return (
        f"{account}: the card was declined",
        f"The charge of {f.usd('amount_usd')} was declined: {f.text('decline_code')}.",
        "Replace the card or its limit at Stripe.",
        "brimful topups",
    )


def _topup_action_required(f: Figures, account: str) -> _Words:
    return (
        f"{account}: the bank wants the card holder",
        f"The charge of {f.usd('amount_usd')} needs the card holder's confirmation, which nobody could give.",
        "Save the card at Stripe for payments without the holder, or pay by hand.",
        "brimful topups",
    )


def _topup_suspended(f: Figures, account: str) -> _Words:
    return (
        f"{account}: top-ups are suspended",
        f"Nothing more is charged for this account: {f.text('reason')}.",
        "Put right what is named, then let it go on.",
        f"brimful topups resume {account}",
    )


def _topup_not_credited(f: Figures, account: str) -> _Words:
    return (
        f"{account}: charged, but not credited",
        f"{f.usd('amount_usd')} was charged, and the balance has not risen.",
        "Ask the provider with the payment's number. Nothing further is charged meanwhile.",
        "brimful topups",
    )


def _topup_needs_review(f: Figures, account: str) -> _Words:
    return (
        f"{account}: a top-up needs a person",
        f"What became of the charge of {f.usd('amount_usd')} cannot be told: {f.text('reason')}.",
        "Look at the payment at Stripe, then acknowledge it.",
        "brimful topups",
    )


def _topup_capped(f: Figures, account: str) -> _Words:
    return (
        f"{account}: a top-up is held back by its cap",
        f"The balance is below its threshold, but a cap allows no further charge: {f.text('reason')}.",
        "Raise the cap in the configuration, or wait.",
        "brimful topups",
    )


def _delivery_failing(f: Figures, account: str) -> _Words:
    return (
        f"{f.text('receiver')} is not being reached",
        f"The receiver {f.text('receiver')} fails: {f.text('last_error')}.",
        "Its events wait, and are tried again by themselves.",
        f"brimful deliveries --receiver {f.text('receiver')}",
    )


def _delivery_recovered(f: Figures, account: str) -> _Words:
    return (
        f"{f.text('receiver')} is reached again",
        f"The receiver {f.text('receiver')} takes events again; what waited goes out now.",
        "Nothing needs to be done.",
        "",
    )


def _test_ping(f: Figures, account: str) -> _Words:
    return ("Test message", "Somebody asked Brimful to send a test. It arrived.", "Nothing needs to be done.", "")


_WORDS: dict[EventType, Callable[[Figures, str], _Words]] = {
    EventType.BALANCE_LOW: _balance_low,
    EventType.BALANCE_RECOVERED: _balance_recovered,
    EventType.BALANCE_DEPLETED: _balance_depleted,
    EventType.RUNWAY_SHORT: _runway_short,
    EventType.RUNWAY_RECOVERED: _runway_recovered,
    EventType.QUOTA_HIGH: _quota_high,
    EventType.QUOTA_EXCEEDED: _quota_exceeded,
    EventType.QUOTA_RECOVERED: _quota_recovered,
    EventType.BUDGET_REACHED: _budget_reached,
    EventType.BUDGET_PROJECTED: _budget_projected,
    EventType.USAGE_SPIKE: _usage_spike,
    EventType.USAGE_SPIKE_ENDED: _usage_spike_ended,
    EventType.READING_UNAVAILABLE: _reading_unavailable,
    EventType.READING_RESTORED: _reading_restored,
    EventType.READING_SUSPECT: _reading_suspect,
    EventType.BILLING_ERROR: _billing_error,
    EventType.BILLING_RESTORED: _billing_restored,
    EventType.LIMITS_CHANGED: _limits_changed,
    EventType.TOPUP_PLANNED: _topup_planned,
    EventType.TOPUP_SUCCEEDED: _topup_succeeded,
    EventType.TOPUP_CREDITED: _topup_credited,
    EventType.TOPUP_DECLINED: _topup_declined,
    EventType.TOPUP_ACTION_REQUIRED: _topup_action_required,
    EventType.TOPUP_SUSPENDED: _topup_suspended,
    EventType.TOPUP_NOT_CREDITED: _topup_not_credited,
    EventType.TOPUP_NEEDS_REVIEW: _topup_needs_review,
    EventType.TOPUP_CAPPED: _topup_capped,
    EventType.DELIVERY_FAILING: _delivery_failing,
    EventType.DELIVERY_RECOVERED: _delivery_recovered,
    EventType.TEST_PING: _test_ping,
}
