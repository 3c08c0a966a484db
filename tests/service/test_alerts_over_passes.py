"""Alerts over many passes, each in a process of its own, over real sockets: once, in time, and for a true reason."""

from __future__ import annotations

import json
from datetime import timedelta

from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from alerts.events.schema import schema
from alerts.model.events import EventType
from daemon.cli import app
from daemon.clock import SystemClock
from daemon.demo.standins.usage import Lie, Status
from tests.service.conftest import KEY, LOW, Town


def balance(town: Town, dollars: str) -> None:
    town.usage.heal(KEY)
    town.usage.fail(KEY, Lie({"balance_usd": dollars}), times=2)


def check_bodies(town: Town) -> None:
    """Every body that was accepted is what its schema says, and an account's numbers have no gap and no repeat."""
    numbers = []
    for one in town.receiver.accepted:
        Draft202012Validator(schema(EventType(one.payload["type"]))).validate(one.payload)
        numbers += [one.payload["data"]["sequence"]] if "sequence" in one.payload["data"] else []
    assert numbers == list(range(1, len(numbers) + 1))


async def test_a_flapping_balance_is_low_recovered_low_over_as_many_restarts(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="20", uncharged_usd="0", total_charged_usd="100", active_videos=0)
    town.configure()
    told = []
    for dollars in ("20", "4.9", "5.1", "4.8", "5.4", "4.9", "5.9", "6.5", "4.5"):
        balance(town, dollars)
        told += await town.once()
    assert told == ["balance.low", "balance.recovered", "balance.low"]
    first, ended, second = (one.payload["data"]["episode"] for one in town.receiver.accepted)
    assert first == ended != second
    check_bodies(town)


async def test_five_passes_of_401_after_a_low_and_the_reminder_a_day_later(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="4", uncharged_usd="0", total_charged_usd="10", active_videos=0)
    town.configure()
    assert await town.once() == ["balance.low"]
    town.usage.fail(KEY, Status(401), times=5)
    assert [await town.once() for _ in range(5)] == [["reading.unavailable"], [], [], [], []]
    assert town.events_of("reading.unavailable")[0]["reason"] == "unauthorized"
    assert await town.once() == ["reading.restored"]
    town.clock.advance(24 * 3600)
    assert await town.once() == ["balance.low"]
    low, reminder = town.events_of("balance.low")
    assert reminder["reminder"] is True
    assert reminder["episode"] == low["episode"]
    check_bodies(town)


async def test_5000_that_reads_0_once_is_suspect_and_20_then_4_9_is_believed(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="5000", uncharged_usd="0", total_charged_usd="100", active_videos=0)
    town.configure()
    await town.once()
    town.usage.fail(KEY, Lie({"balance_usd": 0}), times=1)
    assert await town.once() == ["reading.suspect"]
    assert town.passes[-1].ok
    balance(town, "20")
    assert await town.once() == []
    balance(town, "4.9")
    assert await town.once() == ["balance.low"]
    check_bodies(town)


async def test_a_total_that_runs_backwards_is_told_once_and_spend_goes_on(town: Town) -> None:
    account = town.usage.prepaid(KEY, balance_usd="500", uncharged_usd="0", total_charged_usd="1000", active_videos=0)
    town.configure('[[rules]]\nid = "b"\nkind = "budget"\nperiod = "month"\nlimit_usd = 10\nprojected = false\n')
    await town.once()
    account.total_charged = 0
    assert await town.once() == ["reading.suspect"]
    account.total_charged = 6_000_000
    account.balance -= 6_000_000
    assert await town.once() == ["budget.reached"]
    assert town.events_of("budget.reached")[0]["spent_usd"] == 6
    check_bodies(town)


async def test_a_receiver_with_a_threshold_of_nine_alone_hears_of_eight(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="8", uncharged_usd="0", total_charged_usd="10", active_videos=0)
    path = town.configure()
    path.write_text(path.read_text().replace('id = "app"', 'id = "app"\nevent = "balance.low"\nthreshold = 9.0'))
    assert await town.once() == ["balance.low"]
    (data,) = town.events_of("balance.low")
    assert (data["rule"], data["threshold_usd"]) == ("webhook:app", 9)
    assert "sequence" not in data
    assert town.mailbox.kept == []
    balance(town, "12")
    assert await town.once() == []


async def test_a_mute_by_the_command_holds_an_alert_back_and_loses_nothing(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="20", uncharged_usd="0", total_charged_usd="10", active_videos=0)
    path = town.configure(LOW)
    town.clock.set(SystemClock().now())
    await town.once()
    muted = CliRunner().invoke(app, ["--config", str(path), "alerts", "mute", "low", "--for", "4h"])
    assert muted.exit_code == 0, muted.output
    balance(town, "4")
    assert await town.once() == []
    listed = json.loads(CliRunner().invoke(app, ["--config", str(path), "alerts", "--json"]).stdout)
    assert listed["open"][0]["muted_until"] is not None
    assert listed["open"][0]["told"] == []
    town.clock.advance(timedelta(hours=4).total_seconds())
    balance(town, "4")
    assert await town.once() == ["balance.low"]
    check_bodies(town)


async def test_an_edited_threshold_is_judged_at_once_even_where_the_source_fails(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="7", uncharged_usd="0", total_charged_usd="10", active_videos=0)
    path = town.configure()
    assert await town.once() == []
    path.write_text(path.read_text().replace("below_usd = 5.00", "below_usd = 8.00"))
    town.usage.fail(KEY, Status(503))
    assert await town.once() == ["balance.low"]
    assert town.events_of("balance.low")[0]["threshold_usd"] == 8
