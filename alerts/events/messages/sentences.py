"""What is said of each event: title, what happened, what follows or is to be done, and the command to type. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from alerts.events.messages.event_fields import DASH, EventFields

MessageParts = tuple[str, str, str, str]
"""Title, sentence, next, command."""


def sentence(text: str) -> str:
    """Return `text` with a capital at its beginning and a stop at its end."""
    text = text.strip()
    return text if not text else text[0].upper() + text[1:] + ("" if text[-1] in ".!?" else ".")


def _burn(f: EventFields) -> str:
    if f.days("days_remaining") == DASH:
        return ""
    return f" At {f.usd('burn_usd_per_day')} a day it lasts {f.days('days_remaining')} days."


def _topup_next(f: EventFields) -> str:
    topup = f.data.get("topup")
    state = topup.get("state") if isinstance(topup, Mapping) else None
    reason = f.prose(topup.get("reason")) if isinstance(topup, Mapping) else ""
    if state not in (None, "none"):
        return sentence(f"the top-up is {f.topup('topup')}")
    if not reason or "configured" in reason:
        return sentence(f"{reason or 'no top-up is configured'}: add credit by hand")
    return sentence(reason)


def _measured(f: EventFields) -> tuple[str, str]:
    """The amount that the rule compares, and what it is."""
    if f.data.get("measure") == "balance":
        return f.usd("balance_usd"), "the balance"
    return f.usd("available_usd"), "available"


def balance_low(f: EventFields, account: str) -> MessageParts:
    amount, what = _measured(f)
    return (
        f"{account}: balance low, {amount} left",
        f"{amount} is {what}, below the threshold of {f.usd('threshold_usd')}.{_burn(f)}",
        _topup_next(f),
        "brimful status",
    )


def balance_recovered(f: EventFields, account: str) -> MessageParts:
    amount, what = _measured(f)
    return (
        f"{account}: balance is fine again",
        f"{amount} is {what}, above the threshold of {f.usd('threshold_usd')}.{_burn(f)}",
        "Nothing needs to be done.",
        "",
    )


def balance_depleted(f: EventFields, account: str) -> MessageParts:
    return (
        f"{account}: balance used up",
        f"{f.usd('available_usd')} is available: the service pauses until credit is added.",
        _topup_next(f),
        "brimful status",
    )


def runway_short(f: EventFields, account: str) -> MessageParts:
    return (
        f"{account}: {f.days('days_remaining')} days left",
        f"At the present burn of {f.usd('burn_usd_per_day')} a day, {f.usd('available_usd')} runs out "
        f"{f.span('runs_out_at')}.",
        _topup_next(f),
        "brimful status",
    )


def runway_recovered(f: EventFields, account: str) -> MessageParts:
    return (
        f"{account}: runway is long enough again",
        f"The available {f.usd('available_usd')} lasts {f.days('days_remaining')} days.",
        "Nothing needs to be done.",
        "",
    )


def quota_high(f: EventFields, account: str) -> MessageParts:
    full = f.span("full_at")
    return (
        f"{account}: quota at {f.percent('percent')}",
        f"{f.gb('effective_gb')} of {f.gb('limit_gb')} is used or reserved."
        + (f" At the present pace it is full {full}." if full != DASH else ""),
        "At the limit new jobs are refused. Ask the provider for a larger quota, or slow down.",
        f"brimful history {account} --since 30d",
    )


def quota_exceeded(f: EventFields, account: str) -> MessageParts:
    return (
        f"{account}: quota exceeded",
        f"{f.gb('effective_gb')} of {f.gb('limit_gb')} is used or reserved: new jobs are refused.",
        "Ask the provider for a larger quota; deleting files does not lower what counts.",
        f"brimful history {account} --since 30d",
    )


def quota_recovered(f: EventFields, account: str) -> MessageParts:
    return (
        f"{account}: quota is fine again",
        f"{f.gb('effective_gb')} of {f.gb('limit_gb')} is used or reserved.",
        "Nothing needs to be done.",
        "",
    )


def _budget_amounts(f: EventFields) -> tuple[str, str]:
    in_usd = f.usd("limit_usd") != DASH
    spent = f.usd("spent_usd") if in_usd else f.gb("spent_gb") if f.gb("spent_gb") != DASH else f.gb("used_gb")
    return spent, f.usd("limit_usd") if in_usd else f.gb("limit_gb")


def budget_reached(f: EventFields, account: str) -> MessageParts:
    spent, limit = _budget_amounts(f)
    return (
        f"{account}: {f.percent('percent')} of the budget is spent",
        f"{spent} of {limit} is spent in the period from {f.at('period_start')} to {f.at('period_end')}.",
        "Each step is told once a period. Spending goes on: a budget stops nothing.",
        f"brimful history {account} --since 30d",
    )


def budget_projected(f: EventFields, account: str) -> MessageParts:
    spent, limit = _budget_amounts(f)
    projected = f.usd("projected_usd") if f.usd("projected_usd") != DASH else f.gb("projected_gb")
    return (
        f"{account}: heading for {projected}, above the budget",
        f"{spent} is spent so far; by {f.at('period_end')} it will be about {projected}, above the limit of {limit}.",
        "Told once a period. Slow down, or raise the limit in the configuration.",
        f"brimful history {account} --since 30d",
    )


def usage_spike(f: EventFields, account: str) -> MessageParts:
    return (
        f"{account}: usage far above its usual",
        f"It burns {f.usd('burn_usd_per_day')} a day; {f.usd('usual_usd_per_day')} is usual.",
        "If nobody meant it, find out which job does it.",
        f"brimful history {account} --since 7d",
    )


def usage_spike_ended(f: EventFields, account: str) -> MessageParts:
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
    "too_large": "The answer is far longer than it should be: look at base_url in the configuration.",
    "stale": "No poll brought a good reading for that long: look at the daemon's log.",
}


def reading_unavailable(f: EventFields, account: str) -> MessageParts:
    reason = f.text("reason")
    return (
        f"{account}: no reading ({reason.replace('_', ' ')})",
        sentence(f"the usage API gives no usable answer: {f.text('detail') if f.text('detail') != DASH else reason}"),
        _READING_NEXT.get(reason, "It usually passes by itself.")
        + " Meanwhile every rule keeps its last state and nothing is charged.",
        "brimful check --online",
    )


def reading_restored(f: EventFields, account: str) -> MessageParts:
    return (f"{account}: readings are back", "The usage API answers again.", "Nothing needs to be done.", "")


def reading_suspect(f: EventFields, account: str) -> MessageParts:
    return (
        f"{account}: a reading that cannot be right",
        sentence(f"the usage API said something implausible: {f.text('detail')}"),
        "A second reading agrees: the counter began anew, and spend goes on from there."
        if f.data.get("confirmed") is True
        else "No rule judges it and nothing is charged on it until a second reading agrees.",
        f"brimful history {account} --since 1d",
    )


def billing_error(f: EventFields, account: str) -> MessageParts:
    return (
        f"{account}: the provider reports a billing error",
        sentence(f"it says: {f.text('billing_error')}"),
        "Look at the provider's billing page: service may stop.",
        "",
    )


def billing_restored(f: EventFields, account: str) -> MessageParts:
    return (
        f"{account}: billing is fine again",
        "The provider's billing error is gone.",
        "Nothing needs to be done.",
        "",
    )


def limits_changed(f: EventFields, account: str) -> MessageParts:
    change = f.change("changes")
    return (
        f"{account}: the provider changed its limits or price",
        f"Changed: {change}." if change != DASH else "A limit or the unit price changed.",
        "Check that thresholds and budgets still fit.",
        "brimful backtest --since 30d --advise",
    )


def _why(f: EventFields) -> str:
    return f.text("message") if f.text("message") != DASH else f.text("reason").replace("_", " ")


_CODE = re.compile(r"^[a-z]+(?:_[a-z]+)+(?=: )")
"""A bank's code before its message."""


