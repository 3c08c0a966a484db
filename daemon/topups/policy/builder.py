"""A step in the making: the row's versions, the changes beside it, the command, and when to look again."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Concatenate, ParamSpec

from alerts.model.events import EventDraft
from alerts.model.reasons import SuspendedReason
from alerts.model.values import replace
from daemon.store.topup_rows import CHARGED, Bookmark, Send, State, Topup
from daemon.stripe.answers import (
    CANCEL_AGAIN_AFTER,
    PIN_AFTER,
    READ_BACK_AFTER,
    READ_BACK_EVERY,
    WATCH_FOR,
    AnswerKind,
    read_back_after,
)
from daemon.stripe.requests import CANCEL_PARAMS, cancel_key
from daemon.topups.policy import credit, messages, stops
from daemon.topups.policy.step import (
    Account,
    Change,
    ClearBookmark,
    Command,
    Count,
    Doing,
    Emit,
    Request,
    Snapshot,
    Step,
)

OWNER_HAS = timedelta(minutes=10)
"""A PaymentIntent that was never confirmed is left alone for so long; then it is canceled."""
PROCESSING_EVERY = timedelta(minutes=6)
"""Longer than the polls of an account with an open top-up are apart: their readings read it back, and time seldom."""
WATCH_EVERY = timedelta(hours=1)
CREATE_EVERY = timedelta(minutes=2)
LONGEST = timedelta(hours=2)
"""Upper bound for `next_at`, so that a future instant written by a wrong clock cannot delay for longer."""


P = ParamSpec("P")


class Builder:
    """Gathers one step. Mutable; lives for one decision."""

    def __init__(self, snapshot: Snapshot, now: datetime) -> None:
        self.snapshot = snapshot
        self.account = snapshot.account
        self.now = now
        self.rows = [snapshot.topup]
        self.changes: list[Change] = []
        self.command: Command | None = None
        self.next_at: datetime | None = None
        """When to look again, where the state alone does not say it."""

    @property
    def topup(self) -> Topup:
        """The row as it now is."""
        return self.rows[-1]

    @property
    def moved(self) -> bool:
        return self.topup.state is not self.snapshot.topup.state

    def to(self, state: State, reason: str, **fields: Any) -> None:
        """Take a step to another state."""
        self.rows.append(replace(self.topup, state=state, state_at=self.now, reason=reason, **fields))

    def set(self, **fields: Any) -> None:
        """Change fields within the state."""
        after = replace(self.topup, **fields)
        if len(self.rows) == 1:
            self.rows.append(after)
        else:
            self.rows[-1] = after

    def emit(
        self, make: Callable[Concatenate[Topup, Account, datetime, P], EventDraft], *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Send an event of the top-up as it now is."""
        self.changes.append(Emit(make(self.topup, self.account, self.now, *args, **kwargs)))

    def reached(self, *doings: Doing) -> None:
        """Stripe's state shows that these calls took effect, whatever was answered: their failures count anew."""
        self.changes += [ClearBookmark(Bookmark.FAILING.of(self.account.id, doing)) for doing in doings]

    def count(self, gate: str, detail: str) -> None:
        self.changes.append(Count(self.account.id, gate, detail))

    def review(self, reason: str) -> None:
        """Freeze the top-up until a person acknowledges it. Nothing is canceled."""
        if self.topup.state in (State.NEEDS_REVIEW, *CHARGED):
            return
        self.to(State.NEEDS_REVIEW, reason, cancel_as=None)
        times = self.snapshot.entered.get(State.NEEDS_REVIEW, 0) + 1
        self.emit(messages.needs_review, reason, times)

    def suspend(self, reason: SuspendedReason, message: str, card: str | None = None) -> None:
        """Stop charging the account because of this top-up, until a person resumes it."""
        change = stops.suspension(self.account, self.now, reason, message, self.topup.id, self.topup, card=card)
        self.changes.append(change)

    def give_up(self, end: State, reason: str, *, watch: bool = False) -> None:
        """Cancel the PaymentIntent so that it can never be charged; `end` is what the top-up then comes to.

        One that has succeeded meanwhile is paid. Nothing happens where nothing may be sent for the account.
        """
        if not self.account.may_post or self.topup.state in CHARGED or not self.topup.is_open:
            return
        self.set(cancel_as=end, reason=reason, **({"watch_until": self.now + WATCH_FOR} if watch else {}))
        self.cancel()

    def create(self, gates: str = "[]") -> None:
        """Send the create, with the key and the parameters of the plan."""
        self.command = Request("create", 1, self.topup.create_key, json.loads(self.topup.create_params), gates)

    def cancel(self, status: str = "") -> None:
        """Send the cancel of what was given up, again where the last one was long ago; not while the bank works."""
        topup, sends = self.topup, self.snapshot.sent("cancel")
        if topup.cancel_as is None or not topup.is_open or not self.account.may_post or status == "processing":
            return
        if sends and self.now - sends[-1].sent_at < CANCEL_AGAIN_AFTER[min(len(sends), len(CANCEL_AGAIN_AFTER)) - 1]:
            return
        assert topup.payment_intent is not None, "only what was created is canceled"
        n = 1 + max((send.n for send in sends), default=0)
        self.command = Request("cancel", n, cancel_key(topup.payment_intent, n), CANCEL_PARAMS)

    def step(self) -> Step:
        """Return the step, with the instant at which the top-up is looked at next."""
        if self.command is not None and not isinstance(self.command, Request):
            return Step(tuple(self.rows[1:]), tuple(self.changes), self.command)  # what is read says more
        next_at = self.next_at or self._next_at()
        if next_at is not None and self.topup.state is not State.RETRY_WAIT:
            next_at = min(next_at, self.now + LONGEST)
        if next_at != self.topup.next_at:
            self.set(next_at=next_at)
        return Step(tuple(self.rows[1:]), tuple(self.changes), self.command)

    def _next_at(self) -> datetime | None:
        topup, now, sends = self.topup, self.now, self.snapshot.sends
        if isinstance(self.command, Request):
            return now + READ_BACK_AFTER[0]
        sent_at = sends[-1].sent_at if sends else topup.state_at
        unknown = sent_at + read_back_after(max(now - sent_at, timedelta()))
        is_waiting = topup.state is State.CONFIRMING and topup.cancel_as is None
        if is_waiting and is_pinned_later(sends) and now < sent_at + PIN_AFTER:
            return min(unknown, sent_at + PIN_AFTER)
        if topup.cancel_as is not None and topup.is_open:
            return unknown
        match topup.state:
            case State.CREATING:
                waited = now - (sends[0].sent_at if sends else topup.planned_at)
                return now + min(max(waited, READ_BACK_AFTER[0]), CREATE_EVERY)
            case State.CONFIRMING | State.ACTION_REQUIRED:
                return unknown
            case State.CREATED:
                return max(topup.planned_at + OWNER_HAS, now + timedelta(minutes=1))
            case State.PROCESSING:
                return now + PROCESSING_EVERY
            case State.RETRY_WAIT:
                return topup.next_at
            case State.NEEDS_REVIEW:
                return now + READ_BACK_EVERY
            case State.PAID:
                return credit.wake(topup)
        watched = topup.watch_until is not None and now < topup.watch_until
        return now + WATCH_EVERY if watched else None


def is_pinned_later(sends: Sequence[Send]) -> bool:
    """Whether the last request is a confirm that met a 5xx: its key replays that, so it is canceled later."""
    return bool(sends) and sends[-1].kind == "confirm" and sends[-1].answer == AnswerKind.SERVER_ERROR
