"""`providers` lists what an account can name, `show` explains one, and `init` writes an account of it."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from daemon.cli import app
from daemon.sources.preset import preset, preset_names
from daemon.sources.registry import names


def brimful(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


def test_the_list_has_every_provider_with_its_unit_its_key_and_who_documents_it() -> None:
    text = brimful("providers").stdout
    assert all(name in text for name in names())
    listed = json.loads(brimful("providers", "--json").stdout)["providers"]
    assert [one["name"] for one in listed] == list(names())
    for one in listed:
        assert one["key"]
        assert one["documented"]
        if one["preset"]:
            assert one["unit"] == preset(one["name"]).unit
            assert one["reads"] == list(preset(one["name"]).fields)


@pytest.mark.parametrize("name", preset_names())
def test_one_is_shown_whole(name: str) -> None:
    one, text = preset(name), brimful("providers", "show", name).stdout
    for said in (one.title, one.url, one.auth, one.key, *one.fields.values(), *one.quirks, f'provider = "{name}"'):
        assert said in text
    shown = json.loads(brimful("providers", "show", name, "--json").stdout)
    assert (shown["fields"], shown["params"]) == (dict(one.fields), list(one.params))
    assert shown["answer"] == json.loads(one.answer)


def test_a_misspelt_one_is_told_the_nearest() -> None:
    result = brimful("providers", "show", "openruter")
    assert result.exit_code == 2
    assert 'did you mean "openrouter"?' in result.stderr


@pytest.mark.parametrize("name", preset_names())
def test_init_writes_an_account_of_each_that_check_accepts(name: str, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    params = [flag for param in preset(name).params for flag in ("--param", f"{param}=x_1")]
    result = brimful("--config", str(path), "init", "--provider", name, "--no-ask", "--no-online", *params)
    assert result.exit_code == 0, result.output
    written = tomllib.loads(path.read_text())["accounts"][name]
    assert written["provider"] == name
    assert written.get("params", {}) == dict.fromkeys(preset(name).params, "x_1")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([], "--param project=VALUE is needed"),
        (["--param", "team=x", "--param", "project=y"], '--param team: deepgram needs "project"'),
    ],
)
def test_init_names_what_a_url_needs(flags: list[str], words: str, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    result = brimful("--config", str(path), "init", "--provider", "deepgram", "--no-ask", "--no-online", *flags)
    assert result.exit_code == 2
    assert words in result.stderr
    assert not path.exists()
