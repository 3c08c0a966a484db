"""Accounts that are polled by how long they last, by the real service in virtual time: rarely, and never too late."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from alerts.model.polling import AutoPoll
from alerts.model.readings import Known, Metrics, Reason, Unavailable
from alerts.model.specs import LowBalance
from alerts.model.values import replace
from alerts.rules.next_poll import RETRY
from alerts.rules.state import AccountState, Outage
from daemon.clock import SeededIds
from daemon.compose import open_service
from daemon.config.load import load
from daemon.config.model import AccountConfig, Config
from daemon.limits import AUTO_LOOKS
from daemon.status.overview import look
from daemon.status.text import lines
from daemon.work.auto_polls import AutoPolls
from daemon.work.changed import Changed
from daemon.work.due_polls import DuePolls
from daemon.work.service import Service
from tests.service.test_idle import ACCOUNT, HOUR_S, Steps
from tests.sim.clocks import SkewedClock, TrueClock, run

START = datetime(2026, 11, 10, 9, 0, 30, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
HEAD = '[store]\npath = "{folder}/b.db"\n[http]\nlisten = ""\n'
RULE = '[[rules]]\nid = "low"\nkind = "low_balance"\nbelow_usd = 5.00\n'


@dataclass
class Purse:
    """A balance that falls evenly, from `since` on."""

    balance: float
    per_hour: float = 0.0
    since: datetime = START
    total: float = 0.0

    def at(self, now: datetime) -> tuple[float, float]:
        burnt = self.per_hour * ((now - self.since) / HOUR)
        return round(self.balance - burnt, 6), round(self.total + burnt, 6)

    def burn(self, per_hour: float, now: datetime) -> None:
        self.balance, self.total = self.at(now)
        self.since, self.per_hour = now, per_hour

    def reaches(self, balance: float) -> datetime:
        return self.since + (self.balance - balance) / self.per_hour * HOUR


class Apis(httpx.AsyncBaseTransport):
    """The usage APIs, each account's own; `told_to_wait` are answered 429."""

    def __init__(self, clock: TrueClock, **purses: Purse) -> None:
        self.clock, self.purses = clock, purses
        self.asked: dict[str, list[datetime]] = defaultdict(list)
        self.told_to_wait: dict[str, str] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        id, now = request.url.path.split("/")[1], self.clock.now()
        self.asked[id].append(now)
        if id in self.told_to_wait:
            return httpx.Response(429, headers={"Retry-After": self.told_to_wait[id]})
        balance, total = self.purses[id].at(now)
        return httpx.Response(200, json={"balance_usd": balance, "uncharged_usage_usd": 0, "total_charged_usd": total})

    def since(self, id: str, at: datetime) -> list[datetime]:
        return [one for one in self.asked[id] if one > at]


@dataclass
class Stage:
    service: Service
    steps: Steps
    clock: SkewedClock
    truth: TrueClock
    apis: Apis

    async def live(self, lasts: timedelta) -> None:
        await self.steps.live(lasts / SECOND)


def play(
    folder: Path, polls: dict[str, str], purses: dict[str, Purse], story: Callable[[Stage], Awaitable[None]]
) -> None:
    text = HEAD.format(folder=folder) + RULE
    text += "".join(ACCOUNT.format(id=id, poll=poll) for id, poll in polls.items())
    (folder / "config.toml").write_text(text)

    async def live() -> None:
        truth, woken = TrueClock(START), asyncio.Event()
        clock = SkewedClock(truth)
        apis = Apis(truth, **purses)
        config = load(folder / "config.toml")
        async with open_service(
            config, clock=clock, ids=SeededIds(1), transport=apis, overlap=True, wake=woken.set
        ) as service:
            await story(Stage(service, Steps(service, woken, clock), clock, truth, apis))
            assert service.stale_jobs(clock.now()) == []
            await service.drain(1.0)

    run(live)


