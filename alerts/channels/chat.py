"""Chats and pagers through the optional Apprise library: the same outbox, the same promises.

Apprise is synchronous and speaks to a service of its own choice, so that it runs in a thread. Its URLs carry secrets:
nothing of them, nor of Apprise's own messages, is kept.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from zoneinfo import ZoneInfo

from alerts.channels.base import Outcome, Parcel, Result
from alerts.channels.letter import write_note
from alerts.limits import DELIVERY_DEADLINE_S
from alerts.receivers import ChatReceiver

MISSING = "the extra is not installed: pip install 'brimful[chat]'"


class ChatChannel:
    """One `[[chat]]` table. `load` imports Apprise, late: only those who use it need it."""

    gathers = True
    max_per_hour: int | None = None

    def __init__(
        self,
        receiver: ChatReceiver,
        zone: ZoneInfo,
        load: Callable[[], Any] = lambda: importlib.import_module("apprise"),
    ) -> None:
        self.key = receiver.key
        self._url = receiver.url
        self._zone = zone
        self._load = load
        # A thread of its own: a service that hangs holds up no other receiver, and at most this one thread.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"chat-{receiver.id}")

    async def send(self, parcel: Parcel) -> Outcome:
        loop = asyncio.get_running_loop()
        started = loop.time()
        title, body = write_note([delivery.event for delivery in parcel.deliveries], self._zone)
        try:
            async with asyncio.timeout(DELIVERY_DEADLINE_S):
                error = await loop.run_in_executor(self._thread, self._notify, title, body)
        except TimeoutError:
            return Outcome(
                Result.FAILED,
                int((loop.time() - started) * 1000),
                error=f"the chat service took longer than {DELIVERY_DEADLINE_S:g} s",
                maybe_arrived=True,
            )
        elapsed_ms = int((loop.time() - started) * 1000)
        return Outcome(Result.FAILED if error else Result.OK, elapsed_ms, error=error)

    def _notify(self, title: str, body: str) -> str:
        """Send in this thread; returns what went wrong, empty when nothing did."""
        try:
            apprise = self._load()
        except ImportError:
            return MISSING
        service = apprise.Apprise()
        if not service.add(self._url.get_secret_value()):
            return "the URL is not one that Apprise knows"
        try:
            taken = service.notify(title=title, body=body)
        except (OSError, TypeError, ValueError, RuntimeError) as error:
            return f"the chat service could not be told ({type(error).__name__})"
        return "" if taken else "the chat service refused the message or could not be reached"
