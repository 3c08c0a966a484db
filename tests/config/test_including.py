"""`include`: accounts, rules, receivers and reports in files of their own, as many as there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.config.load import Inspection, inspect, outline

MAIN = """
include = ["accounts.d/*.toml", "receivers.toml"]
[store]
path = "{folder}/b.db"
[accounts.main]
provider = "contentstats"
api_key = "env:CS_KEY"
"""
ACCOUNT = """
[accounts.{id}]
provider = "contentstats"
api_key = "env:CS_KEY_{id}"
[[rules]]
id = "low-{id}"
kind = "low_balance"
accounts = ["{id}"]
below_usd = 5
"""
RECEIVERS = """
[[webhooks]]
id = "app"
url = "https://example.com/hook"
secret = "env:WEBHOOK_SECRET"
"""
ENVIRON = {
    "CS_KEY": "cs_test_0",
    "CS_KEY_a": "cs_test_1",
    "CS_KEY_b": "cs_test_2",
    "WEBHOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.toml").write_text(MAIN.format(folder=tmp_path))
    (tmp_path / "receivers.toml").write_text(RECEIVERS)
    (tmp_path / "accounts.d").mkdir()
    for id in ("b", "a"):
        (tmp_path / "accounts.d" / f"{id}.toml").write_text(ACCOUNT.format(id=id))
    return tmp_path


def look(folder: Path) -> Inspection:
    return inspect(folder / "config.toml", environ=ENVIRON)


def said(found: Inspection) -> list[tuple[str, str]]:
    return [(problem.id.value, problem.key_path) for problem in found.problems]


def test_files_are_read_in_the_order_of_their_names_after_the_main_one(folder: Path) -> None:
    found = look(folder)
    assert said(found) == []
    assert found.config is not None
    assert list(found.config.accounts) == ["main", "a", "b"]
    assert found.config.accounts["b"].api_key.get_secret_value() == "cs_test_2"
    assert [rule.id for rule in found.config.rules][:2] == ["low-a", "low-b"]
    assert [receiver.key for receiver in found.config.receivers.all] == ["webhook:app"]


def test_what_is_wrong_names_its_file(folder: Path) -> None:
    (folder / "accounts.d" / "a.toml").write_text(ACCOUNT.format(id="a").replace("below_usd", "belwo_usd"))
    assert said(look(folder)) == [("key-unknown", "accounts.d/a.toml: rules[0].belwo_usd")]
    (folder / "accounts.d" / "a.toml").write_text("[accounts.a\n")
    assert said(look(folder)) == [("toml-syntax", "accounts.d/a.toml: line 1, column 12")]


def test_an_account_that_stands_twice_names_both_places(folder: Path) -> None:
    (folder / "accounts.d" / "c.toml").write_text(ACCOUNT.format(id="a").replace("low-a", "low-c"))
    (problem,) = look(folder).problems
    assert (problem.id.value, problem.key_path) == ("id-duplicate", "accounts.d/c.toml: accounts.a")
    assert "accounts.d/a.toml: accounts.a" in problem.message


def test_an_included_file_holds_nothing_that_there_is_one_of(folder: Path) -> None:
    (folder / "receivers.toml").write_text('timezone = "UTC"\n' + RECEIVERS)
    (problem,) = look(folder).problems
    assert problem.key_path == "receivers.toml: timezone"
    assert "main configuration" in problem.hint


def test_a_file_that_is_not_there_is_an_error_and_a_glob_that_fits_nothing_is_none(folder: Path) -> None:
    (folder / "receivers.toml").rename(folder / "elsewhere.toml")
    for file in (folder / "accounts.d").iterdir():
        file.unlink()
    assert ("file-unreadable", "include[1]") in said(look(folder))
    assert "accounts.d" not in str(look(folder).problems)


@pytest.mark.parametrize("pattern", ['""', '"/"', '"**x"', "5", '"config.toml"', '"accounts.d"'])
def test_no_pattern_is_a_traceback_or_reads_the_configuration_twice(folder: Path, pattern: str) -> None:
    text = (folder / "config.toml").read_text().replace('"receivers.toml"', pattern)
    (folder / "config.toml").write_text(text)
    assert "id-duplicate" not in str(said(look(folder)))


def test_the_kill_switch_knows_included_accounts_however_wrong_one_file_is(folder: Path) -> None:
    (folder / "accounts.d" / "a.toml").write_text("[accounts.a\n")
    assert outline(folder / "config.toml", environ={}).accounts == {"main", "b"}


def test_a_hundred_thousand_accounts_load(folder: Path) -> None:
    for file in range(10):
        tables = (
            f'[accounts.n{file}x{number}]\nprovider = "contentstats"\napi_key = "file:key"\npoll = "* * * * *"\n'
            f'base_url = "https://n{file}x{number}.example"\n'
            for number in range(10_000)
        )
        (folder / "accounts.d" / f"many{file}.toml").write_text("".join(tables))
    (folder / "key").write_text("cs_test_key")
    (folder / "key").chmod(0o600)
    found = look(folder)
    assert said(found) == []
    assert found.config is not None
    assert len(found.config.accounts) == 100_003
