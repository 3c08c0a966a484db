"""The second read of an account: nothing is charged, and no credit is accepted, by one answer alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from alerts.model.readings import Known, Unavailable
from alerts.model.reasons import SuspendedReason
from alerts.model.values import replace
from daemon.topups.context import TopupContext
from daemon.topups.policy.step import Doing, Readings

ReadAgain = Callable[[], Awaitable[Known | Unavailable]]


@dataclass(slots=True)
class AccountReads:
    """What one pass knows of an account: its readings, and how to read it again."""

    readings: Readings
    ask: ReadAgain


async def read_again(context: TopupContext, account: str, seen: AccountReads) -> Known | Unavailable:
    """Read the account a second time; it counts where it is consistent with the first.

    The plan rests on it: its size, and the sum from which the credit is awaited. What goes wrong for long is told.
    """
    again = await seen.ask()
    second = again if isinstance(again, Known) and _is_consistent(seen.readings.known, again) else None
    seen.readings = replace(seen.readings, second=second)
    is_good = second is not None and second.metrics.available_microusd is not None
    await context.apart(_note, account, "" if is_good else _wrong(again))
    return again


def _note(context: TopupContext, account: str, wrong: str) -> None:
    if wrong and context.account(account).may_post:
        context.failing(account, Doing.READING_AGAIN, wrong, SuspendedReason.SECOND_READ)
    elif context.account(account).may_post:
        context.reached(account, Doing.READING_AGAIN)


def _is_consistent(first: Known, second: Known) -> bool:
    """Whether the second read can be true beside the first: what only grows has not fallen."""
    before, after = first.metrics, second.metrics
    pairs = ((before.funded_microusd, after.funded_microusd), (before.accrued_microusd, after.accrued_microusd))
    return all(old is None or (new is not None and new >= old) for old, new in pairs)


def _wrong(again: Known | Unavailable) -> str:
    if isinstance(again, Unavailable):
        return f"{again.reason.value}: {again.detail}".rstrip(": ")
    if again.metrics.available_microusd is None:
        return "it does not say the balance"
    return "it contradicts the first: a total that only grows has fallen"
