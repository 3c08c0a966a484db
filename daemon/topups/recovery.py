"""At start, before the first poll: every open top-up is taken up where the last process left it, then adoption.

planned ▸ abandoned · creating ▸ listed, the same key, or given up · created, old ▸ canceled · confirming, processing
▸ read back · paid ▸ its credit is watched
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from daemon.store import ledger, ledger_reads
from daemon.store.ledger import Topup
from daemon.topups.adoption import adopt
from daemon.topups.bench import Bench
from daemon.topups.gateway import Refused
from daemon.topups.look import look
from daemon.topups.states import State

_TAKEN_UP = frozenset(
    {State.CREATING, State.CREATED, State.CONFIRMING, State.PROCESSING, State.NEEDS_REVIEW, State.RETRY_WAIT}
)
ACCOUNTS_AT_ONCE = 8


async def recover(bench: Bench, take_up: Callable[[Topup], Awaitable[None]]) -> None:
    """Take up what is open, by `take_up`, and adopt what the ledger does not know. Stripe may be away: then later."""
    for topup in ledger_reads.open_topups(bench.store.reader):
        if topup.state is State.PLANNED:
            abandon_plan(bench, topup)
        elif topup.state in _TAKEN_UP or topup.cancel_as is not None:
            await take_up(topup)
    together = asyncio.Semaphore(ACCOUNTS_AT_ONCE)

    async def adopt_account(account: str) -> None:
        async with together:
            seen = await look(bench, account)
            if isinstance(seen, Refused):
                bench.trouble(account, seen, "listing PaymentIntents")
            else:
                await adopt(bench, account, seen)

    await asyncio.gather(*(adopt_account(account) for account in bench.charging()))


def abandon_plan(bench: Bench, topup: Topup) -> None:
    """End a plan of which nothing was sent: the process ended between the plan and the create."""
    with bench.store.write(durable=True) as tx:
        ledger.move(tx, topup, State.ABANDONED, bench.clock.now(), reason="nothing was sent", next_at=None)
