"""A quarter of 60 accounts that the real daemon lives through: every number of its reports is the stand-ins' own."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

import daemon.reports.charts
from alerts.model.money import from_cents, to_decimal, to_micro
from alerts.model.spans import Span, SpanKind, span_at, span_named
from alerts.model.values import replace
from alerts.reports.facts import ReportFacts
from alerts.reports.report import build
from alerts.reports.statements import Statement
from alerts.reports.totals import NO_TAG, by_tag, totals
from alerts.templating import Templates
from daemon.clock import ManualClock, SeededIds
from daemon.compose import open_service
from daemon.config.load import load
from daemon.config.model import Config
from daemon.demo.standins.mailbox import MailboxStandin
from daemon.demo.standins.stripe import SUCCEED, Charge, StripeStandin, declined
from daemon.demo.standins.usage import ALWAYS, PrepaidAccount, Status, UsageStandin
from daemon.reports.facts import gather, gather_anew
from daemon.store import Store, readings

BERLIN = ZoneInfo("Europe/Berlin")
TAGS = ("ads", "search", "video", "mail", "labs")
QUIET = tuple(f"quiet-{n}" for n in range(48))
SPECIAL = ("midnight", "eve", "refunded", "disputed", "declined", "lost", "byhand", "priced", "reset", "dark", "gone")
HOURS_UNTIL_LOW = {"midnight": 1462, "eve": 1461, "refunded": 1510, "disputed": 1534, "declined": 1918, "lost": 2146}
"""Accounts that are topped up, and how many hours of their usage of $0.0339 they last until they are."""
LATE = "late"
LAG = timedelta(minutes=20)
HEAD = """
timezone = "Europe/Berlin"
[store]
path = "{folder}/quarter.db"
[stripe]
api_key = "sk_test_123"
mode = "test"
api_base = "{stripe}"
[smtp]
host = "127.0.0.1"
port = {port}
sender = "Brimful <brimful@example.com>"
[http]
listen = ""
[[rules]]
id = "budget"
kind = "budget"
accounts = ["priced"]
period = "month"
limit_usd = 20
projected = false
[[reports]]
id = "finance"
period = "month"
cron = "0 8 1 * *"
to = ["finance@example.com"]
"""
ACCOUNT = """
[accounts.{name}]
provider = "contentstats"
base_url = "{url}"
api_key = "{name}"
poll = "{poll}"
label = "The {name} account"
tags = ["{tag}"]
"""
TOPUP = """
[accounts.{name}.topup]
when_below_usd = 10
amount_usd = 50
customer = "cus_{name}"
max_charge_usd = 50
max_per_day_usd = 100
max_per_month_usd = 300
"""


Happening = tuple[datetime, Callable[[], object]]


def local(month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=BERLIN).astimezone(UTC)


@dataclass(slots=True)
class Quarter:
    """The stand-ins with their clock, and what happened besides: credits that a provider took back."""

    folder: Path
    clock: ManualClock
    usage: UsageStandin
    stripe: StripeStandin
    mailbox: MailboxStandin
    urls: list[str]
    stripe_url: str
    accounts: dict[str, PrepaidAccount] = field(default_factory=dict)

    def open(self, name: str, balance: str, videos: int) -> None:
        self.accounts[name] = self.usage.prepaid(
            name, balance_usd=balance, total_charged_usd="100", active_videos=videos, cost_usd="0.0113"
        )
        card = self.stripe.books
        self.stripe.add_customer(f"cus_{name}")
        outcome = declined("expired_card") if name == "declined" else SUCCEED
        card.add_method(f"pm_{name}", customer=f"cus_{name}", outcome=outcome)
        card.customer(f"cus_{name}").default_method = f"pm_{name}"

    def configure(self, names: list[str]) -> Config:
        text = HEAD.format(folder=self.folder, stripe=self.stripe_url, port=self.mailbox.port)
        for n, name in enumerate(names):
            poll = "0 0 * * *" if name in QUIET else "55 5,11,17,23 * * *" if name == "eve" else "0 */6 * * *"
            text += ACCOUNT.format(name=name, url=self.urls[n % 2], poll=poll, tag=TAGS[n % 5])
            if name in HOURS_UNTIL_LOW:
                text += TOPUP.format(name=name)
        path = self.folder / "config.toml"
        path.write_text(text)
        return load(path)

    async def live(self, names: list[str], happenings: list[Happening], end: datetime) -> None:
        config, now = self.configure(names), self.clock.now()
        async with open_service(config, clock=self.clock, ids=SeededIds(now.month), rng=random.Random(1)) as service:
            while now < end:
                self.clock.set(now)
                while happenings and happenings[0][0] <= now:
                    happenings.pop(0)[1]()
                self.stripe.settle()
                now = await service.step(now)
            await service.drain(0.0)
        self.clock.set(end)

    def spent(self, name: str, since: datetime, until: datetime) -> int:
        """The truth: what was used between two instants, the second included."""
        return sum(amount for at, what, amount in self.accounts[name].log if what == "usage" and since < at <= until)

    def credited(self, name: str, since: datetime, until: datetime) -> int:
        log = self.accounts[name].log
        return sum(amount for at, what, amount in log if what == "credit" and since < at <= until)

    def charges(self, span: Span) -> int:
        """The truth of the card: what Stripe charged by its own clock."""
        return sum(from_cents(c.amount) for c in self.stripe.successes() if span.start <= c.at < span.end)

    def returned(self, span: Span) -> int:
        books = self.stripe.books
        every = [(one.at, one.amount) for one in books.refunds] + [(one.at, one.amount) for one in books.disputes]
        return sum(from_cents(amount) for at, amount in every if span.start <= at < span.end)


async def open_quarter(folder: Path) -> AsyncIterator[Quarter]:
    clock = ManualClock(local(10, 1))
    usage = UsageStandin(clock, requests_per_minute=None)

    def credit(charge: Charge) -> None:
        name = charge.metadata["account"]
        if name != "lost":
            usage.credit(name, to_decimal(from_cents(charge.amount)))

    stripe = StripeStandin(clock, seed=1, credit=credit, credit_lag=lambda charge: LAG)
    mailbox = MailboxStandin()
    async with AsyncExitStack() as stack:
        urls = [await stack.enter_async_context(usage.serve()) for _ in range(2)]  # beyond 50 a host polls are spread
        url = await stack.enter_async_context(stripe.serve())
        await stack.enter_async_context(mailbox)
        yield Quarter(folder, clock, usage, stripe, mailbox, urls, url)


def happenings(town: Quarter) -> list[Happening]:
    account = town.accounts

    def refund() -> None:
        charge = town.stripe.successes("refunded")[0]
        town.stripe.books.refund(charge)
        account["refunded"].balance -= from_cents(charge.amount)

    def reset() -> None:
        account["reset"].deduct()
        account["reset"].total_charged = 0

    every = [
        (local(10, 20, 10), lambda: town.usage.credit("byhand", 40)),
        (local(10, 30, 13), lambda: town.usage.fail("dark", Status(503), times=ALWAYS)),
        (local(11, 2, 13), lambda: town.usage.heal("dark")),
        (local(12, 10, 10, 1), refund),
        (local(11, 15, 12, 10), lambda: setattr(account["priced"], "cost", 20_000)),
        (local(11, 20, 6, 10), reset),
        (local(12, 12, 10), lambda: town.stripe.books.dispute(town.stripe.successes("disputed")[0])),
    ]
    return sorted(every, key=lambda one: one[0])


OCTOBER, NOVEMBER, DECEMBER = (span_named(key, BERLIN) for key in ("2026-10", "2026-11", "2026-12"))
END = local(12, 31) + timedelta(days=1, hours=9)
Known = dict[str, Statement]


def facts_of(config: Config, store: Store, span: Span, now: datetime = END) -> ReportFacts:
    return gather(config, store.reader, config.reports[0], span, now)


def files_of(facts: ReportFacts) -> dict[str, bytes]:
    return {one.name: one.content for one in build(facts, templates=Templates(), pictures={}).attachments}


async def lived(town: Quarter) -> Config:
    names = [*SPECIAL, *QUIET]
    for n, name in enumerate(names):
        hours = HOURS_UNTIL_LOW.get(name)
        town.open(name, "300" if hours is None else f"{10 + hours * 0.0339:.4f}", 1 + n % 3 if hours is None else 3)
    assert len({*names, LATE}) == 60
    waiting = happenings(town)
    await town.live(names, waiting, local(11, 15, 12))
    town.open(LATE, "300", 2)
    names = [name if name != "gone" else LATE for name in names]
    await town.live(names, waiting, END)
    return town.configure(names)


@pytest.mark.timeout(300)
async def test_a_quarter_is_what_the_standins_say_and_the_same_a_hundred_days_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon.reports.charts, "CHARTS_PER_REPORT", 0)
    async for town in open_quarter(tmp_path):
        config = await lived(town)
        store = Store(config.store.path)
        spans = (OCTOBER, NOVEMBER, DECEMBER)
        months = [facts_of(config, store, span) for span in spans]
        said = [{one.account.id: one for one in facts.statements} for facts in months]
        for facts in months:
            _adds_up_within(facts)
        for span, known in zip(spans, said, strict=True):
            _agrees_with_the_truth(town, span, known)
        _chains(said)
        _has_what_happened(town, *said)
        _in_any_zone(town, config, store)
        mailed = [files_of(facts) for facts in months]
        _is_what_was_mailed(town, mailed)
        with store.write(durable=False) as tx:
            for name in town.accounts:
                while readings.fold_old(tx, name, END + timedelta(days=100)):
                    pass
        again = [files_of(facts_of(config, store, span, END + timedelta(days=100))) for span in spans]
        assert again == mailed, "to the byte"
        store.close()


def _adds_up_within(facts: ReportFacts) -> None:
    """The identity of each account (which `Figures` holds), and that days, accounts and tags sum to the total."""
    [whole] = totals(facts.statements)
    assert whole.spent == sum(one.spent for one in facts.statements)
    assert whole.spent == sum(row.spent for one in facts.statements for row in one.days)
    tags = by_tag(facts.statements)
    assert (sum(tag.spent for tag in tags), sum(tag.net for tag in tags)) == (whole.spent, whole.net)
    assert sum(tag.left for tag in tags) == whole.left
    assert {tag.tag for tag in tags} - {NO_TAG} == set(TAGS)


def _agrees_with_the_truth(town: Quarter, span: Span, known: Known) -> None:
    assert sum(one.charged for one in known.values()) == town.charges(span)
    assert sum(one.returned for one in known.values()) == town.returned(span)
    for name, one in known.items():
        if name == "dark" or one.since is None or one.until is None:
            continue
        assert one.figures is not None
        cent = 10_000
        assert abs(one.spent - town.spent(name, one.since, one.until)) <= cent, (span.key, name)
        assert one.figures.credited == town.credited(name, one.since, one.until), (span.key, name)
        assert one.figures.off == 0, (span.key, name)
        for row, after in zip(one.days, [*one.days[1:], None], strict=True):
            until = one.until if after is None else after.start
            since = max(row.start, one.since) if row is one.days[0] else row.start
            reading = timedelta(hours=24)  # each day rests on the last reading before its ends
            most = town.spent(name, since - reading, until)
            assert row.spent <= most + cent, (span.key, name, row.start)


def _chains(said: list[Known]) -> None:
    """Each closing is the next opening; what was spent over an outage is in the two months together."""
    for one, two in pairwise(said):
        for name in set(one) & set(two) - {"gone"}:
            first, second = one[name].figures, two[name].figures
            assert first is not None
            assert second is not None
            assert first.closing == second.opening, name
            before = two[name].before
            assert (None if before is None else before.spent) == (None if name == LATE else one[name].spent), name


def _has_what_happened(town: Quarter, october: Known, november: Known, december: Known) -> None:
    dark = sum(one["dark"].spent for one in (october, november, december))
    assert abs(dark - town.spent("dark", OCTOBER.start, DECEMBER.end)) <= 30_000
    assert "more than 24 hours older" in october["dark"].partial[0]
    (eve,) = november["eve"].card.charges
    assert (november["eve"].on_the_way, eve.card) == ((eve,), "Visa 4242")
    assert december["eve"].figures is not None
    assert (december["eve"].figures.topped_up, december["eve"].charged) == (to_micro(50), 0)
    assert [c.charged_at for c in december["midnight"].card.charges] == [NOVEMBER.end]
    assert october["byhand"].figures is not None
    assert [c.amount_microusd for c in october["byhand"].figures.credits if c.charge is None] == [to_micro(40)]
    refunded = december["refunded"]
    assert refunded.figures is not None
    assert (refunded.charged, refunded.returned, refunded.figures.taken) == (to_micro(50),) * 3
    assert (december["disputed"].charged, december["disputed"].returned) == (to_micro(50), to_micro(50))
    assert len(december["declined"].card.declines) == 1
    assert sum(one.count for one in december["declined"].card.refusals) > 40
    assert [issue.amount for issue in december["lost"].issues] == [to_micro(50)]
    assert [(p.old_microusd, p.new_microusd) for p in november["priced"].prices] == [(11_300, 20_000)]
    assert (november["priced"].budget, november["priced"].spent > to_micro(20)) == (to_micro(20), True)
    assert "ran backwards" in november["reset"].notes[0]
    assert ("gone" in november, "gone" in december, "late" in october) == (True, False, False)
    assert november["gone"].account.label == "The gone account"
    assert november["late"].begins_inside


def _in_any_zone(town: Quarter, config: Config, store: Store) -> None:
    for name in ("America/New_York", "Asia/Kathmandu"):
        zone = ZoneInfo(name)
        span = span_at(SpanKind.MONTH, datetime(2026, 11, 15, tzinfo=UTC), zone)
        there = replace(config, timezone=zone)
        facts = gather_anew(there, store.reader, replace(config.reports[0], id="elsewhere"), span, END).facts
        _adds_up_within(facts)
        assert sum(one.charged for one in facts.statements) == town.charges(span)
        assert {len(one.days) for one in facts.statements if one.account.id in QUIET} == {30}


def _is_what_was_mailed(town: Quarter, mailed: list[dict[str, bytes]]) -> None:
    reports = [kept.message for kept in town.mailbox.kept if "finance@example.com" in kept.to]
    assert len(reports) == 3
    for message, files in zip(reports, mailed, strict=True):
        attached = {str(part.get_filename()): part.get_content() for part in message.iter_attachments()}
        assert {name: text.splitlines() for name, text in attached.items()} == {
            name: content.decode().splitlines() for name, content in files.items()
        }
        daily = next(text for name, text in attached.items() if name.endswith("daily.csv"))
        spent = sum(Decimal(row["spent"]) for row in csv.DictReader(io.StringIO(daily.removeprefix("\ufeff"))))
        assert f"${spent:,.2f} spent" in str(message["Subject"])
        html = message.get_body(("html",))
        assert html is not None
        assert len(html.get_content().encode()) < 100_000
