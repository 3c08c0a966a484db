"""Whatever is read, in whatever order: episodes alternate, numbers have no gap, nothing comes from the unknown."""

from collections import defaultdict
from datetime import timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.model.money import to_micro
from alerts.model.readings import Known, Reason
from alerts.model.specs import Budget, LowBalance, Period, Quota, RuleSpec, Runway, Spike, Stale
from alerts.rules.evaluation import Evaluation
from daemon.store.statecodec import decode_metrics, decode_state_blob, encode_metrics, encode_state_blob
from tests.helpers_alerts import Watched, metrics

RULES: tuple[RuleSpec, ...] = (
    LowBalance(id="low", below_microusd=to_micro(5), clear_above_microusd=to_micro(6), remind_every=timedelta(hours=2)),
    LowBalance(id="slow", below_microusd=to_micro(20), clear_above_microusd=to_micro(24), for_readings=3),
    Runway(id="runway", below_days=Decimal(3), clear_above_days=Decimal("3.6")),
    Quota(
        id="quota", at_percent=(Decimal(80), Decimal(100)), clear_below_percent=Decimal(78), forecast_days=Decimal(7)
    ),
    Budget(id="budget", period=Period.DAY, limit_microusd=to_micro(30)),
    Spike(id="spike", min_microusd_per_day=to_micro(1)),
    Stale(id="stale"),
)
EDITED: tuple[RuleSpec, ...] = (
    LowBalance(id="low", below_microusd=to_micro(8), clear_above_microusd=to_micro(9)),
    *RULES[2:],
)
PAIRS = {
    "balance.low": "balance.recovered",
    "runway.short": "runway.recovered",
    "usage.spike": "usage.spike_ended",
    "billing.error": "billing.restored",
}
FINAL = {*PAIRS.values(), "quota.recovered", "reading.restored"}

amounts = st.integers(-3, 120).map(lambda tenths: tenths / 2)
said = st.fixed_dictionaries(
    {},
    optional={
        "balance": amounts,
        "uncharged": st.integers(0, 4),
        "total": st.integers(0, 60),
        "active_videos": st.integers(0, 40),
        "cost": st.just(0.015),
        "used": amounts,
        "reserved": st.integers(0, 20),
        "limit": st.sampled_from([40, 60]),
        "billing_error": st.sampled_from(["", "card expired"]),
    },
)
waits = st.sampled_from([1, 5, 30, 60, 700, 3000])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("read"), waits, said, st.sampled_from(["agrees", None, Reason.TIMEOUT])),
        st.tuples(st.just("fail"), waits, st.sampled_from(list(Reason)), st.none()),
        st.tuples(st.just("beat"), waits, st.none(), st.none()),
        st.tuples(st.just("mute"), waits, st.sampled_from(["low", "quota", "account:reading"]), st.none()),
        st.tuples(st.just("edit"), waits, st.sampled_from([RULES, EDITED]), st.none()),
        st.tuples(st.just("restart"), waits, st.none(), st.none()),
    ),
    max_size=60,
)


def live(account: Watched, moves: list[tuple[str, int, Any, Any]]) -> None:
    for move, after, what, second in moves:
        if move == "read":
            account.read(after, second=second, **what)
        elif move == "fail":
            account.fail(what, after)
        elif move == "beat":
            account.beat(after)
        elif move == "mute":
            account.mutes[what] = account.now + timedelta(minutes=after)
        elif move == "edit":
            account.rules = tuple(what)
        else:
            forget(account)
    account.mutes.clear()
    account.beat()


def forget(account: Watched) -> None:
    """Start the process anew: only what is written is remembered."""
    state = account.state
    rest = decode_state_blob(encode_state_blob(state), state.account)
    assert rest.rules == state.rules
    assert rest.held == state.held
    last = state.last
    if last is not None:
        assert decode_metrics(encode_metrics(last.metrics)) == last.metrics
        last = Known(last.account, last.at, last.metrics)
    account.state = type(state)(
        state.account, last, rest.outage, state.spend, state.burn, rest.rules, rest.held, rest.remind_at
    )


@settings(max_examples=150, deadline=None)
@given(steps)
def test_entering_and_ending_alternate_strictly_for_each_rule(moves: list[tuple[str, int, Any, Any]]) -> None:
    account = Watched(*RULES)
    live(account, moves)
    open_episode: dict[str, str] = {}
    ended: set[str] = set()
    for event in account.events:
        data = event["data"]
        rule, episode = data["rule"], data["episode"]
        if event["type"] in FINAL:
            assert open_episode.pop(rule) == episode
            ended.add(episode)
        elif event["type"] in PAIRS or event["type"] in ("quota.high", "quota.exceeded", "reading.unavailable"):
            assert episode not in ended
            further = data.get("reminder") or event["type"] in (
                "quota.high",
                "quota.exceeded",
                "reading.unavailable",
                "billing.error",
            )
            assert open_episode.get(rule, episode) == episode
            assert further or rule not in open_episode
            assert not data.get("reminder") or rule in open_episode
            open_episode[rule] = episode


@settings(max_examples=100, deadline=None)
@given(steps)
def test_the_numbers_of_an_account_have_no_gap_and_no_repeat(moves: list[tuple[str, int, Any, Any]]) -> None:
    account = Watched(*RULES)
    live(account, moves)
    assert [event["data"]["sequence"] for event in account.events] == list(range(1, len(account.events) + 1))


@settings(max_examples=100, deadline=None)
@given(steps)
def test_nothing_but_reminders_and_outages_comes_from_what_is_not_known(moves: list[tuple[str, int, Any, Any]]) -> None:
    account = Watched(*RULES)
    live(account, [move for move in moves if move[0] not in ("mute", "edit")])
    for evaluation in account.evaluations:
        if evaluation.accepted is None:
            for draft in evaluation.drafts:
                own = draft.type.value in ("reading.unavailable", "reading.suspect")
                assert own or draft.data.get("reminder") is True


@settings(max_examples=100, deadline=None)
@given(steps)
def test_steps_of_a_period_are_notified_once_and_only_deeper(moves: list[tuple[str, int, Any, Any]]) -> None:
    account = Watched(*RULES)
    live(account, moves)
    told: dict[str, list[float]] = defaultdict(list)
    for data in account.data("budget.reached"):
        told[data["period_start"]].append(data["step_percent"])
        assert data["spent_usd"] >= 0
    assert all(steps == sorted(set(steps)) for steps in told.values())
    projected = [data["period_start"] for data in account.data("budget.projected")]
    assert len(projected) == len(set(projected))


@settings(max_examples=60, deadline=None)
@given(steps)
def test_every_evaluation_is_the_same_for_the_same_past(moves: list[tuple[str, int, Any, Any]]) -> None:
    one, two = Watched(*RULES), Watched(*RULES)
    live(one, moves)
    live(two, moves)
    assert one.events == two.events
    assert list(map(outcome, one.evaluations)) == list(map(outcome, two.evaluations))


def outcome(evaluation: Evaluation) -> tuple[object, ...]:
    return evaluation.state, evaluation.episodes, evaluation.decisions


def test_the_moves_of_these_tests_reach_every_kind_of_rule() -> None:
    account = Watched(*RULES)
    account.read(balance=4, total=0, active_videos=40, cost=0.015, used=90, limit=100)
    account.read(balance=4, total=40, active_videos=40, cost=0.015, used=90, limit=100)
    assert {data["rule"] for event in account.events for data in [event["data"]]} >= {
        "low",
        "runway",
        "quota",
        "budget",
    }
    assert metrics(balance=4).balance_microusd == to_micro(4)
