"""The second read of an account: no credit is taken for a charge's own, or for another's, by one answer alone."""

from __future__ import annotations

from alerts.readings import Known
from daemon.store import ledger, ledger_reads
from daemon.store.ledger import Topup
from daemon.topups import credit
from daemon.topups.bench import Bench
from daemon.topups.judgement import Reread
from daemon.topups.settle import read_back
from daemon.topups.states import State

NOT_MADE_YET = frozenset({State.CREATED, State.CONFIRMING, State.PROCESSING, State.RETRY_WAIT})
"""States in which the charge may not have been made yet."""
_NOT_MADE = frozenset({"requires_confirmation", "requires_payment_method", "processing"})
"""What Stripe says then: no credit that was read before it said so can be the charge's own."""


async def shows_again(topup: Topup, reread: Reread) -> bool:
    """Whether a second read shows the credit of the top-up, too."""
    second = await reread()
    return isinstance(second, Known) and credit.is_seen(topup, second.metrics)


async def set_off(bench: Bench, topup: Topup, known: Known, reread: Reread) -> Topup:
    """Await the charge's credit on top of one that shows before the charge is made: that is another's.

    It is believed where a second read shows it too, and the payment, read back after both, is not made yet. Returns the
    top-up as it then is.
    """
    before, funded = topup.funded_before_microusd, known.metrics.funded_microusd
    if topup.state not in NOT_MADE_YET or before is None or funded is None or funded <= before:
        return topup
    second = await reread()
    again = second.metrics.funded_microusd if isinstance(second, Known) else None
    if again is None or again <= before:
        return topup
    after = await read_back(bench, topup)
    if after.state is not topup.state:
        return after
    with bench.store.write(durable=True) as tx:
        current = ledger_reads.get(tx, topup.id)
        assert current is not None, "the ledger forgets nothing"
        said = ledger_reads.readbacks(tx, topup.id)
        if current.state is not topup.state or not said or said[-1].status not in _NOT_MADE:
            return current  # Stripe could not be asked: nobody knows whose credit it is
        return ledger.change(tx, current, bench.clock.now(), funded_before_microusd=min(funded, again))
