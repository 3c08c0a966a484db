"""Those who are told: webhook receivers and a mailbox, which may be down, slow, or lose their own acknowledgement."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from typing import Any

import httpx

from alerts.mail import Mailed, MailFailed
from tests.sim.clocks import TrueClock


@dataclass(frozen=True, slots=True)
class Told:
    """One delivery as it arrived."""

    at: datetime
    receiver: str
    id: str
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        decoded: dict[str, Any] = json.loads(self.body)
        return decoded

    @property
    def type(self) -> str:
        return str(self.event["type"])

    @property
    def data(self) -> dict[str, Any]:
        data: dict[str, Any] = self.event["data"]
        return data


class Receivers:
    """Every receiver of the world; `down` names those that answer nothing."""

    def __init__(self, clock: TrueClock, rng: random.Random) -> None:
        self._clock = clock
        self._rng = rng
        self.told: list[Told] = []
        self.down: set[str] = set()
        self.fail_rate = 0.0
        self.lost_rate = 0.0
        self.slow_rate = 0.0
        self.mails: list[tuple[datetime, str]] = []
        """When which message (its Message-ID) was taken."""

    async def answer(self, request: httpx.Request) -> httpx.Response:
        receiver = request.url.path.rsplit("/", 1)[-1]
        if receiver in self.down:
            raise httpx.ConnectError("refused", request=request)
        if self.slow_rate and self._rng.random() < self.slow_rate:
            await asyncio.sleep(self._rng.uniform(5, 40))
        if self.fail_rate and self._rng.random() < self.fail_rate:
            return httpx.Response(self._rng.choice([500, 503, 429, 404]))
        self.told.append(Told(self._clock.now(), receiver, request.headers["webhook-id"], request.content))
        if self.lost_rate and self._rng.random() < self.lost_rate:
            raise httpx.ReadError("reset", request=request)
        return httpx.Response(204)

    async def take(self, message: EmailMessage) -> Mailed | MailFailed:
        """The mail server: down, slow, putting off, or breaking off after it took the message."""
        if "ops" in self.down:
            return MailFailed(1, "connection refused")
        if self.slow_rate and self._rng.random() < self.slow_rate:
            await asyncio.sleep(self._rng.uniform(5, 25))
        if self.fail_rate and self._rng.random() < self.fail_rate:
            return MailFailed(1, "451 try again later", 451)
        self.mails.append((self._clock.now(), str(message["Message-ID"])))
        if self.lost_rate and self._rng.random() < self.lost_rate:
            return MailFailed(1, "connection reset", maybe_arrived=True)
        return Mailed(1)

    def firsts(self, receiver: str) -> Iterator[Told]:
        """What a receiver heard, each id once, in the order of arrival."""
        seen: set[str] = set()
        for told in self.told:
            if told.receiver == receiver and told.id not in seen:
                seen.add(told.id)
                yield told
