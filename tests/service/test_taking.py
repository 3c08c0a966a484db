"""Another configuration while the service runs: what changes takes effect at once, what does not goes on untouched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from zoneinfo import ZoneInfo

from alerts.delivery import notices
from alerts.model.readings import Unavailable
from alerts.model.receivers import Receiver, Receivers, WebhookReceiver
from alerts.model.specs import LowBalance, RuleSpec
from alerts.model.values import replace
from daemon.compose import open_service
from daemon.config.load import load
from daemon.config.model import AccountConfig, ApiConfig, Config, ManagedBy
from daemon.demo.standins.receiver import Fault
from daemon.demo.standins.usage import Slow
from daemon.work.evaluator import Fetched
from daemon.work.service import Service
from tests.service.conftest import KEY, LOW, TOPUP, Town

OTHER = "cs_test_other"


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running(town: Town, path: Path, **changes: object) -> AsyncIterator[Service]:
    """The service as `run` has it: it steps whenever it is woken, and every moment."""
    woken, config = asyncio.Event(), replace(load(path), **changes)

    async def steps(service: Service) -> None:
        while True:
            woken.clear()
            await service.step(town.clock.now())
            try:
                async with asyncio.timeout(0.05):
                    await woken.wait()
            except TimeoutError:
                continue

    async with open_service(config, clock=town.clock, ids=town.ids, overlap=True, wake=woken.set) as service:
        stepping = asyncio.ensure_future(steps(service))
        try:
            yield service
            assert not stepping.done()
            assert [job.health.last_error for job in service.jobs] == [""] * len(service.jobs)
        finally:
            stepping.cancel()
            await asyncio.wait([stepping])
            await service.drain(1.0)


def account(town: Town, id: str, key: str, **changes: object) -> AccountConfig:
    """An account as the API would make it, of the same provider and stand-in."""
    known = load(town.folder / "config.toml").accounts["clips"]
    info = replace(known.info, id=id, label="")
    return replace(known, info=info, api_key=type(known.api_key)(key), **changes)


def having(config: Config, *accounts: AccountConfig) -> Config:
    return replace(config, accounts={**config.accounts, **{one.id: one for one in accounts}})


def without(config: Config, *ids: str) -> Config:
    return replace(config, accounts={id: one for id, one in config.accounts.items() if id not in ids})


def ruled(config: Config, *rules: RuleSpec) -> Config:
    """The same with these rules; one whose id is known takes its place."""
    ids = {rule.id for rule in rules}
    return replace(config, rules=(*(one for one in config.rules if one.id not in ids), *rules))


def heard_by(config: Config, *receivers: Receiver) -> Config:
    return replace(config, receivers=Receivers(receivers))


def types(service: Service, account: str) -> list[str]:
    rows = service.store.reader.execute("SELECT type FROM event WHERE account = ? ORDER BY number", (account,))
    return [row[0] for row in rows]


def read(service: Service, account: str) -> bool:
    state = service.evaluator.states().get(account)
    return state is not None and state.last is not None


# ── accounts ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_account_that_is_added_is_polled_at_once_then_by_its_own_schedule(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="12.45", active_videos=0)
    town.usage.prepaid(OTHER, balance_usd="3.00", active_videos=0)
    async with running(town, town.configure()) as service:
        await until(lambda: read(service, "clips"))
        asked = town.usage.asked[KEY]
        service.take(having(service.config, account(town, "late", OTHER, poll="*/7 * * * *")))
        assert service.crons == ("*/5 * * * *", "*/7 * * * *")
        await until(lambda: read(service, "late"))
        assert (town.usage.asked[OTHER], town.usage.asked[KEY]) == (1, asked)
        town.clock.advance(7 * 60 + 1)
        await until(lambda: town.usage.asked[OTHER] == 2)
        assert "2 accounts, 2 read" in service.freshness(town.clock.now()).doing


async def test_an_account_is_added_while_the_poll_of_another_is_in_flight(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="12.45", active_videos=0)
    town.usage.prepaid(OTHER, balance_usd="3.00", active_videos=0)
    town.usage.fail(KEY, Slow(0.6))
    async with running(town, town.configure()) as service:
        await until(lambda: town.usage.asked[KEY])
        service.take(having(service.config, account(town, "late", OTHER)))
        await until(lambda: read(service, "late"))
        assert not read(service, "clips")
        await until(lambda: read(service, "clips"))
        assert town.usage.asked[OTHER] == 1


async def test_two_answers_of_one_account_in_a_batch_are_judged_once(town: Town) -> None:
    """Its terms changed while it waited for an answer, so that it was asked twice."""
    town.usage.prepaid(KEY, balance_usd="7.50", active_videos=0)
    async with running(town, town.configure()) as service:
        await until(lambda: read(service, "clips"))
        service.take(ruled(service.config, low("lower", 7_000_000, "clips")))
        town.usage.prepaid(KEY, balance_usd="6.50", active_videos=0)
        account = service.config.accounts["clips"]
        answers = [Fetched(account, await service.poller.reread("clips")) for _ in range(2)]
        service.poller._fetched.extend(answers)
        await service.poller._commit()
        assert service.poller.health.last_error == ""
        rows = service.store.reader.execute("SELECT count(*) FROM episode WHERE rule = 'lower'").fetchone()
        assert rows == (1,)


async def test_an_account_that_is_gone_is_polled_no_more_and_what_it_still_answers_is_dropped(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="12.45", active_videos=0)
    town.usage.prepaid(OTHER, balance_usd="3.00", active_videos=0)
    path = town.configure()
    async with running(town, path) as service:
        service.take(having(service.config, account(town, "late", OTHER, poll="*/7 * * * *")))
        await until(lambda: read(service, "late") and read(service, "clips"))
        town.usage.fail(OTHER, Slow(0.3))
        town.clock.advance(7 * 60 + 1)
        await until(lambda: town.usage.asked[OTHER] == 2)
        town.usage.prepaid(OTHER, balance_usd="2.00", active_videos=0)
        service.take(without(service.config, "late"))
        await until(lambda: not service.poller.busy)
        assert set(service.evaluator.states()) == set(service.polls.last) == {"clips"}
        assert service.crons == ("*/5 * * * *",)
        assert service.stale_jobs(town.clock.now()) == []
        assert "1 accounts, 1 read" in service.freshness(town.clock.now()).doing
        (count,) = service.store.reader.execute("SELECT count FROM latest WHERE account = 'late'").fetchone()
        town.clock.advance(3600)
        await until(lambda: town.usage.asked[KEY] > 2)
        assert town.usage.asked[OTHER] == 2
        assert count == 1


async def test_another_key_is_asked_at_once_and_the_answer_to_the_old_one_is_dropped(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="12.45", active_videos=0)
    town.usage.prepaid(OTHER, balance_usd="3.00", active_videos=0)
    town.usage.fail(KEY, Slow(0.4))
    async with running(town, town.configure()) as service:
        await until(lambda: town.usage.asked[KEY])
        service.take(having(service.config, account(town, "clips", OTHER)))
        await until(lambda: read(service, "clips"))
        assert types(service, "clips") == ["balance.low"]
        await until(lambda: not service.poller.busy)
        last = service.evaluator.state("clips").last
        assert last is not None
        assert last.metrics.available_microusd == 3_000_000
        assert (town.usage.asked[KEY], town.usage.asked[OTHER]) == (1, 1)


async def test_an_account_that_waits_for_its_turn_is_asked_once_as_it_is_by_then(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="12.45", active_videos=0)
    town.usage.prepaid(OTHER, balance_usd="3.00", active_videos=0)
    async with running(town, town.configure()) as service:
        await until(lambda: read(service, "clips"))
        many = [account(town, f"a{n}", KEY) for n in range(8)]
        town.usage.fail(KEY, Slow(0.3), times=8)
        service.take(having(service.config, *many))
        await until(lambda: town.usage.asked[KEY] == 9)  # as many as a host is asked at once
        service.take(having(service.config, account(town, "waits", KEY)))
        service.take(having(service.config, account(town, "waits", OTHER)))
        service.take(having(service.config, account(town, "back", OTHER), account(town, "gone", OTHER)))
        service.take(without(service.config, "back", "gone"))
        service.take(having(service.config, account(town, "back", OTHER)))
        await until(lambda: read(service, "waits") and read(service, "back"))
        await until(lambda: not service.poller.busy)
        assert (town.usage.asked[KEY], town.usage.asked[OTHER]) == (9, 2)
        assert service.poller.late() == ""


async def test_another_label_or_schedule_asks_nobody(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="12.45", active_videos=0)
    async with running(town, town.configure()) as service:
        await until(lambda: read(service, "clips"))
        known = service.config.accounts["clips"]
        other = replace(known, info=replace(known.info, label="Clips"), poll="0 * * * *")
        service.take(having(service.config, other))
        assert service.crons == ("0 * * * *",)
        town.clock.advance(1800)
        await asyncio.sleep(0.2)
        assert town.usage.asked[KEY] == 1
        town.clock.advance(1800)
        await until(lambda: town.usage.asked[KEY] == 2)


async def test_an_account_that_was_never_read_is_not_called_silent_since_the_start(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="12.45", active_videos=0)
    stale = '[[rules]]\nid = "silent"\nkind = "stale"\nafter = "2h"\n'
    async with running(town, town.configure(stale)) as service:
        for _ in range(40):
            town.clock.advance(300)
            await until(lambda: service.next_wake(town.clock.now()) > town.clock.now() + timedelta(seconds=1))
        service.take(having(service.config, account(town, "late", "cs_test_nobody")))
        await until(lambda: "late" in service.polls.last)
        await asyncio.sleep(0.1)
        assert types(service, "late") == ["reading.unavailable"]  # its key is wrong; not "no reading for three hours"
        (why,) = service.store.reader.execute("SELECT why FROM episode WHERE account = 'late'").fetchone()
        assert "unauthorized" in why


async def test_the_days_of_an_account_are_in_its_own_zone(town: Town) -> None:
    """From 23:30 in Berlin on it is tomorrow in Karachi: what is spent then counts there."""
    town.usage.prepaid(KEY, balance_usd="100.00", active_videos=0)
    budget = '[[rules]]\nid = "day"\nkind = "budget"\nperiod = "day"\nlimit_usd = 1000.00\n'
    async with running(town, town.configure(budget)) as service:
        await until(lambda: read(service, "clips"))
        known = service.config.accounts["clips"]
        service.take(having(service.config, replace(known, timezone=ZoneInfo("Asia/Karachi"))))
        town.clock.advance(11 * 3600)  # 20:00 UTC: 21:00 in Berlin, 01:00 of the next day in Karachi
        await until(lambda: town.usage.asked[KEY] == 2)
        await until(lambda: not service.poller.busy)
        memory = service.evaluator.state("clips").rules["day"]
        assert memory.period_start is not None
        assert f"{memory.period_start:%d %H:%M}" == "10 19:00"


# ── rules and receivers ─────────────────────────────────────────────────────────────────────────────────────────────


def low(id: str, below_microusd: int, *accounts: str, **more: object) -> LowBalance:
    return LowBalance(
        id=id,
        accounts=accounts or ("*",),
        below_microusd=below_microusd,
        clear_above_microusd=below_microusd + 1,
        **more,  # type: ignore[arg-type]
    )


async def test_an_edited_rule_is_judged_at_once_by_the_last_reading(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="12.45", active_videos=0)
    async with running(town, town.configure()) as service:
        await until(lambda: read(service, "clips"))
        untouched = service.evaluator.state("clips")
        service.take(ruled(service.config, low("else", 90_000_000, "nobody")))
        await asyncio.sleep(0.1)
        assert service.evaluator.state("clips") is untouched
        service.take(ruled(service.config, low("low", 20_000_000, "clips")))
        await until(lambda: town.events_of("balance.low"))
        assert town.usage.asked[KEY] == 1
        service.take(ruled(service.config, low("low", 1_000_000, "clips")))
        await until(lambda: town.events_of("balance.recovered"))
        service.take(ruled(service.config, low("every", 30_000_000)))
        await until(lambda: len(town.events_of("balance.low")) == 2)
        assert town.usage.asked[KEY] == 1


async def test_the_episode_of_a_rule_that_is_gone_ends_in_silence(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="4.50", active_videos=0)
    async with running(town, town.configure()) as service:
        await until(lambda: town.events_of("balance.low"))
        service.take(replace(service.config, rules=tuple(one for one in service.config.rules if one.id != "low")))

        def ended() -> list[str]:
            rows = service.store.reader.execute("SELECT closed_why FROM episode WHERE closed_at IS NOT NULL")
            return [row[0] for row in rows]

        await until(ended)
        assert ended() == ["the rule was removed"]
        assert types(service, "clips") == ["balance.low"]


async def test_a_subscription_hears_at_its_own_threshold_from_the_next_moment_on(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="6.50", active_videos=0)
    async with running(town, town.configure()) as service:
        await until(lambda: read(service, "clips"))
        app = service.config.receivers.all[0]
        assert isinstance(app, WebhookReceiver)
        mine = replace(app, id="sub_1", accounts=("clips",), owner="acme", own_threshold_microusd=7_000_000)
        config = heard_by(service.config, *service.config.receivers.all, mine)
        service.take(ruled(config, low(mine.key, 7_000_000, "clips", only_receiver=mine.key)))
        await until(lambda: town.events_of("balance.low"))

        def rows() -> list[tuple[str, str]]:
            return service.store.reader.execute("SELECT receiver, state FROM delivery").fetchall()

        await until(lambda: rows() == [("webhook:sub_1", "delivered")])


async def test_what_is_pending_for_a_receiver_that_is_gone_is_given_up(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="4.50", active_videos=0)
    town.receiver.fault = Fault(delay_s=0.5, status=503)
    async with running(town, town.configure()) as service:
        await until(lambda: town.receiver.received)
        mails = [one for one in service.config.receivers.all if one.key != "webhook:app"]
        service.take(heard_by(service.config, *mails))

        def states() -> set[tuple[str, str]]:
            query = "SELECT state, reason FROM delivery WHERE receiver = 'webhook:app'"
            return set(service.store.reader.execute(query))

        given_up = {("dead", "the receiver is no longer configured")}
        await until(lambda: states() == given_up)
        await asyncio.sleep(0.8)  # the attempt that was in flight has failed by now
        assert states() == given_up


# ── money ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def topped_up(town: Town) -> AccountConfig:
    return load(town.configure(LOW, topup=TOPUP, name="money.toml")).accounts["clips"]


async def test_a_topup_that_is_added_charges_a_low_account_by_a_new_reading(town: Town) -> None:
    """There was none at the start, so Stripe's side is opened now."""
    town.usage.prepaid(KEY, balance_usd="4.50", active_videos=0)
    path = town.configure(topup=TOPUP)
    path.write_text(path.read_text().replace(TOPUP, ""))
    async with running(town, path) as service:
        await until(lambda: read(service, "clips"))
        assert service.topups is None
        known = service.config.accounts["clips"]
        service.take(having(service.config, replace(known, topup=topped_up(town).topup)))
        await until(lambda: "topup.succeeded" in types(service, "clips"))
        assert town.usage.asked[KEY] >= 3  # at the start, for the charge, and the second read


