"""A connection to the page: each of its states has a deadline, so that half-open ones shut nobody out."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from daemon.limits import PAGE_ANSWER_S, PAGE_CONNECTIONS, PAGE_HEAD_S


class PageConnection(H11Protocol):
    """HTTP/1.1 that waits for a request's head, and for its answer to be read, no longer than the limits say.

    Where all connections are taken, the one that has waited longest without asking anything makes room.
    """

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._deadline: asyncio.TimerHandle | None = None
        self._idle_since = self.loop.time()

    @property
    def is_answering(self) -> bool:
        """Whether a request of it is being answered."""
        return bool(self.cycle) and not self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._set_deadline(PAGE_HEAD_S)
        if len(self.connections) > PAGE_CONNECTIONS:
            idle = [one for one in self.connections if isinstance(one, PageConnection) and not one.is_answering]
            min(idle, key=lambda one: one._idle_since)._cut()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before and self.is_answering:
            self._set_deadline(PAGE_ANSWER_S)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._idle_since = self.loop.time()
        if not self.transport.get_write_buffer_size():  # else its reader still has to take the rest of the answer
            self._set_deadline(PAGE_HEAD_S)

    def _set_deadline(self, seconds: float) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None if self.transport.is_closing() else self.loop.call_later(seconds, self._cut)

    def _cut(self) -> None:
        self.connections.discard(self)  # at once: the loop says only later that it is lost
        self.transport.abort()
