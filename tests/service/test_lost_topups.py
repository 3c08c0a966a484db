"""An account that is renamed while its top-up is open is not charged again, however the new file comes to be used."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from daemon.clock import SystemClock
from daemon.compose import open_service
from daemon.config.load import ConfigError, load
from daemon.demo.standins.usage import Slow
from tests.service.conftest import KEY, TOPUP, Town
from tests.service.test_run import _ended, _start, _stop, _until


def renamed(path: Path) -> str:
    """Return the configuration with the account `clips` under another id, its API key and balance the same."""
    text = path.read_text()
    return text.replace("[accounts.clips", "[accounts.films").replace('accounts = ["clips"]', 'accounts = ["films"]')


def charged(town: Town) -> list[str]:
    return [charge.metadata["account"] for charge in town.stripe.successes()]


@pytest.mark.sqlite
async def test_a_service_does_not_open_where_an_open_topup_would_lose_its_account(town: Town) -> None:
    town.credit_after = timedelta(hours=1)
    town.usage.prepaid(KEY, balance_usd="4.50", active_videos=0)
    path = town.configure(topup=TOPUP)
    await town.once(path)
    other = town.folder / "other.toml"
    other.write_text(renamed(path).replace('id = "app"', 'id = "another"'))
    config = load(other)
    with pytest.raises(ConfigError, match=r"topup-open-changed  accounts\.clips\.topup: .* is open") as caught:
        async with open_service(config, clock=town.clock, ids=town.ids):
            pytest.fail("opened")
    assert str(caught.value).startswith(f"{other}: 1 error\n")
    with sqlite3.connect(town.folder / "a.db") as database:
        (given_up,) = database.execute("SELECT count(*) FROM delivery WHERE state = 'dead'").fetchone()
    assert given_up == 0
    async with town.service(path) as service:
        assert service.topups is not None


async def test_a_service_does_not_open_with_another_customer_while_a_topup_is_open(town: Town) -> None:
    town.credit_after = timedelta(hours=1)
    town.usage.prepaid(KEY, balance_usd="4.50", active_videos=0)
    await town.once(town.configure(topup=TOPUP))
    config = load(town.configure(topup=TOPUP.replace("cus_123", "cus_456")))
    with pytest.raises(ConfigError, match=r"topup-open-changed  accounts\.clips\.topup\.customer: .*cus_123"):
        async with open_service(config, clock=town.clock, ids=town.ids):
            pytest.fail("opened")


@pytest.mark.sqlite
async def test_an_upgrade_and_a_new_id_in_one_restart_start_nothing(town: Town) -> None:
    town.credit_after = timedelta(hours=1)
    town.usage.prepaid(KEY, balance_usd="4.50", active_videos=0)
    path = town.configure(topup=TOPUP)
    await town.once(path)
    _take_back_the_last_migration(town.folder / "a.db")
    path.write_text(renamed(path))
    process = await _start(path)
    try:
        _, stderr = await asyncio.wait_for(process.communicate(), 20)
    finally:
        if not _ended(process):
            process.kill()
    said = stderr.decode()
    assert process.returncode == 2
    assert "topup-open-changed  accounts.clips.topup: " in said
    assert "Traceback" not in said
    assert charged(town) == ["clips"]


@pytest.mark.long
async def test_a_reload_goes_back_where_a_charge_came_to_be_open_after_the_file_was_read(town: Town) -> None:
    town.clock.set(SystemClock().now())
    town.credit_after = timedelta(hours=1)
    town.usage.prepaid(KEY, balance_usd="4.50", active_videos=0)
    town.usage.fail(KEY, Slow(0.0))
    town.usage.fail(KEY, Slow(2.0))  # the second look, right before planning
    path = town.configure(topup=TOPUP)
    process = await _start(path)
    try:
        await _until(lambda: town.usage.asked[KEY] == 2)
        assert charged(town) == []
        path.write_text(renamed(path))
        process.send_signal(signal.SIGHUP)
        await _until(lambda: town.usage.asked[KEY] >= 3)
        await asyncio.sleep(0.5)
        assert not _ended(process)
    finally:
        _, log = await _stop(process)
    assert process.returncode == 0
    assert charged(town) == ["clips"]
    errors = [line for line in log if line["level"] == "error"]
    assert [line["event"] for line in errors] == ["reload"]
    assert "topup-open-changed  accounts.clips.topup: " in str(errors[0]["problems"])
    assert [line["event"] for line in log if line["event"] in ("started", "reload", "stopped")] == [
        "started",
        "reload",
        "started",
        "stopped",
    ]


@pytest.mark.sqlite
async def test_a_replay_beside_a_lost_topup_says_that_nothing_starts(town: Town) -> None:
    town.credit_after = timedelta(hours=1)
    town.usage.prepaid(KEY, balance_usd="4.50", active_videos=0)
    path = town.configure(topup=TOPUP)
    await town.once(path)
    path.write_text(renamed(path))
    process = await _start(path, "deliveries", "replay", "--since", "2026-11-01T00:00:00Z")
    stdout, stderr = await asyncio.wait_for(process.communicate(), 20)
    assert "due again: no daemon starts with this configuration: `brimful check` says why" in stdout.decode()
    assert (process.returncode, stderr) == (0, b"")


def _take_back_the_last_migration(path: Path) -> None:
    """Leave the database as the version before this one left it."""
    with sqlite3.connect(path) as database:
        database.execute("DELETE FROM _sqlite_migrations WHERE name = 'm0006_charged'")
        made = database.execute("SELECT name FROM sqlite_master WHERE name LIKE 'topups_charged%'").fetchall()
        for (index,) in [*made, ("topup_steps_abandoned",)]:
            database.execute(f"DROP INDEX {index}")