async def test_other_terms_are_judged_by_a_new_reading_and_none_charge_no_more(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="12.45", active_videos=0)
    async with running(town, town.configure(topup=TOPUP)) as service:
        await until(lambda: read(service, "clips"))
        known = service.config.accounts["clips"]
        assert known.topup is not None
        service.take(having(service.config, replace(known, topup=replace(known.topup, when_below_microusd=20_000_000))))
        await until(lambda: "topup.succeeded" in types(service, "clips"))
        town.clock.advance(300)
        await until(lambda: "topup.credited" in types(service, "clips"))
        service.take(having(service.config, replace(known, topup=None)))
        town.usage.prepaid(KEY, balance_usd="1.00", active_videos=0)
        town.clock.advance(300)
        await until(lambda: "balance.low" in types(service, "clips"))
        await asyncio.sleep(0.2)
        assert len(town.stripe.intents()) == 1


# ── strangers ───────────────────────────────────────────────────────────────────────────────────────────────────────


def api(**allow: object) -> ApiConfig:
    """A ceiling of a dollar."""
    return ApiConfig(
        max_charge_microusd=1_000_000,
        max_per_day_microusd=1_000_000,
        max_per_month_microusd=1_000_000,
        max_per_day_total_microusd=1_000_000,
        **allow,  # type: ignore[arg-type]
    )


