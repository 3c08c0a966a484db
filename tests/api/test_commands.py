"""The command line of what is managed as data, as processes: on the local store, beside a daemon, and by its API."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import ENVIRON, Api, wait_until
from tests.commands.test_newcomer import ROOT

CONFIG = """
[store]
path = "{folder}/brimful.db"
[http]
listen = ""
[stripe]
api_key = "sk_test_123"
mode = "test"
[api]
enabled = true
master_key = "env:API_MASTER_KEY"
[accounts.own]
provider = "contentstats"
api_key = "env:OWN_KEY"
[accounts.own.topup]
when_below_usd = 10.00
amount_usd = 50.00
customer = "cus_own"
max_charge_usd = 50.00
max_per_day_usd = 100.00
max_per_month_usd = 500.00
"""
TOPUP = {
    "when_below_usd": "10.00", "amount_usd": "50.00", "customer": "cus_1", "max_charge_usd": "100.00",
    "max_per_day_usd": "100.00", "max_per_month_usd": "500.00",
}  # fmt: skip


def typed(folder: Path, *arguments: str, said: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder with a configuration."""
    return subprocess.run(
        [sys.executable, "-m", "daemon", "--config", str(folder / "config.toml"), *arguments],
        cwd=ROOT,
        env={**os.environ, **ENVIRON, **environ},
        input=said,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def told(folder: Path, *arguments: str, said: str = "", **environ: str) -> Any:
    """Run a command and return the JSON that it prints."""
    done = typed(folder, *arguments, "--json", said=said, **environ)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.toml").write_text(CONFIG.format(folder=tmp_path))
    return tmp_path


def test_tokens_of_the_local_store(folder: Path) -> None:
    token = told(
        folder, "token", "new", "--role", "subscribe", "--owner", "acme", "--accounts", "a,b", "--expires", "90d"
    )
    assert (token["role"], token["owner"], token["accounts"]) == ("subscribe", "acme", ["a", "b"])
    assert token["token"].startswith("brim_")
    (listed,) = told(folder, "token", "list")
    assert listed["id"] == token["id"]
    assert "token" not in listed
    assert told(folder, "token", "revoke", token["id"])["revoked"]


@pytest.mark.timeout(240)  # a process for each command
def test_local_store_from_an_account_to_its_archive(folder: Path) -> None:
    made = told(
        folder, "account", "set", "acme", "--provider", "contentstats", "--owner", "acme", "--api-key-stdin",
        "--set", 'tags=["vip"]', said="cs_secret_of_acme\n",
    )  # fmt: skip
    assert (made["created"], made["version"], made["tags"]) == (True, 1, ["vip"])
    changed = told(folder, "account", "set", "acme", "--set", "label=Acme")
    assert (changed["created"], changed["label"], changed["tags"]) == (False, "Acme", ["vip"])
    (folder / "topup.json").write_text(json.dumps(TOPUP))
    assert told(folder, "topup", "set", "acme", "-f", str(folder / "topup.json"))["mode"] == "shadow"
    assert told(folder, "topup", "set", "acme", "--set", "amount_usd=60")["amount_usd"] == "60"
    made = told(
        folder, "subscribe", "https://app.example/h", "--event", "balance.low", "--threshold", "5", "--owner", "acme"
    )
    assert made["secret"].startswith("whsec_")
    assert [one["id"] for one in told(folder, "account", "list", "--tag", "vip")] == ["acme"]
    shown = told(folder, "account", "show", "acme")
    assert (shown["topup"]["amount_usd"], shown["managed_by"]) == ("60", "api")
    actions = [(one["action"], one["resource"]) for one in told(folder, "audit", "--resource", "account/acme")]
    assert actions == [("create", "account/acme"), ("change", "account/acme")]
    assert {one["account"] for one in told(folder, "status")["accounts"]} == {"own", "acme"}
    assert told(folder, "account", "archive", "acme") == {"id": "acme", "archived": True}
    assert [one["id"] for one in told(folder, "account", "list")] == ["own"]
    for file in folder.glob("brimful.db*"):
        assert b"cs_secret_of_acme" not in file.read_bytes()


@pytest.mark.timeout(240)
def test_what_is_refused_is_a_sentence_and_an_exit_code(folder: Path) -> None:
    for code, said, arguments in (
        (1, "managed by the file: change it at", ("account", "set", "own", "--set", "label=x")),
        (
            2,
            "key-unknown  pol: there is no such key here",
            ("account", "set", "x", "--provider", "tornado", "--set", "pol=1"),
        ),
        (2, "others on this machine read what is typed here", ("account", "set", "x", "--api-key", "cs_literal")),
        (1, "there is no account 'nobody'", ("account", "show", "nobody")),
        (1, "not-found: there is no such account", ("account", "archive", "nobody")),
        (2, "--set takes KEY=VALUE", ("account", "set", "x", "--set", "label")),
        (2, "is neither a duration", ("token", "new", "--role", "read", "--expires", "soon")),
        (2, "a server needs a token", ("account", "list", "--server", "http://127.0.0.1:1")),
        (
            2,
            "http is accepted to a loopback or private address only",
            ("account", "list", "--server", "http://a.example"),
        ),
        (2, "cannot be read", ("apply", "-f", "/nonexistent/x.toml")),
        (1, "127.0.0.1:1", ("account", "list", "--server", "http://127.0.0.1:1", "--token-file", str(folder / "t"))),
    ):
        (folder / "t").write_text("brim_x")
        done = typed(folder, *arguments)
        assert (done.returncode, done.stdout) == (code, ""), (arguments, done.stdout, done.stderr)
        assert said in done.stderr, (arguments, done.stderr)
        assert "Traceback" not in done.stderr
    text = (folder / "config.toml").read_text()
    (folder / "config.toml").write_text(text.replace("enabled = true", "enabled = false"))
    done = typed(folder, "token", "list")
    assert done.returncode == 2
    assert "[api] is not enabled" in done.stderr


@pytest.mark.timeout(240)
def test_export_plan_apply_and_adopt(folder: Path) -> None:
    told(folder, "account", "set", "acme", "--provider", "contentstats", "--api-key-stdin", said="cs_1\n")
    toml = typed(folder, "export").stdout
    assert tomllib.loads(toml)["accounts"]["acme"]["provider"] == "contentstats"
    assert typed(folder, "plan", "-f", "-", "--prune", said=toml).stdout == "nothing to do\n"
    more = toml + '\n[[rules]]\nid = "low2"\nkind = "low_balance"\nbelow_usd = 5.00\n'
    assert typed(folder, "plan", "-f", "-", said=more).stdout.startswith("+ rule low2: kind nothing → low_balance")
    assert [one["id"] for one in told(folder, "apply", "-f", "-", said=more)["changes"]] == ["low2"]
    assert typed(folder, "apply", "-f", "-", "--prune", said=toml).stdout == "- rule low2\n"
    assert told(folder, "plan", "-f", "-", said=toml) == {"changes": []}

    dry = told(folder, "adopt", "own", "--dry-run")
    assert [one["kind"] for one in dry["changes"]] == ["account", "topup"]
    done = typed(folder, "adopt", "own")
    assert "own is managed by the API. Delete from the file: [accounts.own] and the tables below it, at" in done.stdout
    shown = told(folder, "account", "show", "own")
    assert (shown["managed_by"], shown["topup"].get("mode", "charge")) == ("api", "charge")
    assert "managed-twice  accounts.own: it was adopted" in typed(folder, "check").stdout
    text = (folder / "config.toml").read_text()
    (folder / "config.toml").write_text(text[: text.index("[accounts.own]")])
    assert [one["id"] for one in told(folder, "account", "list")] == ["acme", "own"]
    assert "managed-twice" not in typed(folder, "check").stdout
    (folder / "config.toml").write_text(text + '[accounts.acme]\nprovider = "tornado"\napi_key = "env:OWN_KEY"\n')
    done = typed(folder, "check")
    assert done.returncode == 2
    assert "error    managed-twice  accounts.acme: the API manages it" in done.stdout
    assert typed(folder, "once").returncode == 2


@pytest.mark.timeout(240)
def test_master_key_is_rotated_by_a_command(folder: Path) -> None:
    told(folder, "account", "set", "acme", "--provider", "contentstats", "--api-key-stdin", said="cs_1\n")
    text, other = (folder / "config.toml").read_text(), "QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkI="
    (folder / "config.toml").write_text(text.replace('"env:API_MASTER_KEY"', '["env:NEW_KEY", "env:API_MASTER_KEY"]'))
    assert told(folder, "store", "reseal", NEW_KEY=other) == {"resealed": 1}
    (folder / "config.toml").write_text(text.replace("env:API_MASTER_KEY", "env:NEW_KEY"))
    assert told(folder, "account", "list", NEW_KEY=other)[0]["problem"] is None
    (folder / "config.toml").write_text(text)
    assert "it is sealed by the master key" in told(folder, "account", "list")[0]["problem"]
    done = typed(folder, "store", "reseal")
    assert done.returncode == 1
    assert "nothing was resealed" in done.stderr


def test_running_daemon_takes_what_a_command_changes(api: Api) -> None:
    key = "cs_test_of_command"
    api.standins.usage.prepaid(key, balance_usd=7)
    told(
        api.folder, "account", "set", "typed", "--provider", "contentstats", "--api-key-stdin",
        "--set", f"base_url={api.standins.usage_url}", said=key,
    )  # fmt: skip
    with api.client(api.admin) as client:
        found = wait_until(lambda: (one := client.get("/accounts/typed")).status_code == 200 and one.json())
        assert found["managed_by"] == "api"
        wait_until(lambda: client.get("/accounts/typed").json()["status"]["available"] == "7.00")
        told(api.folder, "account", "archive", "typed")
        wait_until(lambda: client.get("/accounts/typed").status_code == 404)


@pytest.mark.timeout(240)
def test_server_is_managed_by_its_api(api: Api) -> None:
    def on(*arguments: str, said: str = "") -> Any:
        return told(api.folder, *arguments, "--server", api.base, said=said, BRIMFUL_TOKEN=api.admin)

    made = on("account", "set", "far", "--provider", "contentstats", "--owner", "far", "--api-key-stdin", said="cs_far")
    assert (made["created"], made["owner"]) == (True, "far")
    assert on("account", "set", "far", "--set", "label=Far")["label"] == "Far"
    assert on("topup", "set", "far", *(f"--set={key}={value}" for key, value in TOPUP.items()))["mode"] == "shadow"
    assert on("topup", "set", "far", "--set", "amount_usd=60.50")["amount_usd"] == "60.50"
    assert on("account", "show", "far")["topup"]["customer"] == "cus_1"
    assert on("subscribe", "https://a.example/h", "--accounts", "far", "--owner", "far")["secret"].startswith("whsec_")
    assert [one["id"] for one in on("account", "list", "--owner", "far")] == ["far"]
    token = on("token", "new", "--role", "read", "--owner", "far")
    assert token["id"] in [one["id"] for one in on("token", "list")]
    assert on("token", "revoke", token["id"])["revoked"]
    document = typed(api.folder, "export", "--server", api.base, BRIMFUL_TOKEN=api.admin).stdout
    assert tomllib.loads(document)["accounts"]["far"]["topup"]["amount_usd"] == 60.5
    assert on("plan", "-f", "-", "--prune", said=document) == {"changes": []}
    assert on("apply", "-f", "-", said=document) == {"changes": []}
    assert ("create", "topup/far") in [
        (one["action"], one["resource"]) for one in on("audit", "--resource", "topup/far")
    ]
    done = typed(api.folder, "account", "set", "own", "--set", "label=x", "--server", api.base, BRIMFUL_TOKEN=api.admin)
    assert done.returncode == 1
    assert "managed by the file" in done.stderr
    assert on("account", "archive", "far")["archived"]
