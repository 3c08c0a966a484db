"""A database that is deleted, moved or replaced under the daemon, or a full disk: no charge, and it is said."""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from tests.service.conftest import KEY, TOPUP, Town
from tests.service.test_run import ROOT

pytestmark = pytest.mark.sqlite


def typed(path: Path, *words: str, file_bytes: int | None = None) -> tuple[int, str]:
    """Type a command in a process of its own, which may write files of `file_bytes` at most: a full disk for it."""

    def bound() -> None:
        if file_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))

    command = [sys.executable, "-m", "daemon", "--config", str(path), *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, preexec_fn=bound, timeout=60, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout


def delete(database: Path) -> Path:
    for path in database.parent.glob(f"{database.name}*"):
        if not path.name.endswith(".lock"):
            path.unlink()
    return database


def move(database: Path) -> Path:
    return database.rename(database.with_name("moved.db"))


def replace(database: Path) -> Path:
    moved = move(database)
    database.touch()
    return moved


@pytest.mark.parametrize("befall", [delete, move, replace])
async def test_nothing_is_charged_while_the_database_is_not_in_its_place(
    town: Town, befall: Callable[[Path], Path]
) -> None:
    account = town.usage.prepaid(KEY, balance_usd="100", total_charged_usd="40")
    path = town.configure(topup=TOPUP)
    database = town.folder / "a.db"
    async with town.service(path) as service:
        await service.once()
        assert service.stale_jobs(town.clock.now()) == []
        moved = befall(database)
        account.balance, account.total_charged = 4_000_000, 136_000_000
        for _ in range(6):
            town.clock.advance(300)
            await service.step(town.clock.now())
        assert town.stripe.successes() == []
        [stale_jobs] = service.stale_jobs(town.clock.now())
        assert stale_jobs.startswith(f"database: the database {database} was deleted, moved or replaced")
        [told] = town.events_of("topup.suspended")
        assert told["reason"] == "database"
        assert town.events_of("balance.low")
        if befall is move:
            moved.rename(database)
            assert service.stale_jobs(town.clock.now()) == []
            town.clock.advance(300)
            await service.step(town.clock.now())
            assert len(town.stripe.successes()) == 1


async def test_a_pause_beside_a_daemon_whose_database_is_gone_holds(town: Town) -> None:
    account = town.usage.prepaid(KEY, balance_usd="100", total_charged_usd="40")
    path = town.configure(topup=TOPUP)
    database = town.folder / "a.db"
    async with town.service(path) as service:
        await service.once()
        moved = move(database)
        code, said = await asyncio.to_thread(typed, path, "topups", "pause")
        assert code == 0
        assert said.startswith(f"all accounts: paused by {database}.paused: a daemon runs, but its database was")
        moved.rename(database)
        account.balance, account.total_charged = 4_000_000, 136_000_000
        for _ in range(3):
            town.clock.advance(300)
            await service.step(town.clock.now())
        assert town.stripe.successes() == []
        code, said = await asyncio.to_thread(typed, path, "topups", "resume")
        assert code == 0
        assert "ended the pause" in said
        town.clock.advance(300)
        await service.step(town.clock.now())
        assert len(town.stripe.successes()) == 1


async def test_a_pause_on_a_full_disk_holds(town: Town) -> None:
    account = town.usage.prepaid(KEY, balance_usd="100", total_charged_usd="40")
    path = town.configure(topup=TOPUP)
    async with town.service(path) as service:
        await service.once()
        code, said = await asyncio.to_thread(typed, path, "topups", "pause", "clips", file_bytes=0)
        assert code == 0
        assert said.startswith(f"all accounts: paused by {town.folder / 'a.db'}.paused: the database cannot be written")
        account.balance, account.total_charged = 4_000_000, 136_000_000
        town.clock.advance(timedelta(minutes=5).total_seconds())
        await service.step(town.clock.now())
        assert town.stripe.successes() == []
        code, said = await asyncio.to_thread(typed, path, "topups", "--json")
        assert "a.db.paused" in said
        code, said = await asyncio.to_thread(typed, path, "topups", "resume")
        assert "a.db.paused" in said
        assert not (town.folder / "a.db.paused").exists()


async def test_a_file_that_is_no_database_is_paused_by_nothing(town: Town) -> None:
    path = town.configure(topup=TOPUP)
    (town.folder / "text.db").write_text("no database, and no daemon works with it: " * 20)
    code, said = await asyncio.to_thread(typed, path, "topups", "pause", "--database", str(town.folder / "text.db"))
    assert (code, said) == (1, "")
    assert not (town.folder / "text.db.paused").exists()