@pytest.mark.long
def test_what_lasts_is_polled_hourly_and_what_is_near_each_minute(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.live(DAY + 10 * MINUTE)
        begin = stage.truth.now()
        stage.steps.taken = 0
        await stage.live(5 * HOUR)
        far, near, cron = (len(stage.apis.since(id, begin)) for id in ("far", "near", "cron"))
        assert 5 <= far <= 6
        assert 297 <= near <= 301
        assert cron == 60
        assert stage.steps.taken < 5 * (HOUR_S / 30 + 5 * 60)
        waits = [two - one for one, two in pairwise(stage.apis.asked["near"])]
        assert min(waits) >= MINUTE - SECOND
        _is_shown(stage)

    polls = {"far": "auto", "near": "auto", "cron": "*/5 * * * *"}
    purses = {"far": Purse(900, 0.1), "near": Purse(5.0), "cron": Purse(50)}
    play(tmp_path, polls, purses, story)


def _is_shown(stage: Stage) -> None:
    config, service, now = stage.service.config, stage.service, stage.clock.now()
    said = {}
    for id in ("far", "near", "cron"):
        state = service.evaluator.state(id)
        one = look(config, config.accounts[id], state, service.store.reader, now)
        said[id] = dict(lines(one, config.timezone)).get("polled", "")
        assert not one.is_old
        if one.next_poll is not None:
            assert now - 2 * SECOND <= one.next_poll.at <= now + HOUR
    assert said["far"].startswith("auto: hourly, over a year to low; next at ")
    assert said["near"].startswith("auto: each minute, ")
    assert said["cron"] == ""


@pytest.mark.long
@pytest.mark.parametrize("factor", [1, 24, 200])
def test_a_breach_is_seen_within_the_shortest_interval_however_fast_the_burn_has_become(
    tmp_path: Path, factor: int
) -> None:
    async def story(stage: Stage) -> None:
        await stage.live(3 * DAY)
        purse = stage.apis.purses["clips"]
        purse.burn(0.1 * factor, stage.truth.now())
        breach = purse.reaches(5)
        await stage.live(breach - stage.truth.now() + MINUTE + 2 * SECOND)
        row = stage.service.store.reader.execute("SELECT at_ms FROM event WHERE type = 'balance.low'").fetchone()
        assert row is not None
        seen_after = row[0] / 1000 - breach.timestamp()
        assert 0 <= seen_after <= 61

    play(tmp_path, {"clips": "auto"}, {"clips": Purse(205 if factor > 1 else 15, 0.1)}, story)


@pytest.mark.parametrize("back", [5 * HOUR, 3 * DAY])
def test_a_clock_that_went_back_delays_no_poll_beyond_the_longest_interval(tmp_path: Path, back: timedelta) -> None:
    async def story(stage: Stage) -> None:
        await stage.live(2 * DAY)
        stage.clock.skew -= back
        stepped = stage.truth.now()
        await stage.live(3 * HOUR)
        times = [stepped, *stage.apis.since("far", stepped)]
        assert len(times) >= 4
        assert max(two - one for one, two in pairwise(times)) <= HOUR + 31 * SECOND

    play(tmp_path, {"far": "auto"}, {"far": Purse(900, 0.1)}, story)


def test_a_clock_that_went_on_makes_everything_due_once(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.live(2 * DAY)
        stage.clock.skew += 7 * HOUR
        stepped = stage.truth.now()
        await stage.live(40 * MINUTE)
        assert len(stage.apis.since("far", stepped - SECOND)) == 1

    play(tmp_path, {"far": "auto"}, {"far": Purse(900, 0.1)}, story)


def test_a_provider_that_is_down_is_told_and_left_alone_and_retry_after_is_kept(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.live(2 * HOUR)
        stage.apis.told_to_wait["near"] = "200"
        stepped = stage.truth.now()
        await stage.live(30 * MINUTE)
        asked = stage.apis.since("near", stepped)
        assert 200 <= min((two - one) / SECOND for one, two in pairwise(asked)) <= 231
        told = stage.service.store.reader.execute("SELECT at_ms FROM event WHERE type = 'reading.unavailable'")
        assert [round(row[0] / 1000 - stepped.timestamp()) // 60 for row in told] in ([6], [7], [8])
        del stage.apis.told_to_wait["near"]
        await stage.live(5 * MINUTE)
        assert stage.service.evaluator.state("near").outage is None

    play(tmp_path, {"near": "auto"}, {"near": Purse(5.0)}, story)


# ── another configuration ───────────────────────────────────────────────────────────────────────────────────────────


def having(config: Config, **changed: object) -> Config:
    account = replace(config.accounts["far"], **changed)
    return replace(config, accounts={**config.accounts, "far": account})


def test_an_account_moves_between_a_cron_and_its_own_times(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        service = stage.service
        await stage.live(2 * DAY)

        async def asked_with(lasts: timedelta, **changed: object) -> int:
            service.take(having(service.config, **changed))
            begin = stage.truth.now()
            await stage.live(lasts)
            return len(stage.apis.since("far", begin))

        assert await asked_with(2 * HOUR, poll="*/10 * * * *") == 12
        assert service.crons == ("*/10 * * * *",)
        assert await asked_with(10 * HOUR, poll=AutoPoll(MINUTE, 2 * HOUR)) in (10, 11), "the spike's window"
        assert list(service.crons) == []
        assert await asked_with(HOUR, poll=AutoPoll(MINUTE, 5 * MINUTE)) in (12, 13, 14)
        service.take(replace(service.config, accounts={}))
        begin = stage.truth.now()
        await stage.live(HOUR)
        assert stage.apis.since("far", begin) == []

    play(tmp_path, {"far": "auto"}, {"far": Purse(900, 0.1)}, story)


def test_an_edited_rule_that_has_come_near_is_watched_at_once(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.live(2 * DAY)
        service = stage.service
        near = LowBalance(id="low", below_microusd=895_000_000, clear_above_microusd=899_000_000)
        begin = stage.truth.now()
        others = tuple(rule for rule in service.config.rules if rule.id != "low")
        service.take(replace(service.config, rules=(near, *others)))
        await stage.live(30 * MINUTE)
        assert len(stage.apis.since("far", begin)) >= 25

    play(tmp_path, {"far": "auto"}, {"far": Purse(900, 0.1)}, story)


def test_what_another_daemon_hands_over_is_asked_when_it_would_have_been(tmp_path: Path) -> None:
    """No stampede: who was read lately is left alone until its time, who was missed is asked at once."""

    async def story(stage: Stage) -> None:
        service = stage.service
        await stage.live(2 * DAY)
        service.take(replace(service.config, accounts={}))
        await stage.live(10 * MINUTE)
        known, now = service.evaluator, stage.clock.now()
        read = next(iter(load(tmp_path / "config.toml").accounts.values()))
        state = _state_of(stage, "far")
        accounts, states = {}, {}
        for id, ago in (("fresh", 20 * MINUTE), ("missed", 2 * HOUR), ("new", None)):
            accounts[id] = replace(read, info=replace(read.info, id=id), url=read.url.replace("far", id))
            stage.apis.purses[id] = Purse(900, 0.1)
            if ago is not None:
                assert state.last is not None
                states[id] = replace(state, account=id, last=Known(id, now - ago, state.last.metrics))
        assert known.states() == {}
        service.take(replace(service.config, accounts=accounts), states)
        await stage.live(10 * SECOND)
        assert {id: len(stage.apis.asked[id]) for id in accounts} == {"fresh": 0, "missed": 1, "new": 1}
        await stage.live(45 * MINUTE)
        assert len(stage.apis.asked["fresh"]) == 1

    play(tmp_path, {"far": "auto"}, {"far": Purse(900, 0.1)}, story)


def _state_of(stage: Stage, id: str) -> AccountState:
    from daemon.store import states

    return states.load(stage.service.store.reader, id)


# ── the due times themselves ────────────────────────────────────────────────────────────────────────────────────────


def configured(folder: Path, *ids: str) -> Config:
    (folder / "config.toml").write_text(
        HEAD.format(folder=folder) + RULE + "".join(ACCOUNT.format(id=id, poll="auto") for id in ids)
    )
    return load(folder / "config.toml")


def states_of(states: dict[str, AccountState]) -> Callable[[str], AccountState]:
    return lambda id: states.get(id) or AccountState.new(id)


def test_an_answer_that_never_comes_is_asked_for_again(tmp_path: Path) -> None:
    polls = AutoPolls(configured(tmp_path, "a", "b"), states_of({}), lambda: None)
    assert polls.next_at() is None
    polls.begin(START)
    assert set(polls.take_due(START)) == {"a", "b"}
    assert polls.take_due(START + MINUTE) == ()
    assert polls.next_at() == START + RETRY
    polls.answered("a", Unavailable("a", START, Reason.TIMEOUT), AccountState.new("a"), START)
    polls.answered("gone", Unavailable("gone", START, Reason.TIMEOUT), AccountState.new("gone"), START)
    assert polls.take_due(START + MINUTE) == ("a",)
    assert polls.take_due(START + RETRY) == ("b",)


def test_a_clock_that_goes_back_while_answers_are_awaited_does_not_lose_them(tmp_path: Path) -> None:
    polls = AutoPolls(configured(tmp_path, "a"), states_of({}), lambda: None)
    polls.begin(START)
    assert polls.take_due(START) == ("a",)
    earlier = START - DAY
    assert polls.take_due(earlier) == ()
    assert polls.take_due(earlier + RETRY) == ("a",)
    polls.answered("a", Known("a", START + DAY, Metrics()), AccountState.new("a"), earlier)
    assert polls.next_at() == earlier + HOUR, "an answer by the old clock is bounded too"


def test_who_is_due_sooner_than_was_said_wakes_the_service(tmp_path: Path) -> None:
    woken: list[int] = []
    polls = AutoPolls(configured(tmp_path, "a", "b"), states_of({}), lambda: woken.append(1))
    polls.begin(START)
    polls.take_due(START)
    polls.next_at()
    polls.answered("a", Unavailable("a", START, Reason.TIMEOUT), AccountState.new("a"), START)
    assert woken == [1]
    assert polls.next_at() == START + MINUTE
    polls.answered("b", Unavailable("b", START + SECOND, Reason.TIMEOUT), AccountState.new("b"), START + SECOND)
    assert woken == [1]


def test_a_changed_rule_is_worked_out_for_a_bounded_number_of_accounts_a_step(tmp_path: Path) -> None:
    ids = [f"a{number}" for number in range(3 * AUTO_LOOKS)]
    config = configured(tmp_path, *ids)
    asked: list[str] = []
    outage = Outage(START, 1, Reason.TIMEOUT, "", START)

    def state_of(id: str) -> AccountState:
        asked.append(id)
        return replace(AccountState.new(id), outage=outage)

    polls = AutoPolls(config, state_of, lambda: None)
    polls.begin(START)
    for id in polls.take_due(START):
        polls.answered(id, Unavailable(id, START, Reason.TIMEOUT), AccountState.new(id), START)
    rule = LowBalance(id="other", below_microusd=1, clear_above_microusd=2, accounts=("a1",))
    for accounts, looks in ((("a1",), [1]), (("a*",), [AUTO_LOOKS, AUTO_LOOKS, AUTO_LOOKS])):
        after = replace(config, rules=(*config.rules, replace(rule, accounts=accounts)))
        polls.take(after, Changed.between(config, after))
        for count in looks:
            asked.clear()
            assert polls.next_at() == START
            polls.take_due(START)
            assert len(asked) == count
    assert polls.next_at() == START + MINUTE


def test_who_awaits_a_credit_is_polled_each_five_minutes_at_least(tmp_path: Path) -> None:
    due = DuePolls(configured(tmp_path, "a"), states_of({}))
    due.begin(START)
    assert due.take_due(START) == [(("a",), True)]
    assert due.for_credit(["a", "elsewhere"]) == {"a": START + 5 * MINUTE}
    due.asked(["a"], START + MINUTE)
    assert due.for_credit(["a"]) == {"a": START + 6 * MINUTE}


def test_an_account_that_should_have_been_asked_long_ago_is_late(tmp_path: Path) -> None:
    due = DuePolls(configured(tmp_path, "a"), states_of({}))
    assert due.next_at() is None
    due.begin(START)
    assert list(due.late(START + MINUTE)) == []
    assert list(due.late(START + 2 * MINUTE)) == [f"poll auto: due since {START.isoformat()}"]


def test_a_top_up_that_is_off_is_nothing_to_wait_for(tmp_path: Path) -> None:
    """And one that is not is a level: the account is watched closely just above it."""
    from daemon.config.model import TopupConfig, TopupMode
    from daemon.status.polls import next_poll_of

    account: AccountConfig = configured(tmp_path, "a").accounts["a"]
    topup = TopupConfig(
        when_below_microusd=100,
        customer="cus_1",
        max_charge_microusd=1,
        max_per_day_microusd=1,
        max_per_month_microusd=1,
        cover_days=Decimal(1),
    )
    state = replace(AccountState.new("a"), last=Known("a", START, Metrics(balance_microusd=99)))
    for mode, why in ((TopupMode.OFF, "never read"), (TopupMode.SHADOW, "0 min to the top-up")):
        found = next_poll_of(replace(account, topup=replace(topup, mode=mode)), (), state)
        assert found is not None
        assert found.why == why
