"""The second read of an account: no credit is taken for a charge's own, or for another's, by one answer alone."""

from __future__ import annotations

from alerts.readings import Known, Metrics
from alerts.values import replace
from daemon.store import ledger, ledger_notes, ledger_reads
from daemon.store.ledger import Topup
from daemon.topups import credit
from daemon.topups.bench import Bench
from daemon.topups.judgement import Reread, Sight, note_second_read
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


async def set_off(bench: Bench, topup: Topup, sight: Sight, reread: Reread) -> Topup | None:
    """Await the charge's credit on top of what shows before the charge is made: that is another's.

    A rise is believed where a second read shows it too, and the payment, read back after both, is not made yet. Without
    a running total a fall counts as well: it is usage, and the credit is awaited from there. Returns the top-up as it
    then is; None where nobody can tell now whose a credit is: then nothing is charged by this reading.
    """
    before, shown = _awaited_from(topup), _shown(topup, sight.known.metrics)
    if topup.state not in NOT_MADE_YET or before is None or shown is None or shown == before:
        return topup
    if shown < before and topup.funded_before_microusd is not None:
        return topup
    if shown > before:
        second = await reread()
        again = _shown(topup, second.metrics) if isinstance(second, Known) else None
        if not isinstance(second, Known) or again is None or again <= before:
            note_second_read(bench, sight, second)
            _undecided(bench, topup, "a second read does not show the credit that the first one shows")
            return None
        note_second_read(bench, replace(sight, second=second), second)
        shown = min(shown, again)
    after = await read_back(bench, topup)
    if after.state is not topup.state:
        return after
    with bench.store.write(durable=True) as tx:
        current = ledger_reads.get(tx, topup.id)
        assert current is not None, "the ledger forgets nothing"
        if current.state is not topup.state:
            return current
        said = ledger_reads.readbacks(tx, topup.id)
        if said and said[-1].status in _NOT_MADE:
            if topup.funded_before_microusd is not None:
                return ledger.change(tx, current, bench.clock.now(), funded_before_microusd=shown)
            return ledger.change(tx, current, bench.clock.now(), low_balance_microusd=shown)
    _undecided(bench, topup, "Stripe does not say whether the payment is made")
    return None


def _undecided(bench: Bench, topup: Topup, why: str) -> None:
    """Count that nothing was tried by this reading."""
    with bench.store.write(durable=True) as tx:
        detail = f"{topup.id}: nobody can tell whose a credit is: {why}"
        ledger_notes.count_decision(tx, topup.account, "second_read", bench.clock.now(), detail=detail, gates="[]")


def _awaited_from(topup: Topup) -> int | None:
    return topup.low_balance_microusd if topup.funded_before_microusd is None else topup.funded_before_microusd


def _shown(topup: Topup, metrics: Metrics) -> int | None:
    return metrics.balance_microusd if topup.funded_before_microusd is None else metrics.funded_microusd
