"""The journal's lines: one a unit of work, each kind in one place. What has to do with money is said once committed.

A failure is a warning; what needs a person is an error. `docs/journal.md` lists the lines with their fields.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
from structlog.contextvars import bound_contextvars

from alerts.model.events import Event, Severity
from alerts.model.instants import rfc3339
from alerts.model.outbox import DeliveryState
from alerts.model.readings import Known, Reading, Unavailable

if TYPE_CHECKING:
    from alerts.delivery import Attempted
    from daemon.store.topup_rows import Topup

_T = TypeVar("_T")
log = structlog.get_logger("brimful")

_OF_SEVERITY = {Severity.INFO: "info", Severity.WARNING: "warning", Severity.CRITICAL: "error"}
_STEP_LEVELS = {
    "needs_review": "error",
    "action_required": "error",
    "declined": "error",
    "retry_wait": "warning",
    "abandoned": "warning",
}
"""By the state that a top-up steps into; any other is told at info."""


class PollLines:
    """The `poll` lines: a good reading is said where it is the first, or the first after none; else at debug."""

    def __init__(self) -> None:
        self._good: set[str] = set()
        self._log = log.bind()

    def polled(self, account: str, reading: Reading, accepted: Known | None, ms: int) -> None:
        """Write the line of one poll: `accepted` is None where there is no reading that may be acted on."""
        if accepted is not None and account in self._good:
            self._log.debug("poll", account=account, outcome="read", ms=ms)
        elif accepted is not None:
            self._good.add(account)
            self._log.info("poll", account=account, outcome="read", ms=ms)
        else:
            self._good.discard(account)
            self._failed(account, reading, ms)

    def _failed(self, account: str, reading: Reading, ms: int) -> None:
        if not isinstance(reading, Unavailable):
            self._log.warning("poll", account=account, outcome="suspect", reason="suspect", ms=ms)
            return
        say = self._log.warning if reading.reason.passes_by_itself else self._log.error
        status = {"status": reading.status} if reading.status is not None else {}
        say(
            "poll",
            account=account,
            outcome="unavailable",
            reason=reading.reason.value,
            detail=reading.detail,
            ms=ms,
            **status,
        )


async def about(work: Awaitable[_T], **names: str) -> _T:
    """Await `work`; what it logs carries these names."""
    with bound_contextvars(**names):
        return await work


@asynccontextmanager
async def holding(lock: asyncio.Lock, **names: str) -> AsyncIterator[None]:
    """Hold the lock; what is logged meanwhile carries these names."""
    async with lock:
        with bound_contextvars(**names):
            yield


def alert(event: Event) -> None:
    """Write the line of a committed event."""
    _say(
        _OF_SEVERITY[event.severity],
        "alert",
        account=event.account,
        rule=event.rule,
        type=event.type.value,
        episode=event.episode,
        severity=event.severity.value,
        id=event.id,
    )


def charge(topup: Topup) -> None:
    """Write the line of a committed step of a top-up."""
    _say(
        _STEP_LEVELS.get(topup.state, "info"),
        "charge",
        account=topup.account,
        topup=topup.id,
        step=topup.state.value,
        payment_intent=topup.payment_intent,
        amount_cents=topup.amount_cents,
        reason=topup.reason or None,
    )


def stripe(
    call: str, *, ms: int, status: int | None, request_id: str | None, refused: str = "", detail: str = "", dead: bool
) -> None:
    """Write the line of one exchange with Stripe; whoever asks binds `account` and `topup` to the context.

    `refused`: the kind of an answer that is not what was asked for; `dead`: the API key is no good.
    """
    level = "error" if dead else "warning" if refused else "info"
    said = {"outcome": refused or None, "detail": detail or None}
    _say(level, "stripe", call=call, status=status, request_id=request_id, ms=ms, **said)


def delivery(attempted: Attempted) -> None:
    """Write the line of one attempt: an event for one receiver."""
    outcome, verdict = attempted.outcome, attempted.verdict
    level = {DeliveryState.DELIVERED: "info", DeliveryState.PENDING: "warning", DeliveryState.DEAD: "error"}
    _say(
        level[verdict.state],
        "delivery",
        account=attempted.account,
        receiver=attempted.receiver,
        id=attempted.event,
        type=attempted.type,
        state=verdict.state.value,
        status=outcome.status,
        ms=outcome.elapsed_ms,
        next=None if verdict.next_attempt_at is None else rfc3339(verdict.next_attempt_at),
        error=outcome.error or None,
    )


def report(id: str, period: str, *, error: str = "", refused: Sequence[str] = (), failures: int = 0) -> None:
    """Write the line of a report that was sent, refused by some address, or not sent."""
    outcome = "failed" if error else "refused" if refused else "sent"
    _say(
        "info" if outcome == "sent" else "warning",
        "report",
        report=id,
        period=period,
        outcome=outcome,
        error=error or None,
        refused="; ".join(refused) or None,
        failures=failures or None,
    )


def object_broken(resource: str, problem: str) -> None:
    """Write the line of what the API manages and does not work."""
    _say("warning", "object", resource=resource, problem=problem)


def _say(level: str, kind: str, **said: Any) -> None:
    """Write a line without the fields that say nothing."""
    if structlog.is_configured():  # a command that set up no logs writes none between its words
        getattr(log, level)(kind, **{name: value for name, value in said.items() if value is not None})
