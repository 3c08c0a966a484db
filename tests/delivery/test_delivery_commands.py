"""The commands about deliveries, run as a user runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from alerts.model.events import EventType
from daemon.demo.standins.mailbox import MailboxStandin
from daemon.demo.standins.receiver import TEST_SECRET, Fault, ReceiverStandin
from daemon.store.lock import held
from tests.delivery.conftest import World, WorldOf, webhook

pytestmark = pytest.mark.sqlite

ROOT = Path(__file__).resolve().parents[2]


def write_config(folder: Path, database: Path, receiver_port: int, mail_port: int) -> Path:
    path = folder / "config.toml"
    path.write_text(
        f"""
timezone = "Europe/Berlin"

[store]
path = "{database}"

[smtp]
host = "127.0.0.1"
port = {mail_port}
sender = "Brimful <brimful@example.com>"

[accounts.clips]
provider = "contentstats"
base_url = "http://127.0.0.1:9"
api_key = "env:CONTENTSTATS_API_KEY"

[[webhooks]]
id = "app"
url = "http://127.0.0.1:{receiver_port}/hook?token=s3cret"
secret = "env:WEBHOOK_SECRET"
allow_http = true

[[emails]]
id = "ops"
to = ["ops@example.com"]
"""
    )
    return path


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def brimful(tmp_path: Path, receiver: ReceiverStandin, mailbox: MailboxStandin) -> Run:
    config = write_config(tmp_path, tmp_path / "world0.db", receiver.port, mailbox.port)
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
        "WEBHOOK_SECRET": TEST_SECRET,
        "CONTENTSTATS_API_KEY": "cs_test_123",
        "COLUMNS": "200",
    }

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "daemon", "--config", str(config), *arguments],
            capture_output=True,
            text=True,
            env=environment,
            cwd=tmp_path,
            timeout=30,
            check=False,
        )

    return run


async def off_loop(run: Run, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command while the stand-ins of this loop answer it."""
    import asyncio

    return await asyncio.to_thread(run, *arguments)


@pytest.fixture
async def filled(world_of: WorldOf, receiver: ReceiverStandin) -> World:
    """A world with one delivered event and one that failed once."""
    world = world_of(webhook(receiver))
    world.tell()
    await world.deliver()
    receiver.fault = Fault(status=422, body=b"unknown account", times=1)
    world.tell(EventType.BALANCE_RECOVERED, account="other")
    await world.deliver()
    return world


async def test_deliveries_lists_filters_and_shows_every_attempt(filled: World, brimful: Run) -> None:
    rows = json.loads(brimful("deliveries", "--json").stdout)
    assert [(row["type"], row["state"], row["last_error"]) for row in rows] == [
        ("balance.recovered", "pending", "HTTP 422"),
        ("balance.low", "delivered", ""),
    ]
    for arguments, count in [
        (["--state", "delivered"], 1),
        (["--receiver", "app"], 2),
        (["--event", "balance.*"], 2),
        (["--event", "balance.low"], 1),
        (["--event", rows[0]["event_id"]], 1),
        (["--since", "2026-11-01T00:00:00Z", "--until", "2026-11-02T00:00:00Z"], 0),
        (["--state", "dead"], 0),
    ]:
        assert len(json.loads(brimful("deliveries", *arguments, "--json").stdout)) == count, arguments

    table = brimful("deliveries").stdout
    assert "HTTP 422" in table
    assert "webhook:app" in table
    shown = brimful("deliveries", "show", str(rows[0]["id"]))
    assert shown.returncode == 0
    assert "HTTP 422" in shown.stdout
    assert "unknown account" in shown.stdout
    (detail,) = json.loads(brimful("deliveries", "show", rows[0]["event_id"], "--json").stdout)
    assert detail["attempts_made"][0]["status"] == 422
    assert detail["body"]["type"] == "balance.recovered"


async def test_replay_sends_one_or_a_range_at_once_and_says_how_many(
    filled: World, brimful: Run, receiver: ReceiverStandin
) -> None:
    first = filled.log()[0]
    once = await off_loop(brimful, "deliveries", "replay", first.event_id)
    assert (once.returncode, once.stdout, once.stderr) == (0, "1 delivery is due again: all that was due is sent\n", "")
    assert [one.id for one in receiver.accepted].count(first.event_id) == 2
    again = await off_loop(brimful, "deliveries", "replay", "--since", "2026-11-02T00:00:00Z", "--to", "app", "--json")
    assert json.loads(again.stdout) == {"replayed": 2, "sent": True, "failed": 0}
    assert [one.id for one in receiver.accepted].count(first.event_id) == 3


async def test_replay_leaves_the_sending_to_a_running_daemon(
    filled: World, brimful: Run, receiver: ReceiverStandin
) -> None:
    filled.store.changed_elsewhere()
    with held(filled.store.path):
        told = await off_loop(brimful, "deliveries", "replay", filled.log()[0].event_id)
    assert told.stdout == "1 delivery is due again: the running daemon sends within moments\n"
    assert filled.store.changed_elsewhere()
    assert not filled.store.changed_elsewhere()


async def test_replay_to_a_receiver_that_still_fails_exits_1(
    filled: World, brimful: Run, receiver: ReceiverStandin
) -> None:
    receiver.fault = Fault(status=500)
    told = await off_loop(brimful, "deliveries", "replay", filled.log()[0].event_id)
    assert told.returncode == 1
    assert "1 not taken, and tried again" in told.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("replay",), 2, "say what"),
        (("replay", "1", "--dead"), 2, "stands alone"),
        (("replay", "--dead"), 1, "nothing matches"),
        (("replay", "--since", "yesterday"), 2, "neither a duration"),
        (("show", "evt_none"), 1, "no delivery and no event evt_none"),
        (("--receiver", "nobody"), 2, "no receiver nobody"),
    ],
)
async def test_wrong_use_is_a_sentence_and_an_exit_code(
    filled: World, brimful: Run, arguments: tuple[str, ...], code: int, said: str
) -> None:
    result = brimful("deliveries", *arguments)
    assert result.returncode == code
    assert said in result.stderr
    assert "Traceback" not in result.stderr


async def test_test_sends_a_ping_and_shows_the_outcome_without_a_database(
    brimful: Run, receiver: ReceiverStandin, mailbox: MailboxStandin
) -> None:
    sent = await off_loop(brimful, "test", "webhook", "app")
    assert (sent.returncode, sent.stderr) == (0, "")
    assert "answer 200" in sent.stdout
    assert receiver.received[0].verified
    assert receiver.received[0].payload["type"] == "test.ping"

    mailed = json.loads((await off_loop(brimful, "test", "email", "ops", "--json")).stdout)
    assert mailed["delivered"] is True
    assert mailbox.kept[0].message["subject"] == "Test message"


async def test_test_shows_a_failure_and_exits_1(brimful: Run, receiver: ReceiverStandin) -> None:
    receiver.fault = Fault(status=403, body=b"who are you?")
    refused = await off_loop(brimful, "test", "webhook", "app")
    assert refused.returncode == 1
    assert "HTTP 403" in refused.stderr
    assert "who are you?" in refused.stderr
    assert "s3cret" not in refused.stdout + refused.stderr
    assert brimful("test", "webhook", "nobody").returncode == 2
