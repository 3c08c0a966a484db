"""What is said of each event: headline, what happened, what Brimful does, what a person does and types. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from alerts.events.messages.event_fields import DASH, EventFields
from alerts.model.money import format_usd, to_micro
from alerts.model.reasons import CAP_WINDOWS

NOTHING = "Nothing needs to be done."
HOW_IT_ENDED = "Another message says how it ended."


class MessageParts(NamedTuple):
    """`headline` follows the account's name. `does`: what Brimful did or will do; `next` and `command`: the reader."""

    headline: str
    sentence: str
    does: str = ""
    next: str = NOTHING
    command: str = ""


def sentence(text: str) -> str:
    """Return `text` with a capital at its beginning and a stop at its end."""
    text = text.strip()
    return text if not text else text[0].upper() + text[1:] + ("" if text[-1] in ".!?" else ".")


def _history(account: str, since: str = "30d") -> str:
    return f"brimful history {account} --since {since}"


def _lasts(f: EventFields) -> str:
    if f.days("days_remaining") == DASH or f.usd("burn_usd_per_day") == DASH:
        return ""
    return f" At {f.usd('burn_usd_per_day')} a day it lasts {f.days('days_remaining')} days."


_STANDS_STILL = frozenset({"suspended", "paused", "needs_review", "capped", "held_back"})
_ADD_CREDIT = "Add credit by hand."


def _help(f: EventFields, account: str) -> tuple[str, str, str]:
    """What Brimful does about a low balance, what a person does, and the command."""
    topup = f.data.get("topup")
    said: Mapping[str, object] = topup if isinstance(topup, Mapping) else {}
    state, reason = str(said.get("state") or "none"), f.prose(said.get("reason"))
    if state == "none" and f.account.topup is not None:
        return _will_charge(f), NOTHING, ""
    if state == "none" and (not reason or "configured" in reason):
        return "Nothing: no top-up is configured for this account.", _ADD_CREDIT, "brimful status"
    if state == "none":
        return "Whether the card is charged is decided after this reading.", NOTHING, ""
    if state in ("off", "shadow"):
        return f"Nothing is charged: the mode of the top-up is {state}.", _ADD_CREDIT, "brimful status"
    does = sentence(f"the top-up is {state.replace('_', ' ')}{f': {reason}' if reason else ''}")
    if state in _STANDS_STILL:
        return does, f"{_ADD_CREDIT} The command says what holds the charge back.", f"brimful topups explain {account}"
    return does, NOTHING, ""


def _will_charge(f: EventFields) -> str:
    terms = f.account.topup
    assert terms is not None
    available, below = f.data.get("available_usd"), format_usd(terms.below_microusd)
    if available is not None and to_micro(available) < terms.below_microusd:
        return f"Brimful will charge {terms.size}, as less than {below} is available. {HOW_IT_ENDED}"
    return f"Brimful will charge {terms.size} when less than {below} is available."


def _measured(f: EventFields) -> tuple[str, str]:
    """The amount that the rule compares, and what it is."""
    if f.data.get("measure") == "balance":
        return f.usd("balance_usd"), "the balance"
    return f.usd("available_usd"), "available"


def balance_low(f: EventFields, account: str) -> MessageParts:
    amount, what = _measured(f)
    said = f"{amount} is {what}, below the threshold of {f.usd('threshold_usd')}.{_lasts(f)}"
    return MessageParts(f"balance low, {amount} left", said, *_help(f, account))


def balance_recovered(f: EventFields, account: str) -> MessageParts:
    amount, what = _measured(f)
    said = f"{amount} is {what}, above the threshold of {f.usd('threshold_usd')}.{_lasts(f)}"
    return MessageParts(f"balance fine again, {amount} left", said)


def balance_depleted(f: EventFields, account: str) -> MessageParts:
    return MessageParts(
        f"balance used up, {f.usd('available_usd')} left",
        f"{f.usd('available_usd')} is available: the provider serves nothing more until credit is added.",
        *_help(f, account),
    )


def runway_short(f: EventFields, account: str) -> MessageParts:
    return MessageParts(
        f"{f.days('days_remaining')} days left",
        f"At {f.usd('burn_usd_per_day')} a day, the available {f.usd('available_usd')} runs out "
        f"about {f.likely('runs_out_at')}.",
        *_help(f, account),
    )


