"""Fetching: one account asked once, within every bound. What comes back is always a reading, never an exception."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from weakref import WeakValueDictionary

import structlog

from alerts.model.readings import Known, Metrics, Reading, Reason, Unavailable
from alerts.model.values import replace
from daemon.clock import Clock
from daemon.limits import POLL_BODY_BYTES, POLL_DEADLINE_S, POLLS_IN_FLIGHT, POLLS_PER_HOST, RATE_LIMIT_WAIT_S
from daemon.net.http import FailureKind, HttpClient, HttpFailure
from daemon.sources.provider import Parser
from daemon.sources.rate_limit import RateLimit
from daemon.sources.refusals import DETAIL_CHARACTERS, one_line
from daemon.sources.request import Source, request_of, secrets_of

log = structlog.get_logger("brimful.sources")

_FAILURE = {
    FailureKind.TIMEOUT: Reason.TIMEOUT,
    FailureKind.TOO_LARGE: Reason.TOO_LARGE,
}


def failed(account: str, at: datetime, failure: HttpFailure) -> Unavailable:
    """Return what an exchange without an answer means."""
    return Unavailable(account, at, _FAILURE.get(failure.kind, Reason.UNREACHABLE), one_line(failure.detail))


@dataclass(slots=True)
class _AccountClient:
    """What is kept for one account between polls; all of it follows from its configuration but the last answer."""

    account: Source
    parse: Parser
    host: asyncio.Semaphore
    rate_limit: RateLimit
    last_body: bytes = b""
    """The digest of the last body that was a reading: an answer that is the same to the byte is not read again."""
    last_metrics: Metrics | None = None
    unusable: tuple[tuple[str, str], ...] = ()
    """What could not be used of that body: logged when it changes."""


class Fetcher:
    """Asks usage APIs: `POLLS_PER_HOST` at once of a host, `POLLS_IN_FLIGHT` in all, each key at its own rate_limit.

    `strangers` asks at the URLs that strangers chose.
    """

    def __init__(
        self,
        http: HttpClient,
        clock: Clock,
        *,
        strangers: HttpClient | None = None,
        deadline_s: float = POLL_DEADLINE_S,
        max_bytes: int = POLL_BODY_BYTES,
        rate_limit_wait_s: float = RATE_LIMIT_WAIT_S,
    ) -> None:
        self._http = http
        self._strangers = strangers or http
        self._clock = clock
        self._deadline_s = deadline_s
        self._max_bytes = max_bytes
        self._rate_limit_wait_s = rate_limit_wait_s
        self._clients: dict[str, _AccountClient] = {}
        self._hosts: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._rate_limits: WeakValueDictionary[str, RateLimit] = WeakValueDictionary()
        """By host and key: limits count per API key. Both are kept as long as an account has them."""
        self._all = asyncio.Semaphore(POLLS_IN_FLIGHT)

    def must_wait(self, account: Source) -> bool:
        """Whether the account's API key may not be used just now: `fetch` would wait, or say so at once."""
        rate_limit = self._client(account).rate_limit
        return not rate_limit.is_free and rate_limit.free_at(self._clock.now()) is not None

    def forget(self, accounts: Iterable[str]) -> None:
        """Keep nothing more of these accounts."""
        for account in accounts:
            self._clients.pop(account, None)

    async def fetch(self, account: Source) -> Reading:
        """Return one reading of the account, `at` the service's time when the answer was complete.

        While its key has to keep quiet (after a 429, or a spent budget that resets too late to wait for) nothing is
        sent and the reading is `Unavailable(rate_limited)` with `retry_at`.
        """
        if account.unavailable:
            return Unavailable(account.id, self._clock.now(), Reason.UNAUTHORIZED, one_line(account.unavailable))
        client = self._client(account)
        limit = client.rate_limit
        waited_s = 0.0
        while True:
            while not limit.is_free and (free_at := limit.free_at(now := self._clock.now())) is not None:
                wait_s = (free_at - now) / timedelta(seconds=1)
                if limit.quiet_until is not None or waited_s + wait_s > self._rate_limit_wait_s:
                    return _not_asked(client, now, free_at)
                waited_s += wait_s
                await self._clock.sleep(wait_s)
            async with client.host, self._all:
                if not limit.is_free and limit.free_at(self._clock.now()) is not None:
                    continue  # others spent the budget while this one waited for the host: wait outside
                limit.send()
                return await self._ask(client)

    async def _ask(self, client: _AccountClient) -> Reading:
        account, request = client.account, request_of(client.account)
        headers: Mapping[str, str] | None = None
        try:
            http = self._strangers if account.untrusted else self._http
            answer = await http.exchange(
                request.method,
                request.url,
                headers=request.headers,
                content=request.content,
                deadline_s=self._deadline_s,
                max_bytes=self._max_bytes,
            )
            headers = answer.headers
        except HttpFailure as failure:
            return self._masked(client, failed(account.id, self._clock.now(), failure))
        finally:  # of one that is cancelled, too
            at = self._clock.now()
            client.rate_limit.back(headers, at)
        body = blake2b(answer.body, digest_size=16).digest()
        if client.last_metrics is not None and answer.status == 200 and body == client.last_body:
            return Known(account.id, at, client.last_metrics)
        reading = client.parse(account.id, at, answer)
        if isinstance(reading, Known):
            if account.json is not None:
                reading = _without_secrets(client, reading)
            client.last_body, client.last_metrics = body, reading.metrics
            if reading.metrics.unusable != client.unusable:
                client.unusable = reading.metrics.unusable
                log.warning("fields not used", account=account.id, why=[words for _, words in client.unusable])
            return reading
        if reading.reason is Reason.RATE_LIMITED:
            client.rate_limit.quiet_until = reading.retry_at
        return self._masked(client, reading)

    def _client(self, account: Source) -> _AccountClient:
        client = self._clients.get(account.id)
        if client is None or client.account is not account:
            client = self._clients[account.id] = self._new_client(account)
        return client

    def _masked(self, client: _AccountClient, reading: Unavailable) -> Unavailable:
        """The same without a secret of the account in its words."""
        return replace(reading, detail=_mask(client, reading.detail))

    def _new_client(self, account: Source) -> _AccountClient:
        host = account.host
        return _AccountClient(
            account=account,
            parse=account.provider.parser(account.json.answer if account.json is not None else None),
            host=self._hosts.setdefault(host, asyncio.Semaphore(POLLS_PER_HOST)),
            rate_limit=self._rate_limits.setdefault(f"{host} {' '.join(sorted(secrets_of(account)))}", RateLimit()),
        )


def _mask(client: _AccountClient, words: str) -> str:
    for secret in sorted(secrets_of(client.account), key=len, reverse=True):
        words = one_line(words, max(len(words), DETAIL_CHARACTERS), secret=secret)
    return words


def _without_secrets(client: _AccountClient, reading: Known) -> Known:
    """The same where an answer repeats the key that it was asked with in one of its texts."""
    metrics, found = reading.metrics, {}
    for name in ("client_name", "billing_error", "max_resolution"):
        words = getattr(metrics, name)
        if words and (masked := _mask(client, words)) != words:
            found[name] = masked
    return replace(reading, metrics=replace(metrics, **found)) if found else reading


def _not_asked(client: _AccountClient, now: datetime, free_at: datetime) -> Unavailable:
    why = "told to wait (429)" if client.rate_limit.quiet_until is not None else "the key's requests are spent"
    return Unavailable(client.account.id, now, Reason.RATE_LIMITED, f"not asked: {why}", free_at)
