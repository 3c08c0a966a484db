"""What is given to the programmers of receivers is true: examples, receivers that run, the document for machines."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from alerts.channels.signing import Signer
from alerts.model.events import EventType
from daemon.demo.standins.receiver import TEST_SECRET
from tests.helpers_events import DOCS, example_event

ROTATED = "whsec_" + base64.b64encode(b"the secret that came before it..").decode()
SEED = b"0123456789abcdef0123456789abcdef"


def test_the_page_says_that_a_payment_is_credited_once() -> None:
    assert "credit once per `payment_intent`" in (DOCS / "webhooks.md").read_text(encoding="utf-8").lower()


PYTHON = [sys.executable, str(DOCS / "receivers" / "receiver.py")]
NODE = ["node", str(DOCS / "receivers" / "receiver.mjs")]
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
BOTH = [pytest.param(PYTHON, id="python"), pytest.param(NODE, id="javascript", marks=needs_node)]


@asynccontextmanager
async def running(command: list[str], folder: Path, secret: str) -> AsyncIterator[httpx.AsyncClient]:
    """Run a receiver on a free port and yield a client for it."""
    environment = {**os.environ, "WEBHOOK_SECRET": secret, "EVENTS_DB": str(folder / "events.db")}
    process = await asyncio.create_subprocess_exec(
        *command, "0", env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdout is not None
    try:
        port = int((await asyncio.wait_for(process.stdout.readline(), 20)).split()[-1])
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            yield client
    finally:
        process.kill()
        await process.communicate()


def signed(type: EventType, *secrets: str, at: datetime | None = None) -> tuple[dict[str, str], bytes]:
    event = example_event(type)
    return Signer(secrets).headers(event.id, at or datetime.now(UTC), event.body), event.body


@pytest.mark.parametrize("command", BOTH)
async def test_the_receivers_take_what_is_signed_once_and_refuse_the_rest(command: list[str], tmp_path: Path) -> None:
    async with running(command, tmp_path, f"{TEST_SECRET} {ROTATED}") as client:

        async def post(headers: dict[str, str], body: bytes) -> tuple[int, str]:
            answer = await client.post("/", headers=headers, content=body)
            return answer.status_code, answer.text

        for type in EventType:
            assert await post(*signed(type, TEST_SECRET)) == (200, "taken")
            assert await post(*signed(type, TEST_SECRET)) == (200, "known already")

        headers, body = signed(EventType.BALANCE_LOW, TEST_SECRET)
        assert (await post(headers, body.replace(b"4.21", b"9.21")))[0] == 400
        assert (await post({**headers, "webhook-id": "evt_other"}, body))[0] == 400
        assert (await post({}, body))[0] == 400
        assert (await post(*signed(EventType.BALANCE_LOW, "whsec_" + base64.b64encode(b"f" * 32).decode())))[0] == 400
        old = datetime.now(UTC) - timedelta(minutes=6)
        assert (await post(*signed(EventType.BALANCE_LOW, TEST_SECRET, at=old)))[0] == 400
        assert (await post(*signed(EventType.BALANCE_LOW, ROTATED)))[0] == 200, "the secret of before is still good"


async def test_the_python_receiver_credits_a_payment_once_whatever_comes_how_often(tmp_path: Path) -> None:
    async with running(PYTHON, tmp_path, TEST_SECRET) as client:
        event = example_event(EventType.TOPUP_SUCCEEDED)
        for id in ("evt_a", "evt_a", "evt_b"):
            headers = Signer([TEST_SECRET]).headers(id, datetime.now(UTC), event.body)
            assert (await client.post("/", headers=headers, content=event.body)).status_code == 200
    with sqlite3.connect(tmp_path / "events.db") as db:
        credited = db.execute("SELECT payment_intent, account, usd FROM credit").fetchall()
    db.close()
    assert credited == [(json.loads(event.body)["data"]["payment_intent"], "clips", 50)]


@needs_node
async def test_the_javascript_receiver_verifies_ed25519_with_the_public_key_alone(tmp_path: Path) -> None:
    public = Ed25519PrivateKey.from_private_bytes(SEED).public_key()
    raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    key = "whsk_" + base64.b64encode(SEED).decode()
    async with running(NODE, tmp_path, "whpk_" + base64.b64encode(raw).decode()) as client:
        headers, body = signed(EventType.BALANCE_LOW, key)
        assert (await client.post("/", headers=headers, content=body)).status_code == 200
        assert (await client.post("/", headers=headers, content=body + b" ")).status_code == 400
