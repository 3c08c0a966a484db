"""Fetching: one account asked once, within every bound. What comes back is always a reading, never an exception."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Protocol

import structlog
from pydantic import SecretStr

from alerts.model.readings import Known, Metrics, Reading, Reason, Unavailable
from alerts.model.values import replace
from daemon.clock import Clock
from daemon.limits import PACE_WAIT_S, POLL_BODY_BYTES, POLL_DEADLINE_S, POLLS_IN_FLIGHT, POLLS_PER_HOST
from daemon.net.http import FailureKind, HttpClient, HttpFailure
from daemon.sources.pace import RateLimit
from daemon.sources.provider import JsonMapping, Parser, Provider
from daemon.sources.refusals import one_line

TOKEN_CHARACTERS = 8
"""What follows a space in a header's value and is shorter is a word, no secret."""

log = structlog.get_logger("brimful.sources")

_FAILURE = {
    FailureKind.TIMEOUT: Reason.TIMEOUT,
    FailureKind.TOO_LARGE: Reason.TOO_LARGE,
}


class Source(Protocol):
    """What is known of an account that is asked: `url` is whole, accounts of one `host` share a queue."""

    @property
    def id(self) -> str: ...
    @property
    def provider(self) -> Provider: ...
    @property
    def url(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def api_key(self) -> SecretStr: ...
    @property
    def json(self) -> JsonMapping | None: ...


def failed(account: str, at: datetime, failure: HttpFailure) -> Unavailable:
    """Return what an exchange without an answer means."""
    return Unavailable(account, at, _FAILURE.get(failure.kind, Reason.UNREACHABLE), one_line(failure.detail))


def headers_of(account: Source) -> Mapping[str, str]:
    """Return the request headers: the provider's key header, and those that the account was configured with."""
    header = account.provider.key_header
    own = {header: account.api_key.get_secret_value()} if header else {}
    said = {} if account.json is None else account.json.headers
    return {"accept": "application/json", **own, **{name: value.get_secret_value() for name, value in said.items()}}


def secrets_of(account: Source) -> set[str]:
    """Return what no word of a reading may hold: the API key, and the values of configured headers.

    What follows a scheme (`Bearer …`) is one by itself.
    """
    said = {} if account.json is None else account.json.headers
    secrets = {account.api_key, *(value for name, value in said.items() if name.lower() != "accept")}
    whole = {secret.get_secret_value() for secret in secrets}
    tokens = {token for value in whole if len(token := value.rpartition(" ")[2]) >= TOKEN_CHARACTERS}
    return (whole | tokens) - {""}


@dataclass(slots=True)
class _Lane:
    """What is kept for one account between polls; all of it follows from its configuration but the last answer."""

    account: Source
    parse: Parser
    host: asyncio.Semaphore
    pace: RateLimit
    last_body: bytes = b""
    """The digest of the last body that was a reading: an answer that is the same to the byte is not read again."""
    last_metrics: Metrics | None = None
    unusable: tuple[tuple[str, str], ...] = ()
    """What could not be used of that body: logged when it changes."""


class Fetcher:
    """Asks usage APIs: `POLLS_PER_HOST` at once of a host, `POLLS_IN_FLIGHT` in all, each key at its own pace."""

    def __init__(
        self,
        http: HttpClient,
        clock: Clock,
        *,
        deadline_s: float = POLL_DEADLINE_S,
        max_bytes: int = POLL_BODY_BYTES,
        pace_wait_s: float = PACE_WAIT_S,
    ) -> None:
        self._http = http
        self._clock = clock
        self._deadline_s = deadline_s
        self._max_bytes = max_bytes
        self._pace_wait_s = pace_wait_s
        self._lanes: dict[str, _Lane] = {}
        self._hosts: dict[str, asyncio.Semaphore] = {}
        self._paces: dict[str, RateLimit] = {}
        """By host and key: limits count per API key."""
        self._all = asyncio.Semaphore(POLLS_IN_FLIGHT)

    def must_wait(self, account: Source) -> bool:
        """Whether the account's API key may not be used just now: `fetch` would wait, or say so at once."""
        pace = self._lane(account).pace
        return not pace.is_free and pace.free_at(self._clock.now()) is not None

    async def fetch(self, account: Source) -> Reading:
        """Return one reading of the account, `at` the service's time when the answer was complete.

        While its key has to keep quiet (after a 429, or a spent budget that resets too late to wait for) nothing is
        sent and the reading is `Unavailable(rate_limited)` with `retry_at`.
        """
        lane = self._lane(account)
        waited_s = 0.0
        while True:
            while not lane.pace.is_free and (free_at := lane.pace.free_at(now := self._clock.now())) is not None:
                wait_s = (free_at - now) / timedelta(seconds=1)
                if lane.pace.quiet_until is not None or waited_s + wait_s > self._pace_wait_s:
                    return _not_asked(lane, now, free_at)
                waited_s += wait_s
                await self._clock.sleep(wait_s)
            async with lane.host, self._all:
                if not lane.pace.is_free and lane.pace.free_at(self._clock.now()) is not None:
                    continue  # others spent the budget while this one waited for the host: wait outside
                lane.pace.send()
                return await self._ask(lane)

    async def _ask(self, lane: _Lane) -> Reading:
        account = lane.account
        headers: Mapping[str, str] | None = None
        try:
            answer = await self._http.exchange(
                "GET",
                account.url,
                headers=headers_of(account),
                deadline_s=self._deadline_s,
                max_bytes=self._max_bytes,
            )
            at, headers = self._clock.now(), answer.headers
        except HttpFailure as failure:
            at = self._clock.now()
            return self._masked(lane, failed(account.id, at, failure))
        finally:
            lane.pace.back(headers, at)
        body = blake2b(answer.body, digest_size=16).digest()
        if lane.last_metrics is not None and answer.status == 200 and body == lane.last_body:
            return Known(account.id, at, lane.last_metrics)
        reading = lane.parse(account.id, at, answer)
        if isinstance(reading, Known):
            lane.last_body, lane.last_metrics = body, reading.metrics
            if reading.metrics.unusable != lane.unusable:
                lane.unusable = reading.metrics.unusable
                log.warning("fields not used", account=account.id, why=[words for _, words in lane.unusable])
            return reading
        if reading.reason is Reason.RATE_LIMITED:
            lane.pace.quiet_until = reading.retry_at
        return self._masked(lane, reading)

    def _lane(self, account: Source) -> _Lane:
        lane = self._lanes.get(account.id)
        if lane is None or lane.account is not account:
            lane = self._lanes[account.id] = self._open_lane(account)
        return lane

    def _masked(self, lane: _Lane, reading: Unavailable) -> Unavailable:
        """The same without a secret of the account in its words."""
        detail = reading.detail
        for secret in secrets_of(lane.account):
            detail = one_line(detail, secret=secret)
        return replace(reading, detail=detail)

    def _open_lane(self, account: Source) -> _Lane:
        host = account.host
        return _Lane(
            account=account,
            parse=account.provider.parser(account.json.fields if account.json is not None else {}),
            host=self._hosts.setdefault(host, asyncio.Semaphore(POLLS_PER_HOST)),
            pace=self._paces.setdefault(f"{host} {' '.join(sorted(secrets_of(account)))}", RateLimit()),
        )


def _not_asked(lane: _Lane, now: datetime, free_at: datetime) -> Unavailable:
    why = "told to wait (429)" if lane.pace.quiet_until is not None else "the key's requests are spent"
    return Unavailable(lane.account.id, now, Reason.RATE_LIMITED, f"not asked: {why}", free_at)
