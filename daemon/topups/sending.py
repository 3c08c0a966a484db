"""Sending: whatever is asked of Stripe was committed before, with its key and exact parameters; its answer is after."""

from __future__ import annotations

import json
from collections.abc import Awaitable
from datetime import timedelta

from daemon.store import ledger, ledger_reads
from daemon.store.ledger import Topup
from daemon.topups import breakers
from daemon.topups.answers import WATCH_FOR, AnswerKind
from daemon.topups.bench import Bench, log
from daemon.topups.gateway import Answered, Outcome
from daemon.topups.plan import CANCEL_PARAMS, cancel_key
from daemon.topups.settle import read_back
from daemon.topups.states import CHARGED, OPEN, State

CANCEL_AGAIN_AFTER = tuple(timedelta(seconds=s) for s in (20, 120, 600, 1800))
"""How long after a cancel that did not take it is sent again: ever longer, then always the last."""


_NO_ANSWER = frozenset({AnswerKind.UNKNOWN, AnswerKind.SERVER_ERROR, AnswerKind.RATE_LIMITED, AnswerKind.KEY_IN_USE})
"""What says nothing of what was asked: told where it lasts."""


async def answered(bench: Bench, topup: Topup, doing: str, send: int, call: Awaitable[Outcome]) -> Outcome:
    """Await the answer of a send that was written down, and write it down too.

    A dead key opens the breaker; a Stripe that answers nothing useful for long is told.
    """
    outcome = await call
    now = bench.clock.now()
    kind = AnswerKind.ANSWERED if isinstance(outcome, Answered) else outcome.kind
    with bench.store.write(durable=True) as tx:
        ledger.record_answer(
            tx,
            send,
            now,
            answer=kind.value,
            http_status=outcome.http_status,
            request_id=outcome.request_id,
            message=_words(outcome),
        )
    if not isinstance(outcome, Answered) and breakers.trips(outcome):
        breakers.trip(bench, now, outcome)
    elif not isinstance(outcome, Answered) and (kind in _NO_ANSWER or doing == breakers.CANCELING):
        breakers.note_failing(bench, topup.account, now, outcome, doing)
    else:
        breakers.note_reached(bench, topup.account, doing)
    log.info("stripe_answer", send=send, answer=kind.value, request_id=outcome.request_id)
    return outcome


def _words(outcome: Outcome) -> str:
    if isinstance(outcome, Answered):
        return outcome.value.status + (" (replayed)" if outcome.replayed else "")
    error = outcome.error
    codes = " ".join(code for code in (error.decline_code or error.code, error.advice_code) if code) if error else ""
    return f"{codes}: {outcome.message}" if codes else outcome.message


async def cancel(bench: Bench, topup: Topup, end: State, reason: str, *, watch: bool = False) -> Topup:
    """Cancel the PaymentIntent so that it can never be charged, and read it back; `end` is what it then comes to.

    A PaymentIntent that has succeeded meanwhile is paid; one that cannot be canceled yet is asked again later. Where
    nothing may be sent for the account (`Bench.may_post`), the top-up is returned as it was.
    """
    if not bench.may_post(topup.account):
        return topup
    now = bench.clock.now()
    with bench.store.write(durable=True) as tx:
        current = ledger_reads.get(tx, topup.id)
        assert current is not None, "the ledger forgets nothing"
        if current.state not in OPEN or current.state in CHARGED or current.payment_intent is None:
            return current
        changes = {"watch_until": now + WATCH_FOR} if watch else {}
        current = ledger.change(tx, current, now, cancel_as=end, reason=reason, **changes)
        n = 1 + max((send.n for send in ledger_reads.sends(tx, topup.id, "cancel")), default=0)
        intent = current.payment_intent
        assert intent is not None
        key = cancel_key(intent, n)
        send = ledger.record_send(tx, current, "cancel", n, key, CANCEL_PARAMS, now)
    await answered(bench, current, breakers.CANCELING, send, bench.gateway.cancel(intent, CANCEL_PARAMS, key))
    return await read_back(bench, current)


def same_params(text: str) -> dict[str, object]:
    """Return the parameters as they were written down."""
    params: dict[str, object] = json.loads(text)
    return params
