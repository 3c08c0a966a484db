"""Stories that the real service lives through, on loopback and by a clock of their own: every event type is emitted.

Each is lived in a town of its own; what it told is the same each time, to the byte.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from alerts.model.money import to_micro
from alerts.model.values import replace
from daemon.commands.test import ping, send_ping
from daemon.config.load import load
from daemon.demo.standins.receiver import TEST_SECRET, Fault, ReceiverStandin
from daemon.demo.standins.stripe.outcomes import AUTHENTICATE, declined, processing
from daemon.demo.standins.usage import Status
from daemon.demo.standins.usage.prepaid import PrepaidAccount
from daemon.resources.ceiling import limits_changed_draft
from tests.helpers_events import bodies
from tests.service.conftest import KEY, LOW, TOPUP, Town

MINUTES = timedelta(minutes=5)
HOUR = timedelta(hours=1)
NIGHT = datetime(2026, 10, 31, 23, 0, tzinfo=UTC)
"""Midnight in Berlin, when November begins."""
MORNING = datetime(2026, 11, 1, 8, 0, tzinfo=UTC)

RUNWAY = '[[rules]]\nid = "runway"\nkind = "runway"\nbelow_days = 3\n'
BUDGET = '[[rules]]\nid = "budget"\nkind = "budget"\nperiod = "month"\nlimit_usd = 100\nat_percent = [50, 80, 100]\n'
QUOTA = '[[rules]]\nid = "quota"\nkind = "quota"\nat_percent = [80, 90, 100]\nforecast_days = 2\n'
DOWNLOADS = """
[accounts.downloads]
provider = "tornado"
base_url = "{url}"
api_key = "trn_downloads"
poll = "*/5 * * * *"
"""
DAILY = """
[[reports]]
id = "finance"
period = "day"
cron = "0 8 * * *"
to = ["finance@example.com"]
"""
OTHER = """
[[webhooks]]
id = "other"
url = "{url}"
secret = "{secret}"
allow_http = true
"""


async def passes(town: Town, count: int, every: timedelta) -> None:
    """Let so many passes go by, one each `every`."""
    async with town.service() as service:
        for _ in range(count):
            town.stripe.settle()
            await service.once()
            town.clock.advance(every.total_seconds())


def show(account: PrepaidAccount, balance: str, uncharged: str = "0.75") -> None:
    account.balance, account.uncharged = to_micro(balance), to_micro(uncharged)


async def balance_and_runway(town: Town) -> None:
    """Low from the first reading on, then short of days, then used up, then credited by hand."""
    account = town.usage.prepaid(KEY, balance_usd="4.96", uncharged_usd="0.75", total_charged_usd="6.75")
    account.active_videos = 3
    town.configure(LOW + RUNWAY)
    for balance in ("4.96", "3.75", "0.50", "50.50"):
        show(account, balance)
        await passes(town, 1, MINUTES)


async def a_month_of_spending(town: Town) -> None:
    """Even spending that is projected above its budget, a spike on the fifth day, and half of the budget spent."""
    account = town.usage.prepaid(KEY, balance_usd="500", active_videos=12, cost_usd="0.02")
    town.configure(BUDGET)
    await passes(town, 24 * 5, HOUR)
    account.active_videos = 120
    await passes(town, 4, HOUR)
    account.active_videos = 12
    await passes(town, 24 * 3, HOUR)


async def a_full_storage(town: Town) -> None:
    """A step of the quota, a full one, a larger one, and a billing error that comes and goes."""
    town.usage.prepaid(KEY, balance_usd="500")
    storage = town.usage.storage("trn_downloads", used_gb="768", reserved_gb="0.58", limit_gb="1024")
    storage.grows_per_hour = to_micro("2.2")
    town.configure(QUOTA + DOWNLOADS.format(url=town.usage_url))
    await passes(town, 24 * 5, HOUR)
    storage.limit = to_micro(2048)
    await passes(town, 1, HOUR)
    storage.unknown["billing_error"] = "card expired"
    await passes(town, 1, HOUR)
    del storage.unknown["billing_error"]
    await passes(town, 1, HOUR)


async def readings_that_fail(town: Town) -> None:
    """A key that is refused for half an hour, and a total that starts again from below."""
    account = town.usage.prepaid(KEY, balance_usd="54.96", total_charged_usd="1050")
    town.configure()
    await passes(town, 1, MINUTES)
    town.usage.fail(KEY, Status(401), times=6)
    await passes(town, 7, MINUTES)
    account.total_charged = to_micro(12)
    await passes(town, 1, MINUTES)


async def charged_credited_and_capped(town: Town) -> None:
    """Two charges, each seen in the balance, and a third that no cap leaves room for."""
    account = town.usage.prepaid(KEY, balance_usd="4.96", uncharged_usd="0.75", total_charged_usd="114.24")
    town.credit_after = timedelta(minutes=12)
    town.configure(topup=TOPUP)
    await passes(town, 13, MINUTES)
    for _ in range(2):
        spent = account.balance - to_micro("4.96")
        account.balance -= spent
        account.total_charged += spent
        await passes(town, 13, MINUTES)


async def declined_by_the_bank(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="4.96", uncharged_usd="0.75", total_charged_usd="114.24")
    town.stripe.method("pm_123").outcome = declined("insufficient_funds")
    town.configure(topup=TOPUP)
    await passes(town, 1, MINUTES)


async def the_bank_asks_for_the_cardholder(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="4.96", uncharged_usd="0.75", total_charged_usd="114.24")
    town.stripe.method("pm_123").outcome = AUTHENTICATE
    town.configure(topup=TOPUP)
    await passes(town, 1, MINUTES)


async def charged_and_never_credited(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="4.96", uncharged_usd="0.75", total_charged_usd="114.24")
    town.credit_after = timedelta(days=30)
    town.configure(topup=TOPUP)
    await passes(town, 30, HOUR)


async def a_bank_that_does_not_decide(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="4.96", uncharged_usd="0.75", total_charged_usd="114.24")
    town.stripe.method("pm_123").outcome = processing(after=timedelta(days=2))
    town.configure(topup=TOPUP)
    await passes(town, 20, MINUTES)


async def limits_that_are_raised(town: Town) -> None:
    """Somebody lets the API raise what an account may be charged in a day."""
    town.usage.prepaid(KEY, balance_usd="54.96", uncharged_usd="0.75", total_charged_usd="6.75")
    town.configure(topup=TOPUP)
    async with town.service() as service:
        account = load(town.folder / "config.toml").accounts["clips"]
        assert account.topup is not None
        raised = replace(account.topup, max_per_day_microusd=200_000_000, max_per_month_microusd=1_000_000_000)
        assert service.topups is not None
        now = town.clock.now()
        told = limits_changed_draft(account.info, account.topup, raised, "token:tok_1d2aMqTz", now)
        assert told is not None
        with service.store.write(durable=True) as tx:
            service.topups.context.outbox.append(tx, told, now)


async def a_report_that_cannot_be_made(town: Town) -> None:
    """The operator's own template divides by nothing: the day's report is told as failed, and mailed as plain text."""
    town.usage.prepaid(KEY, balance_usd="54.96", uncharged_usd="0.75", total_charged_usd="6.75")
    path = town.configure(LOW + DAILY)
    (town.folder / "report.txt.j2").write_text("{{ it.title }}\n{{ 1 / 0 }}\n")
    path.write_text(f'templates = "{town.folder}"\n{path.read_text()}')
    await passes(town, 25, HOUR)


async def a_receiver_that_fails(town: Town) -> None:
    """One receiver refuses for an hour while another hears of it; then somebody asks for a test."""
    account = town.usage.prepaid(KEY, balance_usd="4.96", uncharged_usd="0.75", total_charged_usd="6.75")
    async with ReceiverStandin() as other:
        more = OTHER.format(url=other.url, secret=TEST_SECRET)
        path = town.configure(LOW + more)
        town.receiver.fault = Fault(503)
        await passes(town, 12, MINUTES)
        town.receiver.fault = None
        show(account, "50.50")
        await passes(town, 18, MINUTES)
        config = load(path)
        receiver = next(one for one in config.receivers.all if one.key == "webhook:app")
        await send_ping(config, receiver, ping(receiver.key, town.clock.now()))


Story = Callable[[Town], Awaitable[None]]
STORIES: dict[Story, datetime] = {
    balance_and_runway: MORNING,
    a_month_of_spending: NIGHT,
    a_full_storage: MORNING,
    readings_that_fail: MORNING,
    charged_credited_and_capped: MORNING,
    declined_by_the_bank: MORNING,
    the_bank_asks_for_the_cardholder: MORNING,
    charged_and_never_credited: MORNING,
    a_bank_that_does_not_decide: MORNING,
    a_receiver_that_fails: MORNING,
    a_report_that_cannot_be_made: MORNING,
    limits_that_are_raised: MORNING,
}
"""Every story with the instant at which it begins."""


def told(town: Town) -> list[bytes]:
    """Return the bodies of the events that a town's service committed, and of a test that its receiver took."""
    pings = [one.body for one in town.receiver.accepted if one.payload["type"] == "test.ping"]
    return bodies(town.folder / "a.db") + pings