def runway_recovered(f: EventFields, account: str) -> MessageParts:
    return MessageParts(
        f"{f.days('days_remaining')} days left again",
        f"At {f.usd('burn_usd_per_day')} a day, the available {f.usd('available_usd')} lasts "
        f"{f.days('days_remaining')} days.",
    )


def _quota_used(f: EventFields) -> str:
    return f"{f.gb('effective_gb')} of {f.gb('limit_gb')} is used or reserved."


def quota_high(f: EventFields, account: str) -> MessageParts:
    full = f.likely("full_at")
    return MessageParts(
        f"quota at {f.percent('percent')}",
        _quota_used(f) + (f" At the present pace it is full about {full}." if full != DASH else ""),
        next="Ask the provider for a larger quota, or slow down: at the limit new jobs are refused.",
        command=_history(account),
    )


def quota_exceeded(f: EventFields, account: str) -> MessageParts:
    return MessageParts(
        f"quota exceeded, at {f.percent('percent')}",
        f"{_quota_used(f)} New jobs are refused.",
        next="Ask the provider for a larger quota. Deleting files does not lower what counts.",
        command=_history(account),
    )


def quota_recovered(f: EventFields, account: str) -> MessageParts:
    return MessageParts(f"quota fine again, at {f.percent('percent')}", _quota_used(f))


def _budget_amount(f: EventFields, kind: str) -> str:
    """An amount of a budget, in the unit in which its limit is."""
    in_usd = f.usd("limit_usd") != DASH
    if kind == "spent" and not in_usd and f.gb("spent_gb") == DASH:
        return f.gb("used_gb")
    return f.usd(f"{kind}_usd") if in_usd else f.gb(f"{kind}_gb")


def _of_budget(f: EventFields) -> str:
    period = f.text("period")
    return "the budget" if period == DASH else f"the {period}{' period' if period == 'billing' else ''}'s budget"


_STOPS_NOTHING = (
    "A budget stops nothing: spending and top-ups go on.",
    "Slow down, or raise the limit in the configuration.",
)


def budget_reached(f: EventFields, account: str) -> MessageParts:
    spent, limit = _budget_amount(f, "spent"), _budget_amount(f, "limit")
    return MessageParts(
        f"{f.percent('percent')} of {_of_budget(f)} spent, {spent}",
        f"{spent} of {limit} is spent in the period from {f.at('period_start')} to {f.at('period_end')}.",
        *_STOPS_NOTHING,
        _history(account),
    )


def budget_projected(f: EventFields, account: str) -> MessageParts:
    spent, limit, projected = (_budget_amount(f, kind) for kind in ("spent", "limit", "projected"))
    low, high = f.usd("projected_usd_low"), f.usd("projected_usd_high")
    between = "" if DASH in (low, high) else f" (between {low} and {high})"
    return MessageParts(
        f"heading for {projected}, above {_of_budget(f)} of {limit}",
        f"{spent} is spent so far; by {f.at('period_end')} it will be about {projected}{between}.",
        *_STOPS_NOTHING,
        _history(account),
    )


def usage_spike(f: EventFields, account: str) -> MessageParts:
    return MessageParts(
        f"usage far above its usual, {f.usd('burn_usd_per_day')} a day",
        f"The last {f.number('window_hours')} hours cost {f.usd('spent_usd')}, {f.usd('burn_usd_per_day')} a day; "
        f"{f.usd('usual_usd_per_day')} a day is usual.",
        next="If nobody meant it, find out which job does it.",
        command=_history(account, "7d"),
    )


def usage_spike_ended(f: EventFields, account: str) -> MessageParts:
    burn = f.usd("burn_usd_per_day")
    return MessageParts(f"usage is usual again, {burn} a day", f"Usage costs {burn} a day.")


_READING_NEXT = {
    "unauthorized": "The key is wrong or was rotated: put the new one into the configuration.",
    "forbidden": "The key lacks permission: grant it, or use another key.",
    "payment_required": "The provider wants to be paid: look at its billing page.",
    "bad_payload": "The answer is not what its documentation says: check `base_url`, and read the provider's news.",
    "not_found": "The address is wrong: correct `base_url` in the configuration.",
    "redirected": "The address has moved: correct `base_url` in the configuration.",
    "too_large": "The answer is far longer than it should be: check `base_url` in the configuration.",
    "stale": "No poll brought a good reading for that long: read the daemon's log.",
}