def _spaced(code: re.Match[str]) -> str:
    return code[0].replace("_", " ")


def topup_planned(f: EventFields, account: str) -> MessageParts:
    return (
        f"{account}: a top-up of {f.usd('amount_usd')} is planned",
        f"{f.usd('available_usd')} is available, so {f.usd('amount_usd')} is being charged.",
        "The outcome follows.",
        "brimful topups",
    )


def topup_succeeded(f: EventFields, account: str) -> MessageParts:
    return (
        f"{account}: {f.usd('amount_usd')} charged",
        f"The card was charged {f.usd('amount_usd')} (payment {f.text('payment_intent')}).",
        "The credit is watched for in the balance; you will be told if it does not come.",
        "brimful topups",
    )


def topup_credited(f: EventFields, account: str) -> MessageParts:
    return (
        f"{account}: the top-up is in the balance",
        f"The {f.usd('amount_usd')} that were charged are credited.",
        "Nothing needs to be done.",
        "",
    )


def topup_declined(f: EventFields, account: str) -> MessageParts:
    return (
        f"{account}: the card was declined",
        sentence(f"the charge of {f.usd('amount_usd')} was declined: {f.text('message')}"),
        "Replace the card or its limit at Stripe.",
        "brimful topups",
    )


def topup_action_required(f: EventFields, account: str) -> MessageParts:
    return (
        f"{account}: the bank wants the card holder",
        f"The charge of {f.usd('amount_usd')} needs the card holder's confirmation, which nobody could give.",
        "Save the card at Stripe for payments without the holder, or pay by hand.",
        "brimful topups",
    )


