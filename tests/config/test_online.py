"""`check --online` asks everything that the configuration names, and moves nothing."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from daemon.clock import ManualClock, SystemClock
from daemon.commands.check import run_check
from daemon.demo.standins.mailbox import MailboxStandin
from daemon.demo.standins.receiver import ReceiverStandin
from daemon.demo.standins.stripe.standin import StripeStandin
from daemon.demo.standins.usage import UsageStandin
from daemon.work.online import ask_host
from tests.helpers_config import ENVIRON
from tests.helpers_tls import make_tls


@dataclass
class World:
    usage: UsageStandin
    stripe: StripeStandin
    mail: MailboxStandin
    hook: ReceiverStandin
    folder: Path
    text: str

    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    async def check(self, *, online: bool = True, environ: Mapping[str, str] = ENVIRON) -> tuple[int, dict[str, Any]]:
        """Return the exit code and the document of `check --json`, run beside the stand-ins' loop."""
        path = self.folder / "config.toml"
        path.write_text(self.text)
        for name, value in environ.items():
            self.monkeypatch.setenv(name, value)
        code = await asyncio.to_thread(run_check, path, online=online, as_json=True)
        return code, json.loads(self.capsys.readouterr().out)


@pytest.fixture
async def world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> AsyncIterator[World]:
    clock = SystemClock()
    usage, stripe = UsageStandin(clock), StripeStandin(clock)
    usage.prepaid("cs_test_1", balance_usd="12.45", uncharged_usd="0.75", active_videos=3)
    usage.storage("t_1", used_gb=942, limit_gb=1024)
    stripe.add_customer("cus_123", card="pm_card")
    async with AsyncExitStack() as stack:
        usage_url = await stack.enter_async_context(usage.serve())
        stripe_url = await stack.enter_async_context(stripe.serve())
        mail = await stack.enter_async_context(MailboxStandin())
        hook = await stack.enter_async_context(ReceiverStandin())
        text = f"""
            [store]
            path = "{tmp_path}/brimful.db"
            [accounts.clips]
            provider = "contentstats"
            base_url = "{usage_url}"
            api_key = "env:CS_KEY"
            [accounts.clips.topup]
            when_below_usd = 10
            amount_usd = 50
            customer = "cus_123"
            max_charge_usd = 200
            max_per_day_usd = 100
            max_per_month_usd = 500
            [accounts.downloads]
            provider = "tornado"
            base_url = "{usage_url}"
            api_key = "env:TORNADO_KEY"
            [stripe]
            api_key = "env:STRIPE_KEY"
            mode = "test"
            api_base = "{stripe_url}"
            [smtp]
            host = "127.0.0.1"
            port = {mail.port}
            sender = "Brimful <brimful@example.com>"
            [[rules]]
            id = "low"
            kind = "low_balance"
            below_usd = 5
            [[webhooks]]
            id = "app"
            url = "{hook.url}"
            secret = "env:WEBHOOK_SECRET"
            allow_http = true
        """
        yield World(usage, stripe, mail, hook, tmp_path, text, monkeypatch, capsys)


async def test_everything_that_works_is_said_to_work_and_nothing_moves(world: World) -> None:
    code, said = await world.check()
    assert [outcome["ok"] for outcome in said["online"]] == [True] * 7, said["online"]
    details = " / ".join(outcome["detail"] for outcome in said["online"])
    assert "$11.70 available, $1.08 a day scheduled" in details
    assert "942.00 GB of 1,024.00 GB used" in details
    assert "customer cus_123, card pm_card" in details
    assert (code, said["ok"]) == (0, True)
    assert {exchange.endpoint for exchange in world.stripe.exchanges} == {
        "payment_intents.list",
        "charges.list",
        "events.list",
        "payment_intents.cancel",  # of one that cannot exist
        "customers.retrieve",
        "payment_methods.retrieve",
    }
    assert world.stripe.intents() == []
    assert (world.hook.received, world.mail.kept) == ([], [])
    assert world.usage.asked == {"cs_test_1": 1, "t_1": 1}


