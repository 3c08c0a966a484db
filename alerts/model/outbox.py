"""The outbox as delivery sees it: pending deliveries, the result of each attempt, and the state of each receiver.

The daemon's store implements `DeliveryQueue`; nothing here knows SQL. One delivery is one event for one receiver.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ParamSpec, Protocol, TypeVar

from alerts.model.events import Event, EventDraft

P = ParamSpec("P")
T = TypeVar("T")


class DeliveryState(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"
    """Given up: its attempts are used up, or its receiver is gone. Listed, reported to others, and replayable."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one receiver, not yet done.

    `failures` counts the attempts that used up the schedule. `batch` names the message it was last sent in, if that
    may have arrived: a retry is then the same message. `remaining_recipients`: who lacks it; None means all.
    """

    number: int
    receiver: str
    event: Event
    failures: int = 0
    batch: str | None = None
    remaining_recipients: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class ReceiverState:
    """The health of a receiver. `failures` counts failed attempts since the last success.

    Not tried before `blocked_until` (breaker, Retry-After, daily probe). `stopped_at`: it answered 410, and gets
    nothing until something is replayed to it. `notified_at`: when `delivery.failing` was sent in this run of failures.
    `target`, of a customer's URL: which URL this is about, since `asked_at`; `answered_at`: it answered a `test.ping`.
    """

    key: str
    failures: int = 0
    failing_since: datetime | None = None
    blocked_until: datetime | None = None
    paused_since: datetime | None = None
    stopped_at: datetime | None = None
    notified_at: datetime | None = None
    last_error: str = ""
    target: str = ""
    asked_at: datetime | None = None
    answered_at: datetime | None = None

    @property
    def awaits_answer(self) -> bool:
        """Whether its events wait until it has answered a `test.ping`."""
        return bool(self.target) and self.answered_at is None

    def healthy(self) -> ReceiverState:
        """Return its state without failures."""
        return ReceiverState(self.key, target=self.target, asked_at=self.asked_at, answered_at=self.answered_at)

    def is_open(self, now: datetime) -> bool:
        """Whether it may be tried at `now`."""
        return self.stopped_at is None and (self.blocked_until is None or self.blocked_until <= now)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt, as the log shows it. `status`: of HTTP or SMTP; `answer`: the first characters of the answer."""

    at: datetime
    elapsed_ms: int
    status: int | None = None
    error: str = ""
    answer: str = ""


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """The state of a delivery after an attempt. `next_attempt_at` is set while it stays pending."""

    number: int
    attempt: Attempt
    state: DeliveryState
    failures: int
    next_attempt_at: datetime | None = None
    remaining_recipients: tuple[str, ...] | None = None
    batch: str | None = None
    """Kept where the message may have arrived; None lets it go into another message."""


@dataclass(frozen=True, slots=True)
class SentBatch:
    """A message that went out: when, and by which name."""

    at: datetime
    name: str


class DeliveryQueue(Protocol):
    """The store's side of delivery. All but `apart` and `told` is one read or one short transaction, for work that runs
    apart alone.
    """

    async def apart(self, work: Callable[P, T], *args: P.args, **more: P.kwargs) -> T:
        """Run `work` where it holds up nothing else, one after the other, and return its result.

        Other work goes on meanwhile, unless the store is a file. A caller that is cancelled waits for the end.
        """
        ...

    def receiver(self, key: str) -> ReceiverState:
        """Return the state of the receiver; one that was never tried is healthy."""
        ...

    def told(self) -> set[str]:
        """Return the receivers to which something was addressed since the last call: at once, from memory."""
        ...

    def waiting(self) -> Collection[str]:
        """Return the receivers with a pending delivery."""
        ...

    def due(self, key: str, now: datetime, limit: int, *, pings: bool = False) -> Sequence[Delivery]:
        """Return pending deliveries whose time has come, oldest first; with `pings`, those of a `test.ping` alone.

        A delivery waits while an earlier one of the same account waits for its first retry: order where it can be.
        """
        ...

    def next_due(self, key: str, *, pings: bool = False) -> datetime | None:
        """Return when the receiver's next delivery is due, whatever blocks the receiver; None where none is pending."""
        ...

    def name_batch(self, numbers: Sequence[int], name: str) -> None:
        """Note that these deliveries go out together in the message `name`, before it is sent."""
        ...

    def batch(self, key: str, name: str) -> Sequence[Delivery]:
        """Return the pending deliveries that go out together in the message `name`, due or not, in order."""
        ...

    def sent_since(self, key: str, since: datetime) -> Sequence[SentBatch]:
        """Return the messages that went out to the receiver since then, oldest first."""
        ...

    def first_batch(self, key: str, episode: str) -> str | None:
        """Return the name of the first message about the episode that was sent to the receiver, or None."""
        ...

    def pending(self, key: str) -> int:
        """Return the number of the receiver's pending deliveries."""
        ...

    def overdue(self) -> Mapping[str, int]:
        """Return how many deliveries are pending to each receiver that was reported as failing."""
        ...

    def settle(
        self,
        results: Sequence[AttemptResult],
        receiver: ReceiverState | None,
        drafts: Sequence[EventDraft],
        now: datetime,
        *,
        reschedule_now: bool = False,
        abandon: str = "",
    ) -> None:
        """Record outcomes in one transaction, with the receiver's state where it changed and the events this causes.

        `reschedule_now` makes all pending deliveries of the receiver due now (it has recovered). `abandon`, a reason,
        makes them all dead (the receiver is gone).
        """
        ...

    def abandon(self, keys: Collection[str], now: datetime) -> int:
        """Give up what is pending for receivers that are no longer configured; return the number of deliveries."""
        ...
