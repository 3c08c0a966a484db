"""The kill switch is reached from any shell, whatever is being edited, and never says that it did what it did not."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from daemon.clock import SystemClock
from daemon.demo.standins.stripe import declined
from daemon.status.topups import needs_person as sentences
from daemon.store import Store, ledger, ledger_notes
from tests.helpers_config import look
from tests.helpers_topup_shell import CONFIG, Shell, keep
from tests.helpers_topups import CARD, Daemon, World

TABLE = CONFIG[CONFIG.index("[accounts.clips.topup]") : CONFIG.index("[accounts.plain]")]
OTHER = """
[accounts.other]
provider = "contentstats"
base_url = "http://127.0.0.1:9"
api_key = "cs_test_other"

[accounts.other.topup]
"""


def by_name(shell: Shell) -> str:
    """Name the database without its folder: that is the unit's state, or the one that a command is typed in."""
    shell.edit(str(shell.daemon.store.path), shell.daemon.store.path.name)
    return shell.daemon.store.path.name


def paused(database: Path) -> list[str]:
    store = Store(database, readonly=True)
    try:
        return [stop.scope for stop in ledger_notes.stops(store.reader)]
    finally:
        store.close()


# ── which database ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_pause_that_stopped_nothing_is_not_reported_as_done(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon's unit names the folder of its state; an operator's shell does not."""
    (tmp_path / "root").mkdir()
    monkeypatch.chdir(tmp_path / "root")
    made = tmp_path / "root" / by_name(shell)
    for said in ("all accounts: paused\n", "all accounts: paused already\n"):
        result = shell.run("pause")
        assert (result.exit_code, result.stdout) == (1, said)
        assert f"no daemon has used {made} yet: nothing that runs was stopped" in result.stderr
        assert "--database PATH (the packaged unit's: /var/lib/brimful/brimful.db)" in result.stderr
    assert paused(made) == ["*"]
    assert paused(shell.daemon.store.path) == []
    state = str(shell.daemon.store.path.parent)
    result = shell.run("pause", STATE_DIRECTORY=state)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "all accounts: paused\n", "")
    assert paused(shell.daemon.store.path) == ["*"]


def test_a_pause_before_the_first_start_is_done_where_the_path_leaves_no_doubt(shell: Shell, tmp_path: Path) -> None:
    shell.edit(str(shell.daemon.store.path), str(tmp_path / "new.db"))
    result = shell.run("pause")
    assert (result.exit_code, result.stdout) == (0, "all accounts: paused\n")
    assert f"no daemon has used {tmp_path / 'new.db'} yet" in result.stderr
    assert paused(tmp_path / "new.db") == ["*"]


def test_a_pause_says_which_file_it_wrote_where_that_depends_on_the_folder(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_name(shell)
    monkeypatch.chdir(shell.daemon.store.path.parent)
    result = shell.run("pause")
    assert (result.exit_code, result.stdout) == (0, "all accounts: paused\n")
    assert f"paused in {shell.daemon.store.path}. A daemon elsewhere has its own" in result.stderr


def test_a_database_that_is_named_is_paused_from_any_folder_without_a_configuration(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shell.path.unlink()
    database = str(shell.daemon.store.path)
    result = shell.run("pause", "--database", database)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "all accounts: paused\n", "")
    assert paused(shell.daemon.store.path) == ["*"]
    assert shell.run("resume", "--database", database).exit_code == 0
    assert paused(shell.daemon.store.path) == []


def test_resume_without_a_configuration_names_whatever_is_stopped_still(shell: Shell) -> None:
    shell.run("pause", "clips")
    shell.path.unlink()
    result = shell.run("resume", "--database", str(shell.daemon.store.path))
    assert (result.exit_code, result.stdout) == (1, "clips: still paused: brimful topups resume clips\n")


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_a_database_that_is_named_and_not_there_is_not_made(shell: Shell, tmp_path: Path, command: str) -> None:
    result = shell.run(command, "--database", str(tmp_path / "mistyped.db"))
    assert result.exit_code == 1
    assert f"there is no database at {tmp_path / 'mistyped.db'} yet" in str(result.exception)
    assert not (tmp_path / "mistyped.db").exists()


@pytest.mark.parametrize("words", [["resume", "clips"], ["explain", "clips"], ["ack", "clips-1"], [], ["audit"]])
def test_every_command_names_the_whole_path_of_a_database_that_is_not_there(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    whole = tmp_path / by_name(shell)
    said = str(shell.run(*words).exception)
    assert f"there is no database at {whole} yet" in said
    assert said.endswith("(the packaged unit: /var/lib/brimful/brimful.db): name it by [store] path")


# ── a configuration that is being edited ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("amount_usd = 50", "amount_usd = 50\nwhen_bellow = 3"),
        ("when_below_usd = 10", ""),
        ('api_key = "sk_test_123"', 'api_key = "credential:STRIPE_API_KEY"'),
        ('mode = "test"', 'mode = "live"'),
    ],
    ids=["unknown key", "missing key", "secret not at hand", "wrong mode"],
)
async def test_a_pause_needs_no_faultless_configuration(
    shell: Shell, daemon: Daemon, world: World, old: str, new: str
) -> None:
    shell.edit(old, new)
    result = shell.run("pause", "clips")
    assert (result.exit_code, result.stdout) == (0, "clips: paused\n")
    await daemon.run(timedelta(minutes=30))
    assert world.stripe.intents() == []
    assert shell.run("resume", "clips").stdout == "clips: ended the pause: paused by a person\n"