async def test_each_thing_that_fails_is_named_and_exits_1(world: World) -> None:
    await world.hook.stop()
    await world.mail.stop()
    world.text = world.text.replace("cus_123", "cus_456")
    code, said = await world.check(environ={**ENVIRON, "TORNADO_KEY": "wrong"})
    failed = {outcome["target"].split(" at ")[0]: outcome["detail"] for outcome in said["online"] if not outcome["ok"]}
    assert code == 1
    assert failed["usage API of downloads"].startswith("unauthorized")
    assert "cus_456" in failed["Stripe for clips"]
    assert "cannot connect" in failed["webhook app"]
    assert any(target.startswith("mail server") for target in failed)
    assert len(failed) == 4


async def test_payment_method_of_another_customer_is_refused(world: World) -> None:
    world.stripe.add_customer("cus_other", card="pm_other")
    world.text = world.text.replace("amount_usd = 50", 'amount_usd = 50\npayment_method = "pm_other"')
    code, said = await world.check()
    assert code == 1
    (failed,) = (outcome for outcome in said["online"] if not outcome["ok"])
    assert "belongs to another customer, cus_other" in failed["detail"]


@pytest.mark.parametrize(
    ("customer", "kind", "said"),
    [
        ("cus_123", "us_bank_account", "pm_odd is a us_bank_account: only cards and Link are charged"),
        (None, "card", "pm_odd is not saved for cus_123"),
    ],
    ids=["bank account", "card that nobody saved"],
)
async def test_payment_method_that_the_daemon_would_not_charge_is_refused(
    world: World, customer: str | None, kind: str, said: str
) -> None:
    world.stripe.books.add_method("pm_odd", customer=customer, type=kind)
    world.text = world.text.replace("amount_usd = 50", 'amount_usd = 50\npayment_method = "pm_odd"')
    code, document = await world.check()
    assert code == 1
    (failed,) = (outcome for outcome in document["online"] if not outcome["ok"])
    assert (failed["target"], failed["detail"]) == ("Stripe for clips", f"payment method {said}")


async def test_two_keys_of_one_provider_account_are_named(world: World) -> None:
    table = world.text[
        world.text.index("[accounts.clips]") : world.text.index("[accounts.", world.text.index("cus_123"))
    ]
    world.text = world.text.replace(table, table + table.replace("clips", "twin").replace("CS_KEY", "CS_KEY_2"))
    world.usage.share("cs_test_2", "cs_test_1")
    code, said = await world.check(environ={**ENVIRON, "CS_KEY_2": "cs_test_2"})
    assert code == 1
    [wrong] = [one for one in said["online"] if not one["ok"]]
    assert wrong["target"] == "top-up of twin"
    assert wrong["detail"].startswith("clips and twin show the same totals for one customer")


async def test_customer_without_a_payment_method_is_told(world: World) -> None:
    world.stripe.add_customer("cus_bare")
    world.text = world.text.replace("cus_123", "cus_bare")
    code, said = await world.check()
    assert code == 1
    assert any("no default payment method" in outcome["detail"] for outcome in said["online"])


async def test_burn_that_the_api_schedules_is_held_against_thresholds(world: World) -> None:
    world.usage.prepaid("cs_test_1", balance_usd=500, active_videos=2000)
    _, said = await world.check()
    assert "topup-cooldown-over-runway" in {problem["id"] for problem in said["problems"]}


async def test_wrong_configuration_asks_nobody(world: World) -> None:
    code, said = await world.check(environ={**ENVIRON, "CS_KEY": ""})
    assert (code, said["online"]) == (2, [])
    assert [problem["id"] for problem in said["problems"]] == ["secret-unset"]
    assert not world.usage.asked


async def test_check_alone_asks_nobody(world: World) -> None:
    code, said = await world.check(online=False)
    assert code == 0
    assert "online" not in said
    assert not world.usage.asked


async def test_check_loads_no_more_than_it_needs(world: World) -> None:
    """The parts that talk to a network, draw charts or serve pages stay on the disk."""
    (world.folder / "config.toml").write_text(world.text)
    program = (
        "import sys; from daemon.cli import app\n"
        "try: app(['--config', sys.argv[1], 'check'])\n"
        "except SystemExit: pass\n"
        "print(sorted(m for m in ('stripe', 'aiohttp', 'httpx', 'matplotlib', 'numpy', 'apscheduler', 'sqlite_utils',"
        " 'starlette', 'uvicorn', 'jinja2', 'css_inline', 'aiosmtplib', 'apprise') if m in sys.modules))"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, str(world.folder / "config.toml")),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, **ENVIRON},
    )
    out, _ = await asyncio.wait_for(process.communicate(), 30)
    assert out.decode().splitlines()[-1] == "[]"


