"""What time alone does to an open top-up: read back on schedule, cancel what is old, watch the credit."""

from __future__ import annotations

from daemon.store import ledger_reads
from daemon.store.ledger import Topup
from daemon.store.ledger_reads import LONGEST_RETRY
from daemon.topups import credit
from daemon.topups.answers import KEY_LIVES, PIN_AFTER
from daemon.topups.bench import Bench
from daemon.topups.confirm import NEVER_CONFIRMED_FOR
from daemon.topups.recovery import abandon_plan
from daemon.topups.sending import CANCEL_AGAIN_AFTER, cancel
from daemon.topups.settle import OWNER_HAS, is_pinned_later, read_back
from daemon.topups.states import State


async def tend_topup(bench: Bench, topup: Topup) -> None:
    """Do what is due for a top-up whose time has come. `creating` is `create.continue_create`'s."""
    if topup.state is State.PLANNED:
        abandon_plan(bench, topup)
    elif topup.state is State.PAID:
        credit.watch(bench, topup, bench.clock.now())
    else:
        await _tend_intent(bench, topup)


async def _tend_intent(bench: Bench, topup: Topup) -> None:
    after = await read_back(bench, topup)
    now = bench.clock.now()
    if after.cancel_as is not None and after.is_open:
        await _cancel_again(bench, after)
    elif after.state is State.CREATED:
        await _cancel_old(bench, after)
    elif after.state is State.CONFIRMING:
        await _cancel_traceless(bench, after)
    elif after.state is State.RETRY_WAIT and (after.next_at or now) - now > LONGEST_RETRY:
        await cancel(bench, after, State.ABANDONED, "put off by a clock that was ahead")


async def _cancel_again(bench: Bench, topup: Topup) -> None:
    """A cancel whose outcome is unknown, or that was never sent, is sent (again)."""
    sends = ledger_reads.sends(bench.store.reader, topup.id, "cancel")
    wait = CANCEL_AGAIN_AFTER[min(len(sends), len(CANCEL_AGAIN_AFTER)) - 1]
    if sends and bench.clock.now() - sends[-1].sent_at < wait:
        return
    said = ledger_reads.readbacks(bench.store.reader, topup.id)
    if topup.cancel_as is None or (said and said[-1].status == "processing"):
        return
    await cancel(bench, topup, topup.cancel_as, topup.reason)


async def _cancel_old(bench: Bench, topup: Topup) -> None:
    """What was never confirmed is canceled after ten minutes, our own or another daemon's."""
    has = NEVER_CONFIRMED_FOR if topup.own else OWNER_HAS
    if bench.clock.now() - topup.planned_at >= has:
        await cancel(bench, topup, State.ABANDONED, "not confirmed within ten minutes")


async def _cancel_traceless(bench: Bench, topup: Topup) -> None:
    """After a 5xx, or with a key too old to be sent again: cancel, so that nothing can happen any more."""
    now = bench.clock.now()
    sends = ledger_reads.sends(bench.store.reader, topup.id, "confirm")
    if is_pinned_later(sends) and now - sends[-1].sent_at >= PIN_AFTER:
        await cancel(bench, topup, State.ABANDONED, "Stripe answered with an error of its own", watch=True)
    elif now - min(send.sent_at for send in sends if send.n == sends[-1].n) >= KEY_LIVES:
        await cancel(bench, topup, State.ABANDONED, "the confirm left no trace and its key is too old", watch=True)
