"""The journal's lines, as the real process writes them, and systemd's native protocol on a real socket."""

from __future__ import annotations

import array
import asyncio
import json
import logging
import os
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from daemon.demo.standins.receiver import Fault
from daemon.demo.standins.usage import Status
from daemon.process.journald import Journal, is_on_stderr
from tests.postgres import for_processes
from tests.service.conftest import KEY, TOPUP, Town, open_town

ROOT = Path(__file__).parents[2]


async def lines_of_a_pass(path: Path, level: str = "debug") -> list[dict[str, Any]]:
    """Return what one pass in a process of its own wrote."""
    command = ("-m", "daemon", "--config", str(path), "once", "--log-level", level)
    for_processes(path)
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    _, said = await asyncio.wait_for(process.communicate(), 50)
    return [json.loads(line) for line in said.splitlines() if line.startswith(b"{")]


def of(lines: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [line for line in lines if line["event"] == kind]


@pytest.fixture
async def today(tmp_path: Path) -> AsyncIterator[Town]:
    """A town whose clock is the process's own: Stripe's time is held against it before a charge."""
    async with open_town(tmp_path, datetime.now(UTC)) as made:
        yield made


@pytest.mark.long
async def test_a_low_balance_is_followed_from_the_poll_to_the_delivery(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="4.50", active_videos=0)
    path = town.configure()
    lines = await lines_of_a_pass(path)
    (poll,) = of(lines, "poll")
    assert (poll["account"], poll["outcome"], poll["level"]) == ("clips", "read", "info")
    assert poll["ms"] >= 0
    (alert,) = of(lines, "alert")
    assert (alert["account"], alert["rule"], alert["type"], alert["level"]) == (
        "clips", "low", "balance.low", "warning",
    )  # fmt: skip
    assert alert["episode"]
    delivered = {line["receiver"]: line for line in of(lines, "delivery")}
    assert set(delivered) == {"webhook:app", "email:ops"}
    webhook = delivered["webhook:app"]
    assert (webhook["account"], webhook["id"], webhook["status"]) == ("clips", alert["id"], 200)
    assert {"ms", "state"} <= set(webhook)


async def test_a_revoked_key_and_a_receiver_that_fails_are_lines_above_info(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="4.50", active_videos=0)
    town.usage.fail(KEY, Status(401, "key revoked"))
    town.receiver.fault = Fault(status=500)
    lines = await lines_of_a_pass(town.configure(), "warning")
    (poll,) = of(lines, "poll")
    assert (poll["account"], poll["reason"], poll["level"]) == ("clips", "unauthorized", "error")
    (alert,) = of(lines, "alert")
    assert alert["type"] == "reading.unavailable"
    failed = next(line for line in of(lines, "delivery") if line["receiver"] == "webhook:app")
    assert (failed["status"], failed["state"], failed["level"]) == (500, "pending", "warning")


@pytest.mark.long
async def test_a_charge_is_lines_of_its_steps_and_of_each_call_to_stripe(today: Town) -> None:
    town = today
    town.usage.prepaid(KEY, balance_usd="4.50", active_videos=0)
    lines = await lines_of_a_pass(town.configure(topup=TOPUP))
    steps = of(lines, "charge")
    assert [line["step"] for line in steps][:5] == ["planned", "creating", "created", "confirming", "paid"]
    assert {(line["account"], line["topup"]) for line in steps} == {("clips", "clips-1")}
    assert steps[4]["payment_intent"].startswith("pi_")
    calls = {line["call"]: line for line in of(lines, "stripe")}
    assert {"payment_intents.list", "payment_intents.create", "payment_intents.confirm"} <= set(calls)
    confirm = calls["payment_intents.confirm"]
    assert (confirm["account"], confirm["topup"], confirm["status"]) == ("clips", "clips-1", 200)
    assert confirm["request_id"].startswith("req_")
    assert {line["account"] for name, line in calls.items() if name.startswith("payment_")} == {"clips"}
    text = json.dumps(lines)
    assert KEY not in text
    assert "sk_test_123" not in text


async def test_a_dead_stripe_key_is_an_error(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="4.50", active_videos=0)
    path = town.configure(topup=TOPUP)
    path.write_text(path.read_text().replace("sk_test_123", "sk_test_wrong"))
    lines = await lines_of_a_pass(path, "error")
    refused = of(lines, "stripe")
    assert refused
    assert {(line["status"], line["outcome"]) for line in refused} == {(401, "unauthorized")}


@pytest.mark.sqlite
async def test_a_report_that_was_sent_is_a_line(today: Town) -> None:
    town = today
    town.usage.prepaid(KEY, balance_usd="40.50", active_videos=0)
    report = '\n[[reports]]\nid = "daily"\nperiod = "day"\ncron = "0 0 * * *"\nto = ["f@example.com"]\ncsv = false\n'
    path = town.configure(report)
    town.clock.advance(-26 * 3600)
    await town.once(path)
    lines = await lines_of_a_pass(path)
    sent = of(lines, "report")
    assert sent
    assert {(line["report"], line["outcome"], line["level"]) for line in sent} == {("daily", "sent", "info")}


# ── the native protocol ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[tuple[Path, socket.socket]]:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(path))
        listening.settimeout(5)
        yield path, listening


def read(data: bytes) -> dict[str, str]:
    """Read one datagram as journald does."""
    fields: dict[str, str] = {}
    while data:
        line, _, data = data.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (length,) = struct.unpack("<Q", data[:8])
            value, data = data[8 : 8 + length], data[8 + length + 1 :]
        fields[name.decode()] = value.decode()
    return fields


def test_each_field_is_one_of_the_journals_and_priorities_are_syslogs(journald: tuple[Path, socket.socket]) -> None:
    path, listening = journald
    fields = {"event": "poll", "level": "error", "account": "clips", "priority": "mine", "rule": None, "_pid": 1}
    with closing(Journal(path)) as journal:
        journal.send("poll account=clips", "error", fields)
    assert read(listening.recv(65536)) == {
        "MESSAGE": "poll account=clips", "PRIORITY": "3", "SYSLOG_IDENTIFIER": "brimful", "EVENT": "poll",
        "ACCOUNT": "clips", "BRIMFUL_PRIORITY": "mine", "PID": "1",
    }  # fmt: skip


def test_a_line_of_several_lines_and_a_very_long_one_arrive_whole(journald: tuple[Path, socket.socket]) -> None:
    path, listening = journald
    with closing(Journal(path)) as journal:
        journal.send("pass failed\nTraceback: x=1", "warning", {})
        assert read(listening.recv(65536))["MESSAGE"] == "pass failed\nTraceback: x=1"
        journal.send("y" * 1_000_000, "info", {"event": "long"})
    _, rights, _, _ = listening.recvmsg(16, socket.CMSG_SPACE(4))
    (handed,) = array.array("i", rights[0][2])
    with os.fdopen(handed, "rb") as file:
        file.seek(0)
        said = read(file.read())
    assert (len(said["MESSAGE"]), said["EVENT"]) == (1_000_000, "long")


def test_a_journal_that_does_not_listen_loses_lines_and_says_how_many(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with closing(Journal(path)) as journal, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        journal.send("one", "info", {})
        journal.send("two", "info", {})
        listening.bind(str(path))
        listening.settimeout(5)
        journal.send("three", "info", {})
        assert read(listening.recv(4096))["LOST"] == "2"


def test_only_a_stderr_that_is_the_journals_is_taken_for_it() -> None:
    """`$JOURNAL_STREAM` is inherited by whatever a unit starts: its own stderr decides."""
    script = "from daemon.process.journald import is_on_stderr; print(is_on_stderr())"
    environ = {**os.environ, "JOURNAL_STREAM": "8:123456"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environ, cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout == "False\n"
    assert not is_on_stderr()


def test_what_libraries_say_is_masked_on_its_way_to_the_journal(journald: tuple[Path, socket.socket]) -> None:
    from daemon.process.logs import _JournalHandler

    path, listening = journald
    record = logging.LogRecord("lib", logging.WARNING, "x.py", 1, "key sk_live_abcdef", (), None)
    with closing(Journal(path)) as journal:
        _JournalHandler(journal).emit(record)
    assert read(listening.recv(4096))["MESSAGE"] == "key …"
