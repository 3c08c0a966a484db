"""The real daemon, with accounts in euros and characters beside two in dollars: every figure names its unit."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from daemon.cli import app
from tests.helpers_apis import Api, serving_api
from tests.service.conftest import KEY, Town
from tests.service.conftest import every_event_is_what_the_catalogue_says as every_event_is_what_the_catalogue_says
from tests.service.conftest import town as town
from tests.web.conftest import Browse
from tests.web.conftest import browse as browse

VONAGE = '{"value": 4.28, "autoReload": false}'
DEEPL = """{"character_count": 17000000, "character_limit": 20000000, "start_time": "2026-11-01T00:00:00Z",
 "end_time": "2026-12-01T00:00:00Z"}"""
MORE = """
[accounts.sms]
provider = "vonage"
api_key = "key:s3cret-vonage"
url = "{sms}/account/get-balance"

[accounts.translate]
provider = "deepl"
api_key = "s3cret-deepl"
url = "{translate}/v2/usage"

[accounts.second]
provider = "contentstats"
base_url = "{usage}"
api_key = "cs_second"

[[rules]]
id = "low"
kind = "low_balance"
below = 5

[[rules]]
id = "quota"
kind = "quota"
at_percent = [80]

[[rules]]
id = "month"
kind = "budget"
period = "month"
limit = 10
accounts = ["sms"]
"""
REPORT = """
[[reports]]
id = "fin"
period = "month"
cron = "0 8 1 * *"
to = ["finance@example.com"]
"""


@pytest.fixture
def apis() -> Iterator[tuple[Api, Api]]:
    with serving_api() as sms, serving_api() as translate:
        sms.body, translate.body = VONAGE, DEEPL
        yield sms, translate


@pytest.fixture
async def many(town: Town, apis: tuple[Api, Api]) -> tuple[Town, Path]:
    sms, translate = apis
    town.usage.prepaid(KEY, balance_usd="4.96", total_charged_usd="5")
    town.usage.prepaid("cs_second", balance_usd="40", total_charged_usd="2")
    path = town.configure(MORE.format(sms=sms.url, translate=translate.url, usage=town.usage_url))
    await town.once(path)
    return town, path


def brimful(path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["--config", str(path), *arguments], catch_exceptions=False)


def mailed(town: Town) -> str:
    return "\n".join(
        f"{mail.message['Subject']}\n{mail.part('plain')}{mail.part('html')}" for mail in town.mailbox.kept
    )


def by_account(events: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {event["account"]: event for event in events}


async def test_events_and_mails_are_in_each_accounts_unit(many: tuple[Town, Path]) -> None:
    town, _ = many
    low = by_account(town.events_of("balance.low"))
    assert set(low) == {"clips", "sms"}
    assert (low["sms"]["unit"], low["sms"]["available"], low["sms"]["threshold"]) == ("EUR", 4.28, 5)
    assert not [name for name in low["sms"] if "usd" in name]
    assert (low["clips"]["unit"], low["clips"]["available"], low["clips"]["available_usd"]) == ("USD", 4.96, 4.96)
    quota = by_account(town.events_of("quota.high"))["translate"]
    assert (quota["unit"], quota["used"], quota["limit"], quota["percent"]) == ("characters", 17e6, 20e6, 85)
    assert not [name for name in quota if name.endswith("_gb")]
    mails = mailed(town)
    assert "4.28 EUR" in mails
    assert "17,000,000 characters" in mails
    assert "$4.28" not in mails
    assert "17,000,000.00 GB" not in mails


async def test_status_and_history_are_in_each_accounts_unit(many: tuple[Town, Path]) -> None:
    _, path = many
    accounts = {one["account"]: one for one in json.loads(brimful(path, "status", "--json").stdout)["accounts"]}
    sms, translate, clips = accounts["sms"], accounts["translate"], accounts["clips"]
    assert (sms["unit"], sms["balance"], sms["available"]) == ("EUR", 4.28, 4.28)
    assert not [name for name in sms if name.endswith("_usd")]
    assert (sms["month"]["unit"], sms["month"]["spent"]) == ("EUR", 0)
    assert (sms["budgets"][0]["unit"], sms["budgets"][0]["limit"]) == ("EUR", 10)
    assert (translate["quota"]["unit"], translate["quota"]["used"]) == ("characters", 17_000_000)
    assert "used_gb" not in translate["quota"]
    assert (clips["unit"], clips["balance"], clips["balance_usd"], clips["quota"]) == ("USD", 4.96, 4.96, None)
    text = brimful(path, "status").stdout
    assert "4.28 EUR" in text
    assert "17,000,000 characters of 20,000,000 characters (85.0 %)" in text
    assert "$4.28" not in text
    assert "GB" not in text
    shown = brimful(path, "history", "translate").stdout
    assert "17,000,000 characters" in shown
    rows = list(csv.DictReader(io.StringIO(brimful(path, "history", "sms", "--csv").stdout)))
    assert (rows[0]["balance"], rows[0]["unit"], "balance_usd" in rows[0]) == ("4.28", "EUR", False)
    (reading,) = json.loads(brimful(path, "history", "clips", "--json").stdout)["readings"]
    assert (reading["balance"], reading["balance_usd"]) == (4.96, 4.96)


async def test_the_page_and_its_metrics_are_in_each_accounts_unit(many: tuple[Town, Path], browse: Browse) -> None:
    town, path = many
    async with town.service(path) as service:
        await service.once()
        async with browse(service) as client:
            front = (await client.get("/")).text
            one = (await client.get("/accounts/sms")).text
            quota = (await client.get("/accounts/translate")).text
            metrics = (await client.get("/metrics")).text
            usage = (await client.get("/api/v1/usage/sms")).json()
    assert "4.28 EUR" in front
    assert "17,000,000 characters" in front
    assert "$4.28" not in front + one
    assert "EUR" in one
    assert "characters" in quota
    assert "GB" not in quota
    assert 'brimful_available{account="sms",unit="EUR"} 4.28' in metrics
    assert 'brimful_used{account="translate",unit="characters"} 17000000.0' in metrics
    assert 'brimful_available_usd{account="clips"} 4.96' in metrics
    assert 'usd{account="sms"' not in metrics
    assert (usage["balance"], usage["unit"], "balance_usd" in usage) == (4.28, "EUR", False)


async def test_no_key_is_anywhere(many: tuple[Town, Path], apis: tuple[Api, Api], browse: Browse) -> None:
    town, path = many
    for api, key in zip(apis, ("key:s3cret-vonage", "s3cret-deepl"), strict=True):
        api.status, api.body = 403, json.dumps({"error": f"{key} is wrong", "asked": api.asked[0].headers})
    await town.once(path)
    async with town.service(path) as service, browse(service) as client:
        pages = [(await client.get(at)).text for at in ("/", "/accounts/sms", "/metrics", "/healthz")]
    said = [*pages, brimful(path, "status").stdout, brimful(path, "check").stdout, mailed(town)]
    said += [str(one.payload) for one in town.receiver.accepted]
    stored = b"".join(file.read_bytes() for file in town.folder.glob("a.db*"))
    assert "s3cret" not in "".join(said)
    assert b"s3cret" not in stored
    assert b"czNjcmV0" not in stored


async def test_online_check_reads_each_in_its_unit(many: tuple[Town, Path]) -> None:
    _, path = many
    shown = (await asyncio.to_thread(brimful, path, "check", "--online")).stdout
    assert "4.28 EUR available" in shown
    assert "17,000,000 characters of 20,000,000 characters used" in shown


@pytest.mark.long
async def test_a_report_names_each_unit_and_adds_none_across(many: tuple[Town, Path], tmp_path: Path) -> None:
    _, path = many
    path.write_text(path.read_text() + REPORT)
    made = await asyncio.to_thread(brimful, path, "report", "fin", "--period", "2026-11", "--out", str(tmp_path / "r"))
    assert made.exit_code == 0, made.output
    text = next((tmp_path / "r").glob("*.txt")).read_text()
    assert "4.28 EUR" in text
    assert "17,000,000 of 20,000,000 characters" in text
    assert "$44.96" in text  # the two in dollars, and nothing else
    assert "$4.28" not in text
    assert "49.24" not in text
    files = [io.StringIO(file.read_text("utf-8-sig")) for file in (tmp_path / "r").glob("*.csv")]
    units = {(row["account"], row["unit"]) for file in files for row in csv.DictReader(file)}
    assert {("sms", "EUR"), ("translate", "characters"), ("clips", "USD"), ("second", "USD")} <= units
    assert not {("sms", "USD"), ("translate", "GB")} & units
