"""The usage API as it really is, and as it answers: honest, late, lying or out of order."""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

import httpx

from tests.sim.clocks import TrueClock

COST_MICROUSD = 15_000
HOUR = timedelta(hours=1)
FAR_BEYOND_USD = 100_000
"""More than any account burns between two polls."""
_JSON = httpx.Headers({"content-type": "application/json"})
_encode = json.JSONEncoder().encode


def _available(said: dict[str, float | int]) -> int:
    """What an answer says is available, in micro-dollars."""
    return round(said["balance_usd"] * 1_000_000) - round(said["uncharged_usage_usd"] * 1_000_000)


@dataclass(slots=True)
class Ledger:
    """One account. Usage moves money from the balance to what was charged; only credit raises their sum."""

    clock: TrueClock
    balance: int
    videos: int
    charged: int = 40_000_000
    uncharged: int = 0
    snapshots: int = 2_000
    at: datetime = field(init=False)
    credits: list[tuple[datetime, int, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.at = self.clock.now()

    def settle(self) -> None:
        """Bring the account up to the clock: a snapshot of every video an hour, deducted six hours later."""
        now = self.clock.now()
        while self.at + HOUR <= now:
            self.at += HOUR
            if self.balance - self.uncharged > 0:
                self.uncharged += self.videos * COST_MICROUSD
                self.snapshots += self.videos
            if self.at.hour % 6 == 0:
                self.balance -= self.uncharged
                self.charged += self.uncharged
                self.uncharged = 0

    def credit(self, amount: int, why: str) -> None:
        self.settle()
        self.balance += amount
        self.credits.append((self.clock.now(), amount, why))

    @property
    def available(self) -> int:
        self.settle()
        return self.balance - self.uncharged

    @property
    def funded(self) -> int:
        self.settle()
        return self.balance + self.charged

    def said(self) -> dict[str, float | int]:
        """The honest answer."""
        self.settle()
        return {
            "balance_usd": self.balance / 1_000_000,
            "uncharged_usage_usd": self.uncharged / 1_000_000,
            "total_charged_usd": self.charged / 1_000_000,
            "total_snapshots": self.snapshots,
            "active_videos": self.videos,
            "cost_per_snapshot": COST_MICROUSD / 1_000_000,
            "estimated_snapshots_remaining": max(self.balance, 0) // COST_MICROUSD,
        }


class Outage(StrEnum):
    SERVER_ERROR = "server_error"
    PROXY = "proxy"
    TIMEOUT = "timeout"
    REFUSED = "refused"
    UNAUTHORIZED = "unauthorized"
    RATE_LIMITED = "rate_limited"


class Lie(StrEnum):
    EMPTY = "empty"
    ZEROS = "zeros"
    NAN = "nan"
    HALF = "half"
    BACKWARDS = "backwards"
    TENFOLD = "tenfold"
    MISSING = "missing"
    DIP = "dip"


class Source:
    """Answers for every account. A lie is told once: the next answer to the same account is honest."""

    def __init__(self, rng: random.Random, ledgers: dict[str, Ledger]) -> None:
        self._rng = rng
        self.ledgers = ledgers
        self.outage: Outage | None = None
        self.lie_rate = 0.0
        self.slow_rate = 0.0
        self.falsehood = ""
        """What every answer says instead of the truth: it lasts, and reading twice does not help."""
        self.frozen: dict[str, dict[str, float | int]] = {}
        self._lied: set[str] = set()
        self.honest: dict[str, list[tuple[datetime, int]]] = {}
        """What was available, at every answer, had it been honest."""
        self.requests = 0

    def freeze(self) -> None:
        """A cache in front of the API: it goes on saying what it says now."""
        self.frozen = {account: ledger.said() for account, ledger in self.ledgers.items()}

    def thaw(self) -> None:
        self.frozen = {}

    def visible(self, account: str) -> tuple[int, int]:
        """What an honest answer says now: available and funded, in micro-dollars."""
        said = self.frozen.get(account) or self.ledgers[account].said()
        return _available(said), round(said["balance_usd"] * 1_000_000) + round(said["total_charged_usd"] * 1_000_000)

    async def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        account = next(part for part in reversed(request.url.path.split("/")) if part in self.ledgers)
        if self.outage is not None:
            return await self._out(request)
        if self.slow_rate and self._rng.random() < self.slow_rate:
            await asyncio.sleep(self._rng.uniform(1, 30))
        said = dict(self.frozen.get(account) or self.ledgers[account].said())
        self.honest.setdefault(account, []).append((self.ledgers[account].clock.now(), _available(said)))
        if self.falsehood:
            return self._say_falsely(said)
        if self.lie_rate and account not in self._lied and self._rng.random() < self.lie_rate:
            self._lied.add(account)
            return self._lie(said)
        self._lied.discard(account)
        return httpx.Response(200, headers=_JSON, stream=httpx.ByteStream(_encode(said).encode()))

    async def _out(self, request: httpx.Request) -> httpx.Response:
        match self.outage:
            case Outage.TIMEOUT:
                await asyncio.sleep(120)
                raise httpx.ReadTimeout("too slow", request=request)
            case Outage.REFUSED:
                raise httpx.ConnectError("refused", request=request)
            case Outage.PROXY:
                return httpx.Response(502, html="<html>bad gateway</html>")
            case Outage.UNAUTHORIZED:
                return httpx.Response(401, json={"error": "Invalid API key"})
            case Outage.RATE_LIMITED:
                return httpx.Response(429, json={"error": "slow down"}, headers={"retry-after": "90"})
            case _:
                return httpx.Response(500, json={"error": "oops"})

    def _say_falsely(self, said: dict[str, float | int]) -> httpx.Response:
        balance = said["balance_usd"]
        match self.falsehood:
            case "nothing":
                said = dict.fromkeys(said, 0)
            case "half":
                said["balance_usd"] = balance / 2
            case "zero":
                said["balance_usd"] = 0
            case "pending":
                said["uncharged_usage_usd"] = balance + FAR_BEYOND_USD
            case _:
                twice = f'{_encode(said)[:-1]},"uncharged_usage_usd":{balance + FAR_BEYOND_USD}}}'
                return httpx.Response(200, headers=_JSON, content=twice.encode())
        return httpx.Response(200, headers=_JSON, content=_encode(said).encode())

    def _lie(self, said: dict[str, float | int]) -> httpx.Response:
        match self._rng.choice(list(Lie)):
            case Lie.EMPTY:
                return httpx.Response(200, content=b"")
            case Lie.ZEROS:
                return httpx.Response(200, json=dict.fromkeys(said, 0))
            case Lie.NAN:
                return httpx.Response(200, content=json.dumps(said | {"balance_usd": float("nan")}).encode())
            case Lie.HALF:
                return httpx.Response(200, content=json.dumps(said).encode()[:40])
            case Lie.BACKWARDS:
                charged = said["total_charged_usd"] / 2
                return httpx.Response(200, json=said | {"total_charged_usd": charged})
            case Lie.DIP:
                return httpx.Response(200, json=said | {"balance_usd": round(said["balance_usd"] - 0.9, 6)})
            case Lie.TENFOLD:
                return httpx.Response(200, json=said | {"balance_usd": said["balance_usd"] * 10})
            case _:
                del said["balance_usd"]
                return httpx.Response(200, json=said)
