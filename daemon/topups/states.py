"""The states of a top-up and the steps between them, as data. `docs/topups.md` draws them; a test holds both equal."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum


class State(StrEnum):
    """Where a top-up stands. All but the last three hold the account's slot; `paid` until the credit is seen."""

    PLANNED = "planned"  # decided and written down; nothing was sent
    CREATING = "creating"  # the create was written down and may have been sent
    CREATED = "created"  # Stripe has the PaymentIntent; no confirm was ever sent
    CONFIRMING = "confirming"  # a confirm was written down; its outcome is not known until it is read back
    PROCESSING = "processing"  # the bank takes its time
    RETRY_WAIT = "retry_wait"  # softly declined: the same PaymentIntent again, later
    ACTION_REQUIRED = "action_required"  # the bank wants the cardholder: the PaymentIntent is being canceled
    NEEDS_REVIEW = "needs_review"  # a person decides (`topups ack`)
    PAID = "paid"  # read back as succeeded, as planned; the credit is not seen yet
    CREDITED = "credited"  # seen in the balance, or a person said so
    ABANDONED = "abandoned"  # canceled or never created: no money moved
    DECLINED = "declined"  # refused by the bank or by Stripe: no money moved


OPEN = frozenset(
    {
        State.PLANNED,
        State.CREATING,
        State.CREATED,
        State.CONFIRMING,
        State.PROCESSING,
        State.RETRY_WAIT,
        State.ACTION_REQUIRED,
        State.NEEDS_REVIEW,
        State.PAID,
    }
)
"""States that hold the account's slot: no other top-up is planned meanwhile."""

CHARGED = frozenset({State.PAID, State.CREDITED})
"""States in which the money has moved."""

UNDER_WAY = frozenset({State.CREATING, State.CREATED, State.CONFIRMING, State.PROCESSING})
"""States that may hold back a reminder of a low balance (and `paid`, for `UNDER_WAY_AFTER_PAID`)."""

UNDER_WAY_UNCHARGED = frozenset({State.PROCESSING})
"""What of that a mode that charges nothing leaves under way (and `paid`): the rest it sends nothing to bring about."""

UNDER_WAY_AFTER_SENT = timedelta(hours=2)
"""For so long after its last send a create or confirm whose outcome is unknown is under way."""

UNDER_WAY_AFTER_PAID = timedelta(hours=2)
"""For so long a paid top-up is under way; then it is told that its credit is not seen."""

ENDS_UNSENT = frozenset({State.PLANNED, State.PAID})
"""Open states that come to their end though nothing is sent to Stripe: all others may have to be canceled."""

_LIVE = (State.PAID, State.PROCESSING, State.RETRY_WAIT, State.ACTION_REQUIRED, State.NEEDS_REVIEW)
_ENDS = (State.ABANDONED, State.DECLINED)
_SETTLED = (*_LIVE, *_ENDS)

TRANSITIONS: Mapping[State, tuple[State, ...]] = {
    State.PLANNED: (State.CREATING, State.ABANDONED),
    State.CREATING: (State.CREATED, *_SETTLED),
    State.CREATED: (State.CONFIRMING, *_SETTLED),
    State.CONFIRMING: _SETTLED,
    State.PROCESSING: tuple(s for s in _SETTLED if s is not State.PROCESSING),
    State.RETRY_WAIT: (State.CONFIRMING, *(s for s in _SETTLED if s is not State.RETRY_WAIT)),
    State.ACTION_REQUIRED: (State.PAID, State.PROCESSING, State.NEEDS_REVIEW, *_ENDS),
    State.NEEDS_REVIEW: (State.PAID, State.PROCESSING, *_ENDS),
    State.PAID: (State.CREDITED,),
    State.CREDITED: (),
    # What Stripe says outranks what the ledger believed: a PaymentIntent that turns up alive is adopted at its state.
    State.ABANDONED: (State.CREATED, *_LIVE),
    State.DECLINED: (State.CREATED, *_LIVE),
}
"""From each state, the states that may follow. Adoption enters a row at any; nothing else begins beyond `planned`."""


def may_follow(before: State, after: State) -> bool:
    """Whether a top-up may go from `before` to `after`."""
    return after in TRANSITIONS[before]


def diagram() -> str:
    """Return the transitions as a mermaid state diagram, in the order of the data."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.PLANNED}"]
    lines += [f"    {before} --> {after}" for before, following in TRANSITIONS.items() for after in following]
    lines.append(f"    {State.CREDITED} --> [*]")
    return "\n".join(lines)
