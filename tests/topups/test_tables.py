"""The tables are whole, and what is written of them is what they are."""

from __future__ import annotations

import re
import sqlite3
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from daemon.demo.standins.stripe import DECLINES
from daemon.status.topups import UNDER_WAY
from daemon.store import ledger
from daemon.store.migrations import m0003_ledger
from daemon.store.topup_rows import OPEN, State, Topup
from daemon.stripe.answers import CONFIRM, CREATE, READ_BACK_AFTER, Action, AnswerKind, read_back_after
from daemon.stripe.declines import CODES, retry_after
from daemon.topups.policy.machine import TABLE, steps
from daemon.topups.policy.settle import STATUSES
from docs.generate import diagram
from tests.helpers_topups import START, Daemon

DOCUMENT = Path(__file__).parents[2] / "docs" / "topups.md"


def row(state: State = State.PLANNED, seq: int = 1, *, own: bool = True) -> Topup:
    return Topup(
        id=f"clips-{seq}",
        account="clips",
        customer="cus_1",
        seq=seq,
        own=own,
        state=state,
        amount_cents=5000,
        create_key=f"key-{seq}",
        create_params="{}",
        planned_at=START,
        state_at=START,
    )


def test_the_diagram_in_the_document_is_the_code() -> None:
    drawn = re.search(r"```mermaid\n(.*?)\n```", DOCUMENT.read_text(), re.DOTALL)
    assert drawn is not None
    assert drawn[1] == diagram()


def test_the_document_names_every_answer_state_and_decline() -> None:
    text = DOCUMENT.read_text()
    for word in (*AnswerKind, *CODES, *STATUSES, *(state for state in State)):
        assert word in text, word
    for kind, action in CONFIRM.items():
        assert f"| `{kind}` | `{action}` | `{CREATE[kind]}` |" in text


def test_every_state_has_its_transitions_and_only_credited_has_none() -> None:
    assert set(TABLE) == set(State)
    assert [state for state, following in steps().items() if not following] == [State.CREDITED]
    assert UNDER_WAY < OPEN


def test_paid_comes_from_no_state_in_which_nothing_was_created() -> None:
    without = {State.PLANNED, State.PAID, State.CREDITED}
    assert {state for state, following in steps().items() if State.PAID in following} == set(State) - without


def test_the_database_knows_the_same_steps_as_the_code() -> None:
    frozen = {State(before): {State(s) for s in following.split()} for before, following in m0003_ledger.STEPS.items()}
    assert frozen == {before: set(following) for before, following in steps().items() if following}


def test_the_database_refuses_a_step_that_is_not_in_the_table(daemon: Daemon) -> None:
    with daemon.store.write(durable=True) as tx:
        ledger.insert(tx, row(), START)
    with pytest.raises(sqlite3.IntegrityError, match="cannot take this step"), daemon.store.write(durable=True) as tx:
        tx.execute("UPDATE topups SET state = 'paid', payment_intent = 'pi', paid_at = 1")


def test_the_database_refuses_a_second_open_plan_of_an_account(daemon: Daemon) -> None:
    with daemon.store.write(durable=True) as tx:
        ledger.insert(tx, row(seq=1), START)
    with pytest.raises(sqlite3.IntegrityError), daemon.store.write(durable=True) as tx:
        ledger.insert(tx, row(seq=2), START)


def test_the_database_forgets_no_top_up(daemon: Daemon) -> None:
    with daemon.store.write(durable=True) as tx:
        ledger.insert(tx, row(), START)
    with pytest.raises(sqlite3.IntegrityError, match="forgets nothing"), daemon.store.write(durable=True) as tx:
        tx.execute("DELETE FROM topups")


def test_a_row_that_somebody_moved_is_not_moved_again(daemon: Daemon) -> None:
    with daemon.store.write(durable=True) as tx:
        ledger.insert(tx, row(), START)
        ledger.change(tx, row(), START, state=State.ABANDONED, reason="by another")
    with pytest.raises(ledger.Moved), daemon.store.write(durable=True) as tx:
        ledger.change(tx, row(), START, state=State.CREATING, reason="by us")


@pytest.mark.parametrize("table", [CONFIRM, CREATE])
def test_every_answer_has_an_action(table: dict[AnswerKind, Action]) -> None:
    assert set(table) == set(AnswerKind)


def test_nothing_unknown_on_a_confirm_is_ever_given_up_at_once() -> None:
    open_ended = {AnswerKind.UNKNOWN, AnswerKind.KEY_IN_USE, AnswerKind.RATE_LIMITED, AnswerKind.SERVER_ERROR}
    assert all(CONFIRM[kind] is not Action.CANCEL_AND_SUSPEND for kind in open_ended)


def test_unknown_outcomes_are_read_back_ever_later() -> None:
    sent_for, times = timedelta(), []
    for _ in range(7):
        sent_for = read_back_after(sent_for)
        times.append(sent_for)
    assert tuple(times[:4]) == READ_BACK_AFTER
    assert {later - earlier for earlier, later in pairwise(times[3:])} == {timedelta(minutes=30)}


def test_soft_declines_are_tried_three_times_more() -> None:
    assert [retry_after(n) for n in range(6)] == [
        None,
        timedelta(hours=1),
        timedelta(hours=4),
        timedelta(hours=24),
        None,
        None,
    ]


def test_no_stand_in_decline_is_left_to_chance() -> None:
    unlisted = {name for name, one in DECLINES.items() if (one.decline_code or one.code) not in CODES}
    assert unlisted <= {"unheard_of", "invalid_amount"}
