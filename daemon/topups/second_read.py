"""The second read of an account: nothing is charged, and no credit is believed, by one answer alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from alerts.model.instants import from_ms, rfc3339, to_ms
from alerts.model.readings import Known, Unavailable
from alerts.model.reasons import SuspendedReason
from alerts.model.values import replace
from daemon.store import ledger, ledger_notes
from daemon.store.connection import Transaction
from daemon.topups.context import UNREACHABLE_TOLD_AFTER, TopupContext
from daemon.topups.policy import stops
from daemon.topups.policy.gate import GateName
from daemon.topups.policy.step import Readings

FORGOTTEN_AFTER = timedelta(days=1)
"""A second read that failed so long ago says nothing of one that fails now, if there was no need between them."""

ReadAgain = Callable[[], Awaitable[Known | Unavailable]]


@dataclass(slots=True)
class Pass:
    """What one pass knows of an account: its readings, and how to read it again."""

    readings: Readings
    ask: ReadAgain


async def read_again(context: TopupContext, account: str, seen: Pass) -> Known | Unavailable:
    """Read the account a second time; it counts where it bears the first reading out. What goes wrong for long is told.

    It is judged by nothing else, and the plan rests on it: its size, and the sum from which the credit is awaited.
    """
    again = await seen.ask()
    second = again if isinstance(again, Known) and _bears_out(seen.readings.known, again) else None
    seen.readings = replace(seen.readings, second=second)
    is_good = second is not None and second.metrics.available_microusd is not None
    name, now = f"second_read:{account}", context.clock.now()
    if not context.account(account).may_post or (is_good and ledger_notes.bookmark(context.store.reader, name) is None):
        return again
    with context.store.write(durable=not is_good) as tx:
        if is_good:
            ledger_notes.clear_bookmark(tx, name)
            return again
        failed = ledger_notes.bookmark(tx, name)  # when it last failed and, as its text, since when
        lasting = failed is not None and not _is_over(tx, account, failed[0], now)
        since = min(from_ms(int(failed[1])), now) if failed is not None and lasting else now
        ledger.set_bookmark(tx, name, now, str(to_ms(since)))
        if now - since >= UNREACHABLE_TOLD_AFTER:
            message = f"the second read before a charge goes wrong since {rfc3339(since)}: {_wrong(again)}"
            notice = stops.daily_notice(context.account(account, tx), now, SuspendedReason.SECOND_READ, message)
            context.apply(tx, [notice], now)
    return again


def _bears_out(first: Known, second: Known) -> bool:
    """Whether the second read can be true beside the first: what only grows has not fallen."""
    before, after = first.metrics, second.metrics
    pairs = ((before.funded_microusd, after.funded_microusd), (before.accrued_microusd, after.accrued_microusd))
    return all(old is None or (new is not None and new >= old) for old, new in pairs)


def _is_over(tx: Transaction, account: str, failed_at: datetime, now: datetime) -> bool:
    """Whether the need at which the second read last failed is long over: no second read was wanted in between."""
    if now - failed_at < FORGOTTEN_AFTER:
        return False
    said = ledger_notes.decisions(tx, account)
    return any(one.gate == GateName.THRESHOLD and one.last_at > failed_at for one in said)


def _wrong(again: Known | Unavailable) -> str:
    if isinstance(again, Unavailable):
        return f"{again.reason.value}: {again.detail}".rstrip(": ")
    if again.metrics.available_microusd is None:
        return "it does not say the balance"
    return "it contradicts the first: a total that only grows has fallen"