def reading_unavailable(f: EventFields, account: str) -> MessageParts:
    reason = f.text("reason")
    detail = f.text("detail") if f.text("detail") != DASH else f.words("reason")
    return MessageParts(
        f"no reading since {f.at('since')} ({f.words('reason')})",
        sentence(f"the usage API gives no usable answer: {detail}"),
        "Meanwhile every rule keeps its last state, and nothing is charged.",
        _READING_NEXT.get(reason, "Nothing yet: it usually passes by itself."),
        "brimful check --online",
    )


def reading_restored(f: EventFields, account: str) -> MessageParts:
    return MessageParts(
        f"readings are back after {f.duration('unavailable_s')}",
        f"The usage API answers again. It had not since {f.at('since')}.",
        "Rules and top-ups go on with the new reading.",
    )


def reading_suspect(f: EventFields, account: str) -> MessageParts:
    found = f.findings("findings")
    return MessageParts(
        f"implausible: {found if found != DASH else f.words('reason')}",
        sentence(f"the usage API says what can hardly be: {found if found != DASH else f.text('detail')}"),
        "A second reading agrees: the counter began anew, and spend is counted on from there."
        if f.data.get("confirmed") is True
        else "No rule is evaluated and nothing is charged on it until a second reading agrees.",
        "If the provider did not change the account, ask it why.",
        _history(account, "1d"),
    )


def billing_error(f: EventFields, account: str) -> MessageParts:
    return MessageParts(
        f"billing error: {f.text('billing_error')}",
        sentence(f"the provider reports: {f.text('billing_error')}"),
        next="Put it right on the provider's billing page: it may stop serving.",
        command="brimful status",
    )


def billing_restored(f: EventFields, account: str) -> MessageParts:
    return MessageParts("billing fine again", sentence(f"the provider no longer reports: {f.text('billing_error')}"))


def limits_changed(f: EventFields, account: str) -> MessageParts:
    change = f.change("changes")
    return MessageParts(
        f"changed by the provider: {change}" if change != DASH else "a limit or price changed",
        f"The provider changed a limit or its price: {change}." if change != DASH else "A limit or the price changed.",
        next="Check that thresholds and budgets still fit.",
        command="brimful backtest --since 30d --advise",
    )


def _why(f: EventFields) -> str:
    said = f.text("message") if f.text("message") != DASH else f.words("reason")
    return _CODE.sub(lambda code: code[0].replace("_", " "), f.prose(said))


_CODE = re.compile(r"^[a-z]+(?:_[a-z]+)+(?=: )")
"""A bank's code before its message."""


def topup_planned(f: EventFields, account: str) -> MessageParts:
    return MessageParts(
        f"{f.usd('amount_usd')} is being charged",
        f"{f.usd('available_usd')} is available, so {f.usd('amount_usd')} is being charged to the card.",
        HOW_IT_ENDED,
    )


def topup_succeeded(f: EventFields, account: str) -> MessageParts:
    return MessageParts(
        f"{f.usd('amount_usd')} charged",
        f"The card was charged {f.usd('amount_usd')}, as {f.usd('available_usd')} was available.",
        "Brimful watches the balance for the credit, and tells you if it does not come.",
    )


def topup_credited(f: EventFields, account: str) -> MessageParts:
    if f.data.get("late") is True:
        headline = f"{f.usd('amount_usd')} in the balance, late"
    else:
        headline = f"{f.usd('amount_usd')} charged and in the balance"
    said = f"The {f.usd('amount_usd')} that was charged is credited"
    by = f.text("credited_by")
    return MessageParts(headline, f"{said}: {by} shows it." if by == "the balance" else f"{said}: {by} confirmed it.")


def topup_declined(f: EventFields, account: str) -> MessageParts:
    again = f.at("next_attempt_at")
    return MessageParts(
        f"charge of {f.usd('amount_usd')} declined",
        sentence(f"the bank declined {f.usd('amount_usd')}: {f.text('message')}"),
        f"The card is tried again {again}." if again != DASH else "The card is not tried again by itself.",
        command="brimful topups",
    )


