"""The memory of idempotency keys: the first answer is kept with its parameters, and forgotten after 24 hours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec import Struct

from daemon.demo.standins.stripe.errors import key_in_use, key_mismatch

KEPT_FOR = timedelta(hours=24)


class Saved(Struct, frozen=True, gc=False):
    """An answer as it went out."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class _Entry:
    endpoint: str
    fingerprint: str
    since: datetime
    answer: Saved | None = None


class IdempotencyKeys:
    """Keys of one Stripe account and mode."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}

    def begin(self, key: str, endpoint: str, fingerprint: str, now: datetime) -> Saved | None:
        """Take the key for a request, or return the answer that it has already had.

        Raises ApiError: 409 while another request holds the key, 400 `idempotency_error` where the endpoint or the
        parameters are not those of the first request.
        """
        entry = self._entries.get(key)
        if entry is not None and now - entry.since >= KEPT_FOR and entry.answer is not None:
            entry = None
        if entry is None:
            self._entries[key] = _Entry(endpoint, fingerprint, now)
            return None
        if entry.endpoint != endpoint:
            raise key_mismatch(key, "for the same endpoint")
        if entry.fingerprint != fingerprint:
            raise key_mismatch(key, "with the same parameters")
        if entry.answer is None:
            raise key_in_use(key)
        return entry.answer

    def save(self, key: str, answer: Saved) -> None:
        """Remember the answer of the request that holds the key."""
        self._entries[key].answer = answer

    def release(self, key: str) -> None:
        """Give the key back unused: validation failed, or the request never reached its endpoint."""
        self._entries.pop(key, None)

    def holds(self, key: str, now: datetime) -> bool:
        """Whether the key still protects at `now`."""
        entry = self._entries.get(key)
        return entry is not None and now - entry.since < KEPT_FOR
