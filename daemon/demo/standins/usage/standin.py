"""The stand-in itself: keys, rate limits and faults around the accounts, over sockets or inside the process."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx

from alerts.model.instants import to_ms
from alerts.model.money import to_micro
from daemon.clock import Clock
from daemon.demo.standins.loopback import Manner, Reply, StandinRequest, serve
from daemon.demo.standins.usage.faults import Fault
from daemon.demo.standins.usage.prepaid import PrepaidAccount
from daemon.demo.standins.usage.storage import KeyType, StorageAccount

ALWAYS = 1_000_000_000
"""For `times`: until `heal`."""

Money = str | int | Decimal
_Account = PrepaidAccount | StorageAccount
_KINDS: Mapping[str, type[_Account]] = {kind.path: kind for kind in (PrepaidAccount, StorageAccount)}


@dataclass(slots=True)
class _Trouble:
    fault: Fault
    times: int


class UsageStandin:
    """Both usage APIs. Rates are counted per key and minute of the shared clock; None turns them off."""

    def __init__(self, clock: Clock, *, requests_per_minute: int | None = 300) -> None:
        self._clock = clock
        self._rate = requests_per_minute
        self._accounts: dict[str, _Account] = {}
        self._troubles: dict[str, list[_Trouble]] = {}
        self._counts: dict[str, tuple[int, int]] = {}
        self.asked: Counter[str] = Counter()
        """Requests by key, those that were refused included."""

    def prepaid(
        self,
        key: str,
        *,
        balance_usd: Money,
        uncharged_usd: Money = 0,
        total_charged_usd: Money = 0,
        active_videos: int = 0,
        cost_usd: Money = "0.015",
        **more: Any,
    ) -> PrepaidAccount:
        """Add a prepaid account whose life begins now."""
        account = PrepaidAccount(
            key=key,
            at=self._clock.now(),
            balance=to_micro(balance_usd),
            uncharged=to_micro(uncharged_usd),
            total_charged=to_micro(total_charged_usd),
            active_videos=active_videos,
            cost=to_micro(cost_usd),
            **more,
        )
        self._accounts[key] = account
        return account

    def storage(
        self,
        key: str,
        *,
        used_gb: Money,
        limit_gb: Money | None = None,
        reserved_gb: Money = 0,
        period_start: datetime | None = None,
        grows_gb_per_hour: Money = 0,
        **more: Any,
    ) -> StorageAccount:
        """Add a storage account whose life begins now: a trial key with a limit, a stripe key with a period."""
        key_type = KeyType.TRIAL if limit_gb is not None else KeyType.STRIPE if period_start else KeyType.UNLIMITED
        account = StorageAccount(
            key=key,
            at=self._clock.now(),
            key_type=more.pop("key_type", key_type),
            used=to_micro(used_gb),
            limit=None if limit_gb is None else to_micro(limit_gb),
            reserved=to_micro(reserved_gb),
            period_start=period_start,
            grows_per_hour=to_micro(grows_gb_per_hour),
            **more,
        )
        self._accounts[key] = account
        return account

    def share(self, key: str, of: str) -> None:
        """Let a second key show the same account."""
        self._accounts[key] = self._accounts[of]

    def credit(self, key: str, usd: Money, *, visible_after: timedelta = timedelta()) -> None:
        """Credit a prepaid account; its API shows the money after `visible_after`."""
        account = self._accounts[key]
        assert isinstance(account, PrepaidAccount), f"{key} is not prepaid"
        account.credit(to_micro(usd), now=self._clock.now(), visible_after=visible_after)

    def fail(self, key: str, fault: Fault, *, times: int = 1) -> None:
        """Spoil the next `times` answers to the key (after those of faults given before)."""
        self._troubles.setdefault(key, []).append(_Trouble(fault, times))

    def heal(self, key: str) -> None:
        """Forget the key's faults."""
        self._troubles.pop(key, None)

    def handle(self, asked: StandinRequest) -> Reply:
        """Answer one request."""
        key = asked.headers.get("x-api-key", "")
        self.asked[key] += 1
        kind = _KINDS.get(asked.path.partition("?")[0])
        if kind is None:
            return _error(404, "Not found")
        if asked.method != "GET":
            return _error(405, "Method not allowed")
        account = self._accounts.get(key)
        if not isinstance(account, kind):
            return _error(401, "Invalid API key" if key else kind.key_missing)
        now = self._clock.now()
        account.live(now)
        headers, spent = self._count(key, now)
        if spent:
            return _error(429, "Rate limit exceeded", headers)
        body = json.dumps(account.document()).encode()
        return self._spoil(key, Reply(200, body, {"Content-Type": "application/json", **headers}))

    def _count(self, key: str, now: datetime) -> tuple[dict[str, str], bool]:
        """Count one request; returns the rate-limit headers and whether the minute's budget was spent before."""
        if self._rate is None:
            return {}, False
        minute = to_ms(now) // 60_000
        began, count = self._counts.get(key, (minute, 0))
        count = count + 1 if began == minute else 1
        self._counts[key] = (minute, count)
        headers = {
            "X-RateLimit-Limit": str(self._rate),
            "X-RateLimit-Remaining": str(max(0, self._rate - count)),
            "X-RateLimit-Reset": str((minute + 1) * 60),
        }
        return headers, count > self._rate

    def _spoil(self, key: str, reply: Reply) -> Reply:
        troubles = self._troubles.get(key)
        if not troubles:
            return reply
        trouble = troubles[0]
        trouble.times -= 1
        if trouble.times <= 0:
            troubles.pop(0)
        return trouble.fault.spoil(reply)

    def serve(self, *, port: int = 0) -> AbstractAsyncContextManager[str]:
        """Serve both APIs on 127.0.0.1; the context yields the base URL."""
        return serve(self.handle, port)

    def transport(self, *, wait: Callable[[float], Awaitable[object]] | None = None) -> UsageTransport:
        """Return an httpx transport that answers without a socket; `wait` is how slow answers pass the time."""
        return UsageTransport(self, wait)


def _error(status: int, error: str, headers: dict[str, str] | None = None) -> Reply:
    return Reply(status, json.dumps({"error": error}).encode(), {"Content-Type": "application/json", **(headers or {})})


class UsageTransport(httpx.AsyncBaseTransport):
    """Answers httpx requests from a stand-in. What never ends on a socket is a time-out here, at once."""

    def __init__(self, standin: UsageStandin, wait: Callable[[float], Awaitable[object]] | None) -> None:
        self._standin = standin
        self._wait = wait

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        path = request.url.raw_path.decode("ascii")
        headers = {name.lower(): value for name, value in request.headers.items()}
        reply = self._standin.handle(StandinRequest(request.method, path, headers, request.content))
        if reply.wait_s and self._wait is not None:
            await self._wait(reply.wait_s)
        if reply.manner in (Manner.SILENT, Manner.DRIPPING) or (reply.wait_s and self._wait is None):
            raise httpx.ReadTimeout("the answer outlived the time-out", request=request)
        if reply.manner is not Manner.WHOLE:
            raise httpx.RemoteProtocolError("the connection was closed", request=request)
        return httpx.Response(reply.status, headers=dict(reply.headers), content=reply.body, request=request)
