"""One verdict, one step: what it changes of the memory, what it sends, and the reason if it sends nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from alerts.model.events import EventType, Severity
from alerts.rules.episodes import ALREADY_NOTIFIED, Advance, Subject, advance, rebase, reminder_due
from alerts.rules.state import NEW_RULE, NOTHING_NOTIFIED, Notified, RuleMemory
from alerts.rules.view import BETWEEN, BREACH, CLEAR, UNKNOWN, Condition, News, RuleVerdict
from tests.helpers_alerts import START

LOW, RECOVERED = EventType.BALANCE_LOW, EventType.BALANCE_RECOVERED
SUBJECT = Subject("clips", "low", "low_balance", Severity.WARNING, 1, RECOVERED)
ENTERED = Notified(entered=True)


def step(
    memory: RuleMemory, verdict: RuleVerdict, *news: News, subject: Subject = SUBJECT, after: timedelta = timedelta()
) -> Advance:
    return advance(
        subject,
        memory,
        verdict,
        lambda verdict, notified: news,
        why=lambda verdict: f"it is {verdict.condition.value}",
        new_id=lambda prefix: f"{prefix}_1",
        now=START + after,
    )


def opened() -> RuleMemory:
    return step(NEW_RULE, BREACH, News(LOW, ENTERED)).memory


@pytest.mark.parametrize(
    ("verdict", "reason"),
    [(UNKNOWN, "nothing is known: the last state is kept"), (BETWEEN, "not in breach, and not beyond the clear line")],
)
def test_what_leaves_an_open_episode_open_says_why_and_without_one_says_nothing(
    verdict: RuleVerdict, reason: str
) -> None:
    (said,) = step(opened(), verdict).reasons
    assert said.startswith(reason)
    assert step(NEW_RULE, verdict) == Advance(NEW_RULE)


def test_an_episode_is_opened_counted_from_and_notified_by_its_first_event() -> None:
    memory = replace(NEW_RULE, breaches=2)
    moved = step(
        memory, BREACH, News(LOW, Notified(True)), News(EventType.BUDGET_PROJECTED, Notified(True, projected=True))
    )
    episode = moved.memory.episode
    assert episode is not None
    assert (episode.id, episode.notified_type, episode.notified_at, episode.why) == ("ep_1", LOW, START, "it is breach")
    assert [notification.type for notification in moved.notifications] == [LOW, EventType.BUDGET_PROJECTED]
    assert moved.memory == replace(NEW_RULE, episode=episode, notified=Notified(True, projected=True))
    assert moved.reasons == ()


@pytest.mark.parametrize("for_readings", [1, 2, 3])
def test_an_episode_opens_with_the_reading_that_the_rule_waits_for(for_readings: int) -> None:
    subject, memory = replace(SUBJECT, for_readings=for_readings), NEW_RULE
    for count in range(1, for_readings):
        moved = step(memory, BREACH, News(LOW, ENTERED), subject=subject)
        assert moved.reasons == (f"in breach for {count} of {for_readings} readings",)
        assert (moved.notifications, moved.memory.breaches) == ((), count)
        memory = moved.memory
    assert len(step(memory, BREACH, News(LOW, ENTERED), subject=subject).notifications) == 1


@pytest.mark.parametrize("verdict", [CLEAR, BETWEEN])
def test_breaches_count_only_in_a_row(verdict: RuleVerdict) -> None:
    assert step(replace(NEW_RULE, breaches=1), verdict).memory == NEW_RULE


def test_what_was_notified_already_says_whether_in_the_episode_or_in_the_period() -> None:
    assert step(opened(), BREACH).reasons == (ALREADY_NOTIFIED,)
    assert step(NEW_RULE, BREACH).reasons == ("already notified in this period",)


@pytest.mark.parametrize("ended_type", [RECOVERED, None])
def test_an_end_is_notified_where_its_kind_has_an_event_for_it(ended_type: EventType | None) -> None:
    moved = step(opened(), CLEAR, subject=replace(SUBJECT, ended_type=ended_type), after=timedelta(hours=1))
    assert [notification.type for notification in moved.notifications] == ([] if ended_type is None else [ended_type])
    assert moved.ended is not None
    assert (moved.ended.closed_at, moved.ended.closed_why) == (START + timedelta(hours=1), "it is clear")
    assert moved.memory == replace(opened(), episode=None, notified=NOTHING_NOTIFIED)


EIGHTY, NINETY = Decimal(80), Decimal(90)


@pytest.mark.parametrize(
    ("notified", "reached", "kept"), [(NINETY, EIGHTY, EIGHTY), (EIGHTY, NINETY, EIGHTY), (NINETY, None, None)]
)
def test_an_edit_untells_the_steps_that_are_not_reached_any_more(
    notified: Decimal, reached: Decimal | None, kept: Decimal | None
) -> None:
    memory = replace(NEW_RULE, notified=Notified(True, notified))
    assert rebase(memory, RuleVerdict(Condition.BREACH, reached), Severity.WARNING, "x").notified.step == kept
    assert rebase(memory, UNKNOWN, Severity.WARNING, "x").notified == memory.notified


@pytest.mark.parametrize(
    ("notified", "verdict", "kept"),
    [
        (True, RuleVerdict(Condition.BREACH, projected=True), True),
        (True, BREACH, False),
        (True, UNKNOWN, True),
        (False, RuleVerdict(Condition.BREACH, projected=True), False),
    ],
)
def test_an_edit_untells_a_projection_that_is_not_above_any_more(
    notified: bool, verdict: RuleVerdict, kept: bool
) -> None:
    memory = replace(NEW_RULE, notified=Notified(True, projected=notified))
    assert rebase(memory, verdict, Severity.WARNING, "x").notified.projected is kept


def test_a_reminder_is_due_so_long_after_the_last_word_and_never_of_what_was_not_notified() -> None:
    episode, day = opened().episode, timedelta(days=1)
    assert episode is not None
    assert reminder_due(episode, day, START + day)
    assert not reminder_due(episode, day, START + day - timedelta(seconds=1))
    assert not reminder_due(episode, None, START + 9 * day)
    assert not reminder_due(replace(episode, notified_at=None), day, START + 9 * day)
