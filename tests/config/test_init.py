"""`init` writes a configuration that `check` accepts, and never over another one."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from daemon.cli import app
from daemon.config.load import ConfigError

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