def topup_action_required(f: EventFields, account: str) -> MessageParts:
    return MessageParts(
        f"charge of {f.usd('amount_usd')} needs the card holder",
        f"The bank wants the card holder to confirm {f.usd('amount_usd')}, and nobody could be asked.",
        "The charge is given up, and the card is not tried again by itself.",
        command="brimful topups",
    )


def topup_suspended(f: EventFields, account: str) -> MessageParts:
    returned = f.usd("returned_usd")
    about = returned if returned != DASH else f.usd("amount_usd")
    return MessageParts(
        f"top-ups suspended: {f.words('reason')}{f', {about}' if about != DASH else ''}",
        sentence(_why(f)),
        "Nothing more is charged for this account until that is put right.",
        command=f"brimful topups resume {account}",
    )


def topup_not_credited(f: EventFields, account: str) -> MessageParts:
    return MessageParts(
        f"{f.usd('amount_usd')} charged, but not credited",
        f"{f.usd('amount_usd')} was charged, and no reading confirms its credit yet.",
        "Nothing further is charged for this account meanwhile.",
        command="brimful topups",
    )


def topup_needs_review(f: EventFields, account: str) -> MessageParts:
    amount = f.usd("amount_usd")
    if amount == DASH:
        about = f.words("reason").partition(":")[0]
        return MessageParts(f"top-ups need you: {about}", sentence(_why(f)), command="brimful topups")
    return MessageParts(
        f"a charge of {amount} needs you",
        sentence(f"the charge of {amount} is not settled: {_why(f)}"),
        "Nothing else is charged for this account until it is.",
        command="brimful topups",
    )


def topup_capped(f: EventFields, account: str) -> MessageParts:
    window = next((words for reason, words in CAP_WINDOWS.items() if reason == f.text("reason")), "")
    cap = f"{f.usd('cap_usd')} {window}" if window and f.usd("cap_usd") != DASH else "its limit"
    needed = f.usd("needed_usd")
    return MessageParts(
        f"top-up{f' of {needed}' if needed != DASH else ''} held back by the cap of {cap}",
        sentence(f"the balance is below its threshold, but the cap allows no further charge: {_why(f)}"),
        "Brimful charges again when the cap has room.",
        command="brimful topups",
    )


def topup_limits_changed(f: EventFields, account: str) -> MessageParts:
    actor, change = f.text("actor"), f.change("changes")
    is_new = f.data.get("added") is True
    did = "added a top-up" if is_new else "changed what the top-up may charge"
    return MessageParts(
        f"top-up {'added' if is_new else 'limits changed'} by {actor}",
        f"By the API, {actor} {did}: {change}.",
        "Brimful charges within these limits from now on.",
        next="Where this was not meant, stop charging, and delete the token.",
        command=f"brimful topups pause {account}",
    )


def _waiting(f: EventFields) -> str:
    count = f.number("pending")
    return f"{count} event waits" if count == "1" else f"{count} events wait"


_FAILING = {
    "failing": "is not reached",
    "paused": "is paused after days of failures",
    "stopped": "is gone",
    "refused": "refuses an address",
    "dead": "did not take an event, which is given up",
}


def delivery_failing(f: EventFields, account: str) -> MessageParts:
    receiver = f.text("receiver")
    return MessageParts(
        f"receiver {receiver} {_FAILING.get(f.text('state'), 'is not reached')}, {_waiting(f)}",
        sentence(f"sending to {receiver} fails: {f.text('last_error')}"),
        command=f"brimful deliveries --receiver {receiver}",
    )


def delivery_recovered(f: EventFields, account: str) -> MessageParts:
    receiver = f.text("receiver")
    return MessageParts(
        f"receiver {receiver} is reached again",
        f"The receiver {receiver} takes events again. It had not since {f.at('failing_since')}.",
        f"What waited goes out now ({f.number('pending')}).",
    )


def report_failed(f: EventFields, account: str) -> MessageParts:
    return MessageParts(
        f"the report {f.text('report')} of {f.text('period')} cannot be made",
        sentence(f.text("message")),
        next=f.text("action"),
        command=f.text("command"),
    )


def test_ping(f: EventFields, account: str) -> MessageParts:
    return MessageParts("Test message", "Somebody asked Brimful to send a test. It arrived.")
