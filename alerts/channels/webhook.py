"""Webhooks: one signed POST an attempt, the same id and bytes every time, a new timestamp and signature."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Protocol
from urllib.parse import urlsplit

from alerts.channels.base import Batch, Result, SendOutcome
from alerts.channels.secrets import signing_secrets
from alerts.channels.signing import Signer
from alerts.events.customers import customers_copy
from alerts.model.limits import DELIVERY_ANSWER_BYTES, DELIVERY_ANSWER_KEPT, DELIVERY_DEADLINE_S
from alerts.model.receivers import WebhookReceiver, counted_as

OVERLOADED = frozenset({429, 502, 504})
GONE = 410
USER_AGENT = "Brimful (Standard Webhooks 1.0.0)"


@dataclass(frozen=True, slots=True)
class Posted:
    """An answer: header names in lower case, the body cut at the limit."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    elapsed_ms: int


@dataclass(frozen=True, slots=True)
class PostFailed:
    """No answer, and why: one line, without the URL's path and query."""

    reason: str
    elapsed_ms: int


class Poster(Protocol):
    """An HTTP client that follows no redirect, uses no proxy, and refuses link-local and metadata addresses."""

    async def post(
        self, url: str, *, headers: Mapping[str, str], content: bytes, deadline_s: float, max_bytes: int
    ) -> Posted | PostFailed:
        """Return the answer; `deadline_s` is over the whole attempt, and no more than `max_bytes` are read."""
        ...


class WebhookChannel:
    """One receiver of webhooks. `wall` is the wall's time: what a receiver compares a signature's timestamp with."""

    __slots__ = ("_poster", "_receiver", "_signer", "_wall", "counted_as", "key", "target")
    gathers = False
    max_per_hour: int | None = None

    def __init__(self, receiver: WebhookReceiver, poster: Poster, wall: Callable[[], datetime]) -> None:
        self.key = receiver.key
        self.counted_as = counted_as(receiver)
        self.target = receiver.target
        self._receiver = receiver
        self._signer: tuple[int, Signer] | None = None
        """How many secrets sign, and with them: made at the first attempt, and anew where one has ended."""
        self._poster = poster
        self._wall = wall

    async def send(self, batch: Batch) -> SendOutcome:
        receiver = self._receiver
        if not receiver.allow_http and urlsplit(receiver.url).scheme != "https":
            return SendOutcome(Result.FAILED, 0, error="refused: the URL is not https, and allow_http is not set")
        event = batch.deliveries[0].event
        body = customers_copy(event) if receiver.untrusted else event.body
        wall = self._wall()
        headers = {
            "content-type": "application/json",
            "user-agent": USER_AGENT,
            **self._signer_at(wall).headers(event.id, wall, body),
        }
        answer = await self._poster.post(
            receiver.url,
            headers=headers,
            content=body,
            deadline_s=DELIVERY_DEADLINE_S,
            max_bytes=DELIVERY_ANSWER_BYTES,
        )
        if isinstance(answer, PostFailed):
            return SendOutcome(Result.FAILED, answer.elapsed_ms, error=answer.reason)
        return judge_answer(answer, wall)

    def _signer_at(self, wall: datetime) -> Signer:
        """Return the signer of an attempt at `wall`: the end of an overlap needs no reload."""
        secrets = signing_secrets(self._receiver, wall)
        if self._signer is None or self._signer[0] != len(secrets):
            self._signer = len(secrets), Signer([secret.get_secret_value() for secret in secrets])
        return self._signer[1]


def judge_answer(answer: Posted, wall: datetime) -> SendOutcome:
    """Return what an answer means: all but 2xx is a failure, 410 is the end, some ask to be left alone a while."""
    status = answer.status
    text = printable(answer.body)
    if 200 <= status < 300:
        return SendOutcome(Result.OK, answer.elapsed_ms, status, answer=text)
    if status == GONE:
        return SendOutcome(Result.GONE, answer.elapsed_ms, status, error="HTTP 410 Gone", answer=text)
    error = f"HTTP {status}, a redirect, which is never followed" if 300 <= status < 400 else f"HTTP {status}"
    return SendOutcome(
        Result.FAILED,
        answer.elapsed_ms,
        status,
        error=error,
        answer=text,
        retry_after=read_retry_after(answer.headers.get("retry-after", ""), wall),
        slow=status in OVERLOADED,
    )


def read_retry_after(value: str, wall: datetime) -> timedelta | None:
    """Return the wait that a Retry-After asks for, in seconds or as a date (RFC 9110, 10.2.3), else None."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return timedelta(seconds=min(int(value[:12]), 10**9))
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)) - wall


def printable(body: bytes) -> str:
    """Return the first characters of an answer as one printable line."""
    text = body[: DELIVERY_ANSWER_KEPT * 4].decode("utf-8", "replace")
    return "".join(char if char.isprintable() else " " for char in text)[:DELIVERY_ANSWER_KEPT].strip()
