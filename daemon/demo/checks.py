"""The checks of the demo: they compare its results with the stand-ins' records of what really happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

from alerts.events.catalogue import CATALOGUE
from alerts.model.events import EventType
from alerts.model.money import from_cents
from alerts.reports.facts import ReportFacts
from daemon.demo.drive import Month
from daemon.demo.scenario import CARD_REPLACED_AT, OUTAGE_FROM, OUTAGE_TO, PREPAID
from daemon.demo.timeline import Timeline
from daemon.store import ledger_reads, reports
from daemon.store.connection import Connection
from daemon.store.topup_rows import State


@dataclass(frozen=True, slots=True)
class DemoCheck:
    """One check: what it claims, whether it passed, and its numbers."""

    says: str
    passed: bool
    numbers: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """The input of the checks."""

    month: Month
    timeline: Timeline
    conn: Connection
    facts: ReportFacts | None
    """The facts of the finance report; None before its month is over."""


def check_all(evidence: Evidence) -> list[DemoCheck]:
    """Return the result of every check."""
    checks: tuple[Callable[[Evidence], Iterator[DemoCheck]], ...] = (
        _charged_once_for_each_need,
        _credited_in_full,
        _declined_then_replaced,
        _nothing_during_the_outage,
        _webhooks,
        _alternation,
        _quota_steps,
        _budget_of_the_month,
        _finance,
    )
    return [result for check in checks for result in check(evidence)]


def _charged_once_for_each_need(evidence: Evidence) -> Iterator[DemoCheck]:
    """Every charge had its own need: a reading below the threshold, after the previous charge was credited."""
    stripe = evidence.month.world.stripe
    for account in PREPAID:
        charges = stripe.successes(account)
        topups = [t for t in ledger_reads.of_account(evidence.conn, account) if t.paid_at is not None]
        intents = [charge.intent for charge in charges]
        needs = [t for t in topups if (t.available_microusd or 0) < (t.threshold_microusd or 0)]
        in_turn = all(
            before.credited_at is not None and before.credited_at <= after.planned_at
            for before, after in pairwise(topups)
        )
        yield DemoCheck(
            f"{account}: one card charge for each need, never a second",
            bool(charges)
            and in_turn
            and len(needs) == len(charges)
            and sorted(intents) == sorted(t.payment_intent or "" for t in topups),
            f"{len(needs)} needs, {len(charges)} charges",
        )


def _credited_in_full(evidence: Evidence) -> Iterator[DemoCheck]:
    topups = [t for account in PREPAID for t in ledger_reads.of_account(evidence.conn, account) if t.paid_at]
    credited = [t for t in topups if t.state is State.CREDITED]
    events = _count(evidence, EventType.TOPUP_CREDITED)
    yield DemoCheck(
        "every charge was seen in the balance, and notified",
        0 < len(credited) == len(topups) == events == _count(evidence, EventType.TOPUP_SUCCEEDED),
        f"{len(credited)} of {len(topups)}",
    )


def _declined_then_replaced(evidence: Evidence) -> Iterator[DemoCheck]:
    stripe = evidence.month.world.stripe
    tried = [c for c in stripe.books.charges if c.metadata.get("account") == "search"]
    refused = [c for c in tried if not c.succeeded]
    after = [c for c in tried if c.succeeded and c.at >= CARD_REPLACED_AT]
    early = [c for c in tried if c.succeeded and c.at < CARD_REPLACED_AT]
    yield DemoCheck(
        "a declined card is tried once, a person is notified, its replacement is charged",
        len(refused) == 1 and bool(after) and not early and _count(evidence, EventType.TOPUP_DECLINED) == 1,
        f"{len(refused)} refused, {len(after)} paid after",
    )


def _nothing_during_the_outage(evidence: Evidence) -> Iterator[DemoCheck]:
    charges = [c for c in evidence.month.world.stripe.successes() if OUTAGE_FROM <= c.at < OUTAGE_TO]
    gone, back = _count(evidence, EventType.READING_UNAVAILABLE), _count(evidence, EventType.READING_RESTORED)
    lost = [
        line
        for line in evidence.timeline.lines
        if OUTAGE_FROM < line.at < OUTAGE_TO
        and line.account in PREPAID
        and line.type.startswith("balance.")
        and not line.reminder
    ]
    yield DemoCheck(
        "an outage is notified once per account, changes no alert, charges nothing",
        not charges and not lost and gone == back == len(PREPAID),
        f"{(OUTAGE_TO - OUTAGE_FROM) // timedelta(hours=1)} hours, {gone} notified, {back} restored",
    )


def _webhooks(evidence: Evidence) -> Iterator[DemoCheck]:
    timeline = evidence.timeline
    yield DemoCheck(
        "every webhook verifies with the standardwebhooks library",
        timeline.requests > 0 and timeline.verified == timeline.requests,
        f"{timeline.verified} of {timeline.requests}",
    )
    committed = reports.event_ids(evidence.conn)
    states = reports.deliveries_by_state(evidence.conn)
    arrived = {identity for identity, _, _ in timeline.payloads}
    yield DemoCheck(
        "every event arrived, at the receiver and by mail",
        arrived == committed and set(states) == {"delivered"},
        f"{len(arrived)} of {len(committed)} events, {sum(states.values())} deliveries",
    )
    numbers: dict[str, list[int]] = {}
    for _, _, data in timeline.payloads:
        if isinstance(sequence := data.get("sequence"), int):
            numbers.setdefault(str(data["account"]), []).append(sequence)
    yield DemoCheck(
        "each account's events are numbered without gap or repeat",
        bool(numbers) and all(sorted(taken) == list(range(1, len(taken) + 1)) for taken in numbers.values()),
        ", ".join(f"{account} 1–{len(taken)}" for account, taken in sorted(numbers.items())),
    )


_OPENS = {type: CATALOGUE[type].ended_by for type in (EventType.BALANCE_LOW, EventType.USAGE_SPIKE)}


def _alternation(evidence: Evidence) -> Iterator[DemoCheck]:
    """Opening and closing events alternate for each rule and account; reminders do not count."""
    turns: dict[tuple[object, object], list[bool]] = {}
    for _, kind, data in evidence.timeline.payloads:
        if data.get("reminder") is True:
            continue
        if kind in _OPENS or kind in _OPENS.values():
            turns.setdefault((data["account"], data["rule"]), []).append(kind in _OPENS)
    alternate = all(turn is (n % 2 == 0) for taken in turns.values() for n, turn in enumerate(taken))
    lows = _count(evidence, EventType.BALANCE_LOW)
    yield DemoCheck(
        "each low balance and each spike is notified once, and its end once",
        bool(turns) and alternate,
        f"{lows} low, {_count(evidence, EventType.BALANCE_RECOVERED)} recovered",
    )


def _quota_steps(evidence: Evidence) -> Iterator[DemoCheck]:
    steps = [
        data.get("step_percent")
        for _, kind, data in evidence.timeline.payloads
        if kind in (EventType.QUOTA_HIGH, EventType.QUOTA_EXCEEDED) and data.get("reminder") is not True
    ]
    yield DemoCheck(
        "the filling storage is notified at 80, 90 and 100 %, each once",
        steps == [80, 90, 100],
        ", ".join(f"{step} %" for step in steps),
    )


def _budget_of_the_month(evidence: Evidence) -> Iterator[DemoCheck]:
    """All three steps in October, none of them in November."""
    reached = [data for _, kind, data in evidence.timeline.payloads if kind is EventType.BUDGET_REACHED]
    steps = [data.get("step_percent") for data in reached]
    periods = {data.get("period_start") for data in reached}
    yield DemoCheck(
        "the month's budget is notified at 50, 80 and 100 %, and the next month begins at zero",
        steps == [50, 80, 100] and len(periods) == 1,
        ", ".join(f"{step} %" for step in steps),
    )


def _finance(evidence: Evidence) -> Iterator[DemoCheck]:
    mails = [k for k in evidence.month.world.mailbox.kept if "finance@example.com" in k.to]
    if evidence.facts is None:
        return
    statements = evidence.facts.statements
    money = [s.figures for s in statements if s.figures is not None]
    stripe = evidence.month.world.stripe
    start, end = evidence.facts.span.start, evidence.facts.span.end
    charged = sum(from_cents(c.amount) for c in stripe.successes() if start <= c.at < end)
    credited = sum(c.amount_microusd for m in money for c in m.credits if c.charge is not None)
    transit = sum(c.amount_microusd for s in statements for c in s.on_the_way)
    balanced = not any(s.issues for s in statements) and all(c.charge for m in money for c in m.credits)
    partial = any(s.partial for s in statements)
    yield DemoCheck(
        "finance has one report of the month, balanced to the cent against the card",
        len(mails) == 1 and bool(money) and balanced and not partial and charged == credited + transit,
        f"{len(mails)} mail, {len(money)} statements",
    )


def _count(evidence: Evidence, kind: EventType) -> int:
    return Counter(sent for _, sent, data in evidence.timeline.payloads if data.get("reminder") is not True)[kind]