LOOPBACK = (ip_network("127.0.0.0/8"),)


async def test_an_account_made_by_api_is_polled_in_no_network_of_ours_unless_that_is_allowed(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="12.45", active_videos=0)
    town.usage.prepaid(OTHER, balance_usd="3.00", active_videos=0)
    path = town.configure()
    theirs = account(town, "theirs", OTHER, managed_by=ManagedBy.API)
    async with running(town, path, api=api(allow_subscriptions_at=LOOPBACK)) as service:
        service.take(having(service.config, theirs))
        await until(lambda: "theirs" in service.polls.last)
        reading = service.polls.last["theirs"].reading
        assert isinstance(reading, Unavailable)
        assert "[api] allow_accounts_at" in reading.detail
        assert town.usage.asked[OTHER] == 0
        await until(lambda: read(service, "clips"))
    async with running(town, path, api=api(allow_accounts_at=LOOPBACK)) as service:
        service.take(having(service.config, theirs))
        await until(lambda: read(service, "theirs"))


async def test_a_customers_url_is_posted_to_in_no_network_of_ours_unless_that_is_allowed(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="12.45", active_videos=0)
    path = town.configure()

    async def ping(service: Service) -> str:
        """Post a ping; return what became of the first attempt."""
        app = service.config.receivers.all[0]
        mine = replace(app, id="sub_1", accounts=("clips",), owner="acme", untrusted=True)
        service.take(heard_by(service.config, *service.config.receivers.all, mine))
        now = town.clock.now()
        with service.store.write(durable=True) as tx:
            service.outbox.append(tx, notices.ping(mine.key, now), now)
        query = "SELECT error, status FROM attempt ORDER BY at_ms DESC LIMIT 1"
        await until(lambda: service.store.reader.execute(query).fetchone())
        error, status = service.store.reader.execute(query).fetchone()
        return str(error or status)

    async with running(town, path, api=api(allow_accounts_at=LOOPBACK)) as service:
        assert "[api] allow_subscriptions_at" in await ping(service)
        assert town.receiver.received == []
    path = town.configure(database="b.db")
    async with running(town, path, api=api(allow_subscriptions_at=LOOPBACK)) as service:
        assert await ping(service) == "200"