async def test_outcomes_are_read_out_line_by_line(world: World) -> None:
    await world.hook.stop()
    path = world.folder / "config.toml"
    path.write_text(world.text)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", "daemon", "check", "--online", "--config", str(path)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **ENVIRON},
    )
    out, err = await asyncio.wait_for(process.communicate(), 50)
    lines = out.decode().splitlines()
    assert process.returncode == 1
    assert b"Traceback" not in err
    assert "ok       usage API of clips: $11.70 available, $1.08 a day scheduled" in lines
    assert any(line.startswith("failed   webhook app at 127.0.0.1:") for line in lines)
    assert lines[-1] == "online: 6 of 7 work, 1 failed"


async def test_host_that_is_never_connected_to_is_refused_by_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is judged by what it resolves to, as a delivery would judge it."""
    answer = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **more: answer)
    (outcome,) = await ask_host("webhook app", "https://inner.example.com/hook")
    assert not outcome.ok
    assert "metadata" in outcome.detail


# ── what each failure says, and what to do ──────────────────────────────────────────────────────────────────────────


async def failure(world: World, **more: Any) -> dict[str, Any]:
    """Return the one check that fails; each has a target, what was asked, what came back and what to do."""
    code, said = await world.check(**more)
    assert code == 1
    (failed,) = (outcome for outcome in said["online"] if not outcome["ok"])
    assert failed["asked"]
    assert failed["fix"]
    found: dict[str, Any] = failed
    return found


async def test_a_wrong_usage_key_says_where_the_key_stands(world: World) -> None:
    failed = await failure(world, environ={**ENVIRON, "CS_KEY": "wrong"})
    assert failed["asked"].startswith("GET http://127.0.0.1:")
    assert "unauthorized" in failed["detail"]
    assert failed["fix"].endswith("into accounts.clips.api_key")


async def test_a_key_that_may_not_write_payment_intents_is_found_and_moves_nothing(world: World) -> None:
    reads = {"payment_intents.read", "charges.read", "events.read", "customers.read", "payment_methods.read"}
    world.stripe.keys[ENVIRON["STRIPE_KEY"]] = frozenset(reads)
    failed = await failure(world)
    assert failed["target"] == "Stripe key"
    assert failed["detail"].startswith("the key may not cancel a PaymentIntent that cannot exist: 403")
    assert "PaymentIntents write" in failed["fix"]
    assert world.stripe.intents() == []


async def test_a_card_that_has_expired_is_found(world: World) -> None:
    world.stripe.method("pm_card").expires = (2020, 1)
    failed = await failure(world)
    assert failed["detail"] == "payment method pm_card expired in 2020-01"
    assert "save a card that is valid with cus_123" in failed["fix"]


async def test_a_clock_that_stripe_does_not_share_is_told(world: World) -> None:
    world.stripe.clock = ManualClock(datetime.now(UTC) - timedelta(hours=1))
    failed = await failure(world)
    assert failed["target"] == "Stripe clock"
    assert re.match(r"this clock is 3\d{3} s ahead of Stripe's", failed["detail"])
    assert "timedatectl" in failed["fix"]


async def test_each_recipient_is_named_to_the_mail_server_and_taken_back(world: World) -> None:
    world.text += '[[emails]]\nid = "ops"\nto = ["ops@example.com", "gone@example.com"]\n'
    world.mail.refuse.add("gone@example.com")
    failed = await failure(world)
    assert "gone@example.com: 550" in failed["detail"]
    assert "ops@example.com" not in failed["detail"]
    assert world.mail.kept == []


async def test_a_certificate_for_another_name_is_told_in_words_with_its_names(world: World) -> None:
    server, _ = make_tls(world.folder, "192.0.2.7")

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    listening = await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=server)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        world.text = world.text.replace(world.hook.url, f"https://127.0.0.1:{port}/hook")
        failed = await failure(world)
    assert "_ssl.c" not in failed["detail"]
    assert "certificate verify failed" not in failed["detail"]
    assert "the certificate is self-signed" in failed["detail"]
    assert "it is for 192.0.2.7, valid until " in failed["fix"]
