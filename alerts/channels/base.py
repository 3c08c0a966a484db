"""What every way of telling has in common: a batch goes in, an outcome comes out, and nothing is ever raised."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Protocol

from alerts.model.outbox import Delivery


@dataclass(frozen=True, slots=True)
class Batch:
    """What is sent in one go: one event for a webhook, one or several for a mail or a chat.

    A retry keeps `name`. `remaining_recipients`: the addresses that lack the message; None means all. `answers`: the
    name of the first message about the same episode, which a mail replies to.
    """

    name: str
    deliveries: tuple[Delivery, ...]
    remaining_recipients: tuple[str, ...] | None = None
    answers: str | None = None


class Result(StrEnum):
    OK = "ok"
    FAILED = "failed"
    """Not delivered, or not for certain: tried again."""
    REFUSED = "refused"
    """The server is well, but it refused some of the addresses: those are tried again, and a person is told at once."""
    GONE = "gone"
    """The receiver says that it is no more: nothing further is sent."""


@dataclass(frozen=True, slots=True)
class SendOutcome:
    """What became of one attempt. `error` is one line for a person and holds no secret."""

    result: Result
    elapsed_ms: int
    status: int | None = None
    error: str = ""
    answer: str = ""
    retry_after: timedelta | None = None
    slow: bool = False
    """The receiver said that it is overloaded."""
    maybe_arrived: bool = False
    """It failed after the message may have been taken: the next try must be the same message."""
    remaining_recipients: tuple[str, ...] | None = None


class Channel(Protocol):
    """One receiver's way of being told."""

    @property
    def key(self) -> str:
        """The receiver's name in the outbox."""
        ...

    @property
    def counted_as(self) -> str:
        """The name under which its attempts are counted and limited; customers' receivers share one."""
        ...

    @property
    def target(self) -> str:
        """What must have answered a `test.ping` before the first event; empty: nothing must."""
        ...

    @property
    def gathers(self) -> bool:
        """Whether several events that fall together go out as one message."""
        ...

    @property
    def max_per_hour(self) -> int | None:
        """Messages in any 60 minutes; what is above waits and goes out as one."""
        ...

    async def send(self, batch: Batch) -> SendOutcome:
        """Send the batch within the deadline; every failure is an outcome."""
        ...