@pytest.mark.parametrize("gone", [TABLE, CONFIG[CONFIG.index("[accounts.clips]") :]], ids=["topup table", "account"])
async def test_an_account_that_was_taken_out_of_the_file_is_paused_all_the_same(
    shell: Shell, daemon: Daemon, world: World, gone: str
) -> None:
    """The daemon has not read the file anew: it charges the account still."""
    keep(daemon, world.read())
    shell.edit(gone, "")
    assert shell.run("pause", "clips").stdout == "clips: paused\n"
    await daemon.run(timedelta(minutes=30))
    assert world.stripe.intents() == []


def test_a_name_that_nobody_knows_is_wrong_usage_and_makes_no_database(shell: Shell, tmp_path: Path) -> None:
    result = shell.run("pause", "clisp")
    assert result.exit_code == 2
    assert "there is no account clisp" in result.stderr
    assert paused(shell.daemon.store.path) == []
    shell.edit(str(shell.daemon.store.path), str(tmp_path / "none.db"))
    assert shell.run("pause", "clisp").exit_code == 2
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize(
    ("old", "new"), [("[stripe]", "[stripe"), ('path = "', 'path = 5 # "')], ids=["no TOML", "no path"]
)
def test_where_the_path_cannot_be_read_it_is_said_how_to_name_it(shell: Shell, old: str, new: str) -> None:
    shell.edit(old, new)
    result = shell.run("pause")
    assert result.exit_code == 2
    assert "which database? Add --database PATH (the packaged unit's: /var/lib/brimful/brimful.db)" in result.stderr
    assert paused(shell.daemon.store.path) == []
    assert shell.run("pause", "--database", str(shell.daemon.store.path)).exit_code == 0


# ── resume ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_command_that_once_names_is_taken_for_an_account_without_a_topup_table(
    shell: Shell, daemon: Daemon, world: World, tmp_path: Path
) -> None:
    world.stripe.method(CARD).outcome = declined("stolen_card")
    await daemon.run(timedelta(minutes=10))
    shell.edit("[accounts.clips.topup]\n", OTHER)
    config = look(tmp_path, shell.path.read_text()).config
    assert config is not None
    [said] = sentences(config, daemon.store.reader, {})
    assert said.endswith(": brimful topups resume clips")
    result = shell.run("resume", "clips")
    assert (result.exit_code, result.stdout) == (0, "clips: ended the suspension: declined\n")
    assert sentences(config, daemon.store.reader, {}) == []


async def test_resume_says_that_the_ledger_is_ahead_of_the_clock_and_what_has_to_end_first(
    shell: Shell, daemon: Daemon, world: World
) -> None:
    world.lost = True
    world.clock.set(SystemClock().now() + timedelta(days=60))
    await daemon.run(timedelta(minutes=20))
    assert daemon.states() == ["paid"]
    latest = ledger_notes.bookmark(daemon.store.reader, "latest")
    assert latest is not None
    result = shell.run("resume", "clips")
    assert result.exit_code == 1
    assert "nothing was paused" not in result.stdout
    assert f"nothing is charged until {latest[0]:%Y-%m-%dT%H:}" in result.stdout
    assert result.stdout.endswith("typed again: clips-1 is paid (brimful topups ack clips-1)\n")
    assert (await asyncio.to_thread(shell.run, "ack", "clips-1")).exit_code == 0
    result = shell.run("resume")
    assert result.exit_code == 0
    assert "all accounts: ended the wait for" in result.stdout


def test_resume_says_when_a_ledger_that_is_hours_ahead_is_caught_up_with(shell: Shell, daemon: Daemon) -> None:
    with daemon.store.write(durable=True) as tx:
        ledger.advance_latest(tx, SystemClock().now() + timedelta(hours=3))
    result = shell.run("resume")
    assert result.exit_code == 1
    assert "all accounts: the ledger is ahead of the clock: nothing is charged until" in result.stdout
