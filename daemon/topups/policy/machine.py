"""The machine: `decide` is the only place where a top-up's state changes. Pure: a table of states and facts.

Nothing is sent that was not committed before, and nothing is trusted but the PaymentIntent as it is read back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from daemon.store.topup_rows import State
from daemon.stripe.intents import Listing
from daemon.topups.policy.builder import Builder
from daemon.topups.policy.credit_watch import acknowledge_late, acknowledge_paid, credit_by_reading, watch_credit
from daemon.topups.policy.proceeding import acknowledge_review, by_intent, not_read, read_again_or_back, read_back
from daemon.topups.policy.requests import answered, create, find_created, second_listing
from daemon.topups.policy.step import (
    Acknowledged,
    Answer,
    Fact,
    Intent,
    ListIntents,
    Need,
    NotRead,
    Reading,
    Snapshot,
    Step,
    Time,
)


def _nothing_was_sent(b: Builder, fact: Time) -> None:
    b.to(State.ABANDONED, "nothing was sent")


def _list(b: Builder, fact: Time) -> None:
    b.command = ListIntents()


# ── the table ───────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Rule:
    """What a fact does in a state, and the states that it may lead to."""

    act: Callable[[Builder, Any], None]
    leads_to: frozenset[State] = frozenset()


def _rule(act: Callable[[Builder, Any], None], *leads_to: State) -> Rule:
    return Rule(act, frozenset(leads_to))


_S = State
_LIVE = (_S.PAID, _S.PROCESSING, _S.RETRY_WAIT, _S.ACTION_REQUIRED, _S.NEEDS_REVIEW)
_ENDS = (_S.ABANDONED, _S.DECLINED)
_UNKNOWN = _rule(not_read, _S.NEEDS_REVIEW)
_OPEN: Mapping[type[Any], Rule] = {
    Reading: _rule(read_again_or_back),
    Time: _rule(read_back),
    Intent: _rule(by_intent, *_LIVE, *_ENDS),
    NotRead: _UNKNOWN,
    Answer: _rule(answered),
}
_ASIDE = {fact: rule for fact, rule in _OPEN.items() if fact is not Reading}
"""What waits for a person, or for its cancel: a reading says nothing of it."""
_TRIED = {**_OPEN, Listing: _rule(second_listing, _S.CONFIRMING, _S.NEEDS_REVIEW)}
_ENDED: Mapping[type[Any], Rule] = {
    Time: _rule(read_back),
    Intent: _rule(by_intent, _S.CREATED, *_LIVE),
    NotRead: _rule(not_read),
}

TABLE: Mapping[State, Mapping[type[Any], Rule]] = {
    _S.PLANNED: {Need: _rule(create, _S.CREATING, _S.ABANDONED), Time: _rule(_nothing_was_sent, _S.ABANDONED)},
    _S.CREATING: {
        Time: _rule(_list),
        Listing: _rule(find_created, _S.CREATED, _S.NEEDS_REVIEW, _S.ABANDONED),
        NotRead: _rule(not_read),
        Answer: _rule(answered, _S.CREATED, _S.NEEDS_REVIEW, *_ENDS),
        Intent: _rule(by_intent, _S.CREATED, *_LIVE, *_ENDS),
    },
    _S.CREATED: _TRIED,
    _S.CONFIRMING: _TRIED,
    _S.PROCESSING: _OPEN,
    _S.RETRY_WAIT: _TRIED,
    _S.ACTION_REQUIRED: {**_ASIDE, Intent: _rule(by_intent, _S.PAID, _S.PROCESSING, _S.NEEDS_REVIEW, *_ENDS)},
    _S.NEEDS_REVIEW: {
        **_ASIDE,
        Intent: _rule(by_intent, _S.PAID, _S.PROCESSING, *_ENDS),
        Acknowledged: _rule(acknowledge_review, _S.PAID, *_ENDS),
    },
    _S.PAID: {
        Reading: _rule(credit_by_reading, _S.CREDITED),
        Time: _rule(watch_credit),
        Acknowledged: _rule(acknowledge_paid, _S.CREDITED),
    },
    _S.CREDITED: {Acknowledged: _rule(acknowledge_late)},
    _S.ABANDONED: _ENDED,
    _S.DECLINED: _ENDED,
}
"""What each fact does in each state. A fact that is not here changes nothing."""


def decide(snapshot: Snapshot, fact: Fact, now: datetime) -> Step:
    """Return what follows from a fact: the row's next versions, changes and events, and what to send then."""
    rule = TABLE[snapshot.topup.state].get(type(fact))
    if rule is None:
        return Step(())
    builder = Builder(snapshot, now)
    rule.act(builder, fact)
    step = builder.step()
    for before, after in pairwise((snapshot.topup, *step.rows)):
        stays = after.state is before.state
        assert stays or after.state in _STEPS[before.state], (
            f"{after.id}: {before.state} does not lead to {after.state}"
        )
    return step


def steps() -> dict[State, dict[State, list[str]]]:
    """Return from each state the states that may follow, with the facts that lead there."""
    found: dict[State, dict[State, list[str]]] = {state: {} for state in TABLE}
    for before, rules in TABLE.items():
        for fact, rule in rules.items():
            for after in State:
                if after in rule.leads_to - {before}:
                    found[before].setdefault(after, []).append(fact.__name__)
    return found


_STEPS = steps()
