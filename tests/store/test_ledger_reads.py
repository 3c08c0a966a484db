"""What is asked of the ledger at every pass: the right rows, at a cost that does not grow with its charges."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from daemon.store import Store, ledger, ledger_reads
from daemon.store.topup_rows import State, Topup
from tests.helpers_store import effort

NOW = datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def enter(store: Store, number: int, at: datetime, state: State = State.CREDITED, **more: Any) -> None:
    """Enter a top-up that was planned, tried and (where it has the state) charged at `at`."""
    charged = state in (State.PAID, State.CREDITED)
    fields: dict[str, Any] = {
        "id": f"clips-{number}",
        "account": "clips",
        "customer": "cus_1",
        "seq": number,
        "own": True,
        "state": state,
        "amount_cents": 100 * number,
        "create_key": f"key-{number}",
        "create_params": "{}",
        "planned_at": at,
        "state_at": at,
        "payment_intent": f"pi_{number}",
        "paid_at": at if charged else None,
        "charged_at": at if charged else None,
        "credited_at": at if state is State.CREDITED else None,
        "next_at": None if charged else at,
    }
    topup = Topup(**(fields | more))
    with store.write(durable=False) as tx:
        ledger.insert(tx, topup, at)
        ledger.record_send(tx, topup, "confirm", 1, "key", {}, at)


def test_a_cap_counts_what_is_open_and_what_either_clock_charged_since(store: Store) -> None:
    since = NOW - 33 * DAY
    enter(store, 1, since - timedelta(seconds=1))
    enter(store, 2, since - timedelta(hours=1), charged_at=since)
    enter(store, 3, since, charged_at=since - timedelta(hours=1))
    enter(store, 4, since - 60 * DAY, State.CONFIRMING)
    enter(store, 5, NOW - DAY, State.PAID, own=False)
    enter(store, 6, NOW - DAY, State.DECLINED)
    enter(store, 7, NOW, account="reels")
    enter(store, 8, since - 50 * DAY, charged_at=NOW)
    spends = ledger_reads.spends(store.reader, "clips", since)
    assert [(one.topup, one.amount_microusd, one.is_open) for one in spends] == [
        ("clips-4", 4_000_000, True),
        ("clips-8", 8_000_000, False),
        ("clips-2", 2_000_000, False),
        ("clips-3", 3_000_000, False),
        ("clips-5", 5_000_000, False),
    ]
    assert spends[2].stripe_at == since
    assert "clips-8" in [one.id for one in ledger_reads.charged_since(store.reader, NOW)]
    assert ledger_reads.any_charged_since(store.reader, NOW)
    assert not ledger_reads.any_charged_since(store.reader, NOW + DAY)


def test_the_last_attempt_is_the_latest_by_either_clock_whatever_its_number(store: Store) -> None:
    assert ledger_reads.last_attempt_at(store.reader, "clips") is None
    enter(store, 1, NOW - 3 * DAY)
    enter(store, 2, NOW - DAY, State.DECLINED)
    enter(store, 3, NOW - 2 * DAY, charged_at=NOW - timedelta(hours=50))
    enter(store, 4, NOW, account="reels")
    assert ledger_reads.last_attempt_at(store.reader, "clips") == NOW - DAY
    enter(store, 5, NOW - 2 * DAY, charged_at=NOW - timedelta(hours=1))
    assert ledger_reads.last_attempt_at(store.reader, "clips") == NOW - timedelta(hours=1)


QUESTIONS: dict[str, Callable[[Any], object]] = {
    "spends": lambda conn: ledger_reads.spends(conn, "clips", NOW - 3 * DAY),
    "last attempt": lambda conn: ledger_reads.last_attempt_at(conn, "clips"),
    "open states": lambda conn: ledger_reads.open_states(conn, "clips"),
    "open accounts": ledger_reads.open_accounts,
    "due": lambda conn: ledger_reads.due(conn, NOW),
    "next due": lambda conn: ledger_reads.next_due_at(conn, NOW),
    "any charged": lambda conn: ledger_reads.any_charged_since(conn, NOW - 3 * DAY),
    "highest number": lambda conn: ledger_reads.max_seq(conn, "clips"),
    "attempts on a card": lambda conn: ledger_reads.attempts_on_card(conn, "fp", NOW - 3 * DAY),
    "ended by a second listing": lambda conn: ledger_reads.abandoned_by_second_listing(conn, "clips", NOW - 3 * DAY),
}


@pytest.mark.sqlite
@pytest.mark.parametrize("ask", QUESTIONS.values(), ids=QUESTIONS.keys())
def test_a_pass_costs_the_same_however_many_charges_the_ledger_holds(
    store: Store, ask: Callable[[Any], object]
) -> None:
    for number in range(1001, 1061):
        enter(store, number, NOW - (1061 - number) * DAY)
    young = effort(store, lambda: ask(store.reader))
    for number in range(1, 1001):
        enter(store, number, NOW - (1061 - number) * DAY)
    assert effort(store, lambda: ask(store.reader)) < young * 1.5 + 100
