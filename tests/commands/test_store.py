"""`store check` and the documented way back from a backup, with the real commands."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
from pathlib import Path

from typer.testing import CliRunner

from daemon.cli import app
from daemon.config.load import load
from tests.service.conftest import KEY, LOW, Town
from tests.service.conftest import town as town
from tests.store.test_connection import damage

DATA = Path(__file__).parents[2] / "docs" / "data.md"


def brimful(config: Path, *words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["--config", str(config), *words])
    return result.exit_code, result.output


async def lived(town: Town) -> Path:
    town.usage.prepaid(KEY, balance_usd="4.96")
    path = town.configure(LOW)
    await town.once()
    return path


async def test_a_whole_database_is_counted_and_a_damaged_one_is_named(town: Town) -> None:
    path = await lived(town)
    database = load(path).store.path
    code, said = brimful(path, "store", "check")
    assert code == 0
    assert re.search(r": whole, [\d,]+ bytes, accounts 1, readings 0, episodes 1, events 1, top-ups 0", said), said
    damage(database, "event")
    code, said = brimful(path, "store", "check", "--json")
    assert code == 1
    assert json.loads(said)["problems"]


async def test_a_row_that_points_nowhere_is_named(town: Town) -> None:
    path = await lived(town)
    connection = sqlite3.connect(load(path).store.path)
    connection.execute("DELETE FROM event")
    connection.commit()
    connection.close()
    code, said = brimful(path, "store", "check")
    assert code == 1
    assert "a row of delivery names one of event that is gone" in said


async def test_what_is_no_database_is_a_sentence(town: Town) -> None:
    path = await lived(town)
    other = town.folder / "other.db"
    assert brimful(path, "store", "check", str(other)) == (1, f"brimful: there is no file {other}\n")
    other.write_text("no database" * 1000)
    assert brimful(path, "store", "check", str(other)) == (1, f"{other}: file is not a database\n")
    sqlite3.connect(other := town.folder / "empty.db").close()
    code, said = brimful(path, "store", "check", str(other))
    assert code == 1
    assert "no tables yet" in said


async def test_the_documented_lines_restore_a_backup(town: Town) -> None:
    """Typed as they stand, but for the service manager and the paths."""
    path = await lived(town)
    database = load(path).store.path
    backup = town.folder / "brimful-2026-11-27.db"
    assert brimful(path, "backup", str(backup))[0] == 0
    await town.once()
    damage(database, "event")
    (block,) = re.findall(r"## Restore\n\n```console\n(.*?)```", DATA.read_text(), re.DOTALL)
    lines = [line.removeprefix("# ") for line in block.splitlines() if "systemctl" not in line]
    script = (
        "\n".join(lines).replace("/var/lib/brimful", str(database.parent)).replace("/var/backups", str(town.folder))
    )
    script = script.replace("brimful.db", database.name).replace("brimful store check", ": brimful store check")
    subprocess.run(["bash", "-euc", script], check=True)  # noqa: ASYNC221  # a moment
    assert database.stat().st_mode & 0o777 == 0o600
    assert brimful(path, "store", "check")[0] == 0
    await town.once()
    assert town.passes[-1].unreadable == {}
