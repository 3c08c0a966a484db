"""Chats and pagers through the optional Apprise library: the same outbox, the same promises.

Apprise is synchronous and speaks to a service of its own choice, so that it runs in a thread. Its URLs carry secrets:
nothing of them, nor of Apprise's own messages, is kept.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import Any

from alerts.channels.base import Batch, Result, SendOutcome
from alerts.channels.content import write_chat
from alerts.events.messages.context import MessageContext
from alerts.model.limits import DELIVERY_DEADLINE_S
from alerts.model.receivers import ChatReceiver, counted_as

MISSING = "the extra is not installed: pip install 'brimful[chat]'"


class ChatChannel:
    """One `[[chat]]` table. `load` imports Apprise, late: only those who use it need it."""

    target = ""
    gathers = True
    max_per_hour: int | None = None

    def __init__(
        self,
        receiver: ChatReceiver,
        context: MessageContext,
        load: Callable[[], Any] = lambda: importlib.import_module("apprise"),
    ) -> None:
        self.key = receiver.key
        self.counted_as = counted_as(receiver)
        self._url = receiver.url
        self._context = context
        self._load = load
        self._thread: Thread | None = None

    async def send(self, batch: Batch) -> SendOutcome:
        loop = asyncio.get_running_loop()
        started = loop.time()
        if self._thread is not None and self._thread.is_alive():
            return SendOutcome(Result.FAILED, 0, error="the chat service still hangs from the attempt before")
        title, body = write_chat([delivery.event for delivery in batch.deliveries], self._context)
        try:
            async with asyncio.timeout(DELIVERY_DEADLINE_S):
                error = await self._in_thread(title, body)
        except TimeoutError:
            return SendOutcome(
                Result.FAILED,
                int((loop.time() - started) * 1000),
                error=f"the chat service took longer than {DELIVERY_DEADLINE_S:g} s",
                maybe_arrived=True,
            )
        elapsed_ms = int((loop.time() - started) * 1000)
        return SendOutcome(Result.FAILED if error else Result.OK, elapsed_ms, error=error)

    async def _in_thread(self, title: str, body: str) -> str:
        # A daemon thread, at most one: a service that hangs holds up no other receiver, nor the end of the process.
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[str] = loop.create_future()

        def settle(error: str) -> None:
            if not answer.done():
                answer.set_result(error)

        def work() -> None:
            error = self._notify(title, body)
            with suppress(RuntimeError):  # the loop has ended meanwhile: nobody waits for this any more
                loop.call_soon_threadsafe(settle, error)

        self._thread = Thread(target=work, name=self.key, daemon=True)
        self._thread.start()
        return await answer

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
        except (OSError, TypeError, ValueError, RuntimeError, AttributeError, LookupError) as error:
            return f"the chat service could not be told ({type(error).__name__})"
        return "" if taken else "the chat service refused the message or could not be reached"
