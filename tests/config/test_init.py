"""`init` writes a configuration that `check` accepts, and never over another one."""

from __future__ import annotations

import asyncio
import json
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from daemon.cli import app
from daemon.clock import SystemClock
from daemon.config.load import ConfigError
from daemon.demo.standins.receiver import TEST_SECRET, ReceiverStandin
from daemon.demo.standins.usage import UsageStandin

FLAGS = ["--provider", "contentstats", "--webhook", "https://example.com/hook", "--email", "ops@example.com"]


def run(path: Path, *flags: str, answers: str | None = None) -> Result:
    return CliRunner().invoke(app, ["--config", str(path), "init", *flags], input=answers, catch_exceptions=False)


def test_flags_make_a_configuration_that_check_accepts(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    result = run(path, *FLAGS, "--below", "7.50", "--timezone", "Europe/Berlin", "--no-online")
    assert result.exit_code == 0, result.output
    written = tomllib.loads(path.read_text())
    assert written["accounts"]["contentstats"] == {"provider": "contentstats", "api_key": "env:CONTENTSTATS_API_KEY"}
    assert written["rules"] == [{"id": "low", "kind": "low_balance", "below_usd": 7.5}]
    assert written["timezone"] == "Europe/Berlin"
    assert path.stat().st_mode & 0o077 == 0
    checked = CliRunner().invoke(app, ["--config", str(path), "check"])
    assert checked.exit_code == 0


def test_quota_provider_gets_a_quota_rule(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    assert run(path, "--provider", "tornado", "--percent", "70,90", "--no-online").exit_code == 0
    assert tomllib.loads(path.read_text())["rules"] == [{"id": "quota", "kind": "quota", "at_percent": [70, 90]}]


def test_existing_file_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("# mine\n")
    result = run(path, *FLAGS)
    assert result.exit_code == 2
    assert path.read_text() == "# mine\n"


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["--provider", "nonsense"],
        ["--provider", "tornado", "--account", "Not An Id"],
        ["--provider", "tornado", "--key-env", "a b"],
        ["--provider", "tornado", "--timezone", "Mars/Base"],
        ["--provider", "contentstats", "--below", "lots"],
        ["--provider", "contentstats", "--below", "-1"],
        ["--provider", "tornado", "--email", 'a"b\n[x]'],
        ["--provider", "tornado", "--base-url", "http://example.com"],
    ],
)
def test_nonsense_writes_nothing_and_exits_2(tmp_path: Path, flags: list[str]) -> None:
    path = tmp_path / "config.toml"
    try:
        code = run(path, *flags).exit_code
    except ConfigError:  # main() prints it and exits 2
        code = 2
    assert code == 2
    assert list(tmp_path.iterdir()) == []


def test_keys_that_are_not_set_are_named_instead_of_asked_online(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CONTENTSTATS_API_KEY", raising=False)
    result = run(tmp_path / "config.toml", *FLAGS)
    assert result.exit_code == 0
    assert "set CONTENTSTATS_API_KEY, WEBHOOK_SECRET" in result.output


def test_questions_are_asked_on_a_terminal_and_enter_takes_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.commands.init._on_terminal", lambda: True)
    path = tmp_path / "config.toml"
    result = run(path, "--no-online", answers="contentstats\n\n\n3.50\n\nops@example.com\n\n\n\n")
    assert result.exit_code == 0, result.output
    assert "Alert when fewer dollars" in result.output
    written = tomllib.loads(path.read_text())
    assert written["rules"][0]["below_usd"] == 3.5
    assert written["emails"] == [{"id": "ops", "to": ["ops@example.com"]}]
    assert "webhooks" not in written


def test_a_key_that_is_typed_goes_into_a_private_file_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.commands.init._on_terminal", lambda: True)
    path = tmp_path / "config.toml"
    typed = "contentstats\nclips\ncs_live_typed\n5\nhttps://example.com/hook\n\n\n\n"
    result = run(path, "--no-online", answers=typed)
    assert result.exit_code == 0, result.output
    key, secret = tmp_path / "secrets" / "clips", tmp_path / "secrets" / "webhook"
    written = tomllib.loads(path.read_text())
    assert written["accounts"]["clips"]["api_key"] == f"file:{key}"
    assert written["webhooks"][0]["secret"] == f"file:{secret}"
    assert key.read_text() == "cs_live_typed\n"
    assert secret.read_text().strip() in result.output  # the receiver needs it
    assert "cs_live_typed" not in result.output + path.read_text()
    assert [one.stat().st_mode & 0o777 for one in (key.parent, key, secret)] == [0o700, 0o600, 0o600]
    assert CliRunner().invoke(app, ["--config", str(path), "check"]).exit_code == 0


async def test_asked_answers_are_tried_and_each_receiver_gets_a_ping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.commands.init._on_terminal", lambda: True)
    usage = UsageStandin(SystemClock())
    usage.prepaid("cs_test_typed", balance_usd="12.45")
    async with usage.serve() as api, ReceiverStandin() as receiver:
        typed = f"contentstats\nclips\ncs_test_typed\n5\n{receiver.url}\n{TEST_SECRET}\n\n\ny\n"
        path = tmp_path / "config.toml"
        result = await asyncio.to_thread(run, path, "--base-url", api, answers=typed)
    assert result.exit_code == 0, result.output
    assert "webhook:app took" in result.output
    assert [one.payload["type"] for one in receiver.accepted] == ["test.ping"]


def test_json_is_the_only_thing_on_stdout(tmp_path: Path) -> None:
    result = run(tmp_path / "config.toml", *FLAGS, "--no-online", "--json")
    assert json.loads(result.stdout)["problems"] is not None
    assert "wrote" in result.stderr
