"""A provider is one file: one that no other file knows is checked, asked, judged and shown like the rest."""

from __future__ import annotations

import asyncio
import json
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from daemon.cli import app
from daemon.clock import SystemClock
from daemon.compose import open_service
from daemon.config.load import load
from daemon.sources.payload import to_limit, to_millionths, to_signed
from daemon.sources.provider import Has, Provider
from daemon.sources.registry import PROVIDERS
from daemon.web.server import serving
from daemon.web.site import site
from tests.helpers_config import ENVIRON, STRIPE, TOPUP, changed, look
from tests.web.conftest import free_port

ADDED = Provider(
    name="made-up",
    title="Made Up",
    base_url="https://api.made-up.example",
    path="/v3/credit",
    key_header="x-made-up-key",
    min_charge_microusd=25_000_000,
    table={
        "funds": ("balance_microusd", to_signed),
        "billed": ("total_charged_microusd", to_millionths),
        "stored": ("used_microgb", to_millionths),
        "room": ("limit_microgb", to_limit),
    },
)
SAID = {"funds": "41.50", "billed": 8.5, "stored": 90, "room": 100, "plan": "gold"}
ACCOUNT = """
[accounts.third]
provider = "made-up"
base_url = "{url}"
api_key = "mu_test_third"
"""
RULES = """
[[rules]]
id = "low"
kind = "low_balance"
below_usd = 50

[[rules]]
id = "quota"
kind = "quota"
at_percent = [80]
"""


class StandIn(BaseHTTPRequestHandler):
    """The provider's API, over real HTTP."""

    def do_GET(self) -> None:
        known = (self.path, self.headers.get("x-made-up-key")) == ("/v3/credit", "mu_test_third")
        body = json.dumps(SAID if known else {"error": "who are you?"}).encode()
        self.send_response(200 if known else 401)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture(autouse=True)
def _added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROVIDERS, ADDED.name, ADDED)
    monkeypatch.setattr("daemon.process.logs.set_up", lambda *_: None)  # it would outlive the test


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), StandIn) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def config(tmp_path: Path, url: str) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(f'[store]\npath = "{tmp_path}/brimful.db"\n[http]\nlisten = ""\n{ACCOUNT.format(url=url)}{RULES}')
    return path


def brimful(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["--config", str(config), *arguments], catch_exceptions=False)


def test_check_accepts_it_and_asks_it_online(config: Path) -> None:
    found = brimful(config, "check", "--online", "--json")
    assert found.exit_code == 0, found.output
    assert "$41.50 available" in found.stdout
    assert "90.00 GB of 100.00 GB used" in found.stdout


def test_once_reads_and_judges_it_and_status_shows_it(config: Path) -> None:
    assert brimful(config, "once").exit_code == 0
    (third,) = json.loads(brimful(config, "status", "--json").stdout)["accounts"]
    assert (third["provider"], third["balance_usd"], third["available_usd"]) == ("made-up", 41.5, 41.5)
    assert (third["quota"]["effective_gb"], third["quota"]["limit_gb"]) == (90, 100)
    assert {alert["rule"] for alert in third["alerts"]} == {"low", "quota"}
    assert "$41.50" in brimful(config, "status").stdout


async def test_the_page_gives_its_figures_in_its_own_names(config: Path) -> None:
    settled = await asyncio.to_thread(load, config)
    async with open_service(settled) as service:
        await service.once()
        port, transport = await free_port(), httpx.AsyncHTTPTransport(retries=3)
        async with (
            serving(site(service.config, service, SystemClock()), "127.0.0.1", port),
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", transport=transport) as client,
        ):
            given = (await client.get("/api/v1/usage/third")).json()
            front = (await client.get("/")).text
    said = {name: value for name, value in given.items() if name not in ("observed_at", "age_s")}
    assert said == SAID | {"funds": 41.5}
    assert "$41.50" in front


@pytest.mark.parametrize("flags", [[], ["--base-url", "{url}"]])
def test_init_writes_an_account_of_it(tmp_path: Path, url: str, flags: list[str]) -> None:
    path = tmp_path / "config.toml"
    said = [flag.format(url=url) for flag in flags]
    assert brimful(path, "init", "--provider", "made-up", "--no-online", *said).exit_code == 0
    written = tomllib.loads(path.read_text())
    assert written["accounts"]["made-up"]["api_key"] == "env:MADE_UP_API_KEY"
    assert [rule["kind"] for rule in written["rules"]] == ["low_balance", "quota"]


def test_its_url_and_its_smallest_credit_hold_in_the_configuration(tmp_path: Path, url: str) -> None:
    topup = changed(TOPUP, "accounts.clips", "accounts.third")
    config = look(tmp_path, ACCOUNT.format(url=url) + topup + STRIPE + RULES, ENVIRON).config
    assert config is not None
    account = config.accounts["third"]
    assert account.url == f"{url}/v3/credit"
    assert account.topup is not None
    assert account.topup.min_charge_microusd == ADDED.min_charge_microusd
    small = changed(topup, "amount_usd = 50", "amount_usd = 20")
    problems = look(tmp_path, ACCOUNT.format(url=url) + small + STRIPE + RULES, ENVIRON).problems
    assert any("Made Up takes no less" in str(problem) for problem in problems)


def test_a_misspelt_one_is_told_what_there_is(tmp_path: Path, url: str) -> None:
    text = changed(ACCOUNT.format(url=url), '"made-up"', '"made-ap"') + RULES
    problems = look(tmp_path, text, ENVIRON).problems
    assert any('did you mean "made-up"?' in str(problem) for problem in problems)


def test_what_it_tells_follows_from_its_table() -> None:
    assert ADDED.provides == {Has.BALANCE, Has.TOTAL, Has.VOLUME, Has.LIMIT}