def topup_suspended(f: EventFields, account: str) -> MessageParts:
    return (
        f"{account}: top-ups are suspended",
        sentence(f"nothing more is charged for this account: {_CODE.sub(_spaced, _why(f))}"),
        "Put right what is named, then let it go on.",
        f"brimful topups resume {account}",
    )


def topup_not_credited(f: EventFields, account: str) -> MessageParts:
    return (
        f"{account}: charged, but not credited",
        f"{f.usd('amount_usd')} was charged, and its credit is not confirmed in the balance yet.",
        "Ask the provider with the payment's number. Nothing further is charged meanwhile.",
        "brimful topups",
    )


def topup_needs_review(f: EventFields, account: str) -> MessageParts:
    return (
        f"{account}: a top-up needs a person",
        sentence(f"the charge of {f.usd('amount_usd')} is stuck: {_why(f)}" if f.data.get("amount_usd") else _why(f)),
        "Look at the payment at Stripe, then acknowledge it.",
        "brimful topups",
    )


def topup_capped(f: EventFields, account: str) -> MessageParts:
    return (
        f"{account}: a top-up is held back by its cap",
        sentence(f"the balance is below its threshold, but a cap allows no further charge: {_why(f)}"),
        "Raise the cap in the configuration, or wait.",
        "brimful topups",
    )


def delivery_failing(f: EventFields, account: str) -> MessageParts:
    return (
        f"{f.text('receiver')} is not being reached",
        sentence(f"the receiver {f.text('receiver')} fails: {f.text('last_error')}"),
        "Its events wait, and are tried again by themselves.",
        f"brimful deliveries --receiver {f.text('receiver')}",
    )


def delivery_recovered(f: EventFields, account: str) -> MessageParts:
    return (
        f"{f.text('receiver')} is reached again",
        f"The receiver {f.text('receiver')} takes events again; what waited goes out now.",
        "Nothing needs to be done.",
        "",
    )


def report_failed(f: EventFields, account: str) -> MessageParts:
    return (
        f"The report {f.text('report')} of {f.text('period')} cannot be made",
        sentence(f.text("message")),
        f.text("action"),
        f.text("command"),
    )


def test_ping(f: EventFields, account: str) -> MessageParts:
    return ("Test message", "Somebody asked Brimful to send a test. It arrived.", "Nothing needs to be done.", "")
