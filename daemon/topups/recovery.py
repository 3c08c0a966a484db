"""At start, before the first poll: every open top-up is taken up where the last process left it, then adoption.

planned ▸ abandoned · creating ▸ listed, the same key, or given up · created, old ▸ canceled · confirming, processing
▸ read back · paid ▸ its credit is watched
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from daemon.lanes import together
from daemon.store import ledger, ledger_reads
from daemon.store.ledger import Topup
from daemon.topups import breakers
from daemon.topups.adoption import adopt
from daemon.topups.bench import Bench, log
from daemon.topups.gateway import Refused
from daemon.topups.look import look
from daemon.topups.states import State

_TAKEN_UP = frozenset(
    {State.CREATING, State.CREATED, State.CONFIRMING, State.PROCESSING, State.NEEDS_REVIEW, State.RETRY_WAIT}
)


async def recover(bench: Bench, take_up: Callable[[Topup], Awaitable[None]]) -> None:
    """Take up what is open, by `take_up`, and adopt what the ledger does not know. Stripe may be away: then later."""
    opened = ledger_reads.open_topups(bench.store.reader)
    for topup in opened:
        if topup.state is State.PLANNED:
            abandon_plan(bench, topup)
    try:
        await together(take_up(topup) for topup in opened if topup.state in _TAKEN_UP or topup.cancel_as is not None)
    finally:
        await together(_adopt_account(bench, account) for account in bench.config.accounts if bench.may_post(account))


async def _adopt_account(bench: Bench, account: str) -> None:
    seen = await look(bench, account)
    if not isinstance(seen, Refused):
        await adopt(bench, account, seen)
    elif account not in bench.charging():
        log.warning("left_unread", account=account, message=seen.message)
    elif seen.gone is not None:
        breakers.note_unlisted(bench, account, seen, breakers.LISTING)
    else:
        bench.trouble(account, seen, breakers.LISTING)


def abandon_plan(bench: Bench, topup: Topup) -> None:
    """End a plan of which nothing was sent: the process ended between the plan and the create."""
    with bench.store.write(durable=True) as tx:
        ledger.move(tx, topup, State.ABANDONED, bench.clock.now(), reason="nothing was sent", next_at=None)
