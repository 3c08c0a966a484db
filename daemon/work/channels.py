"""The channels of a configuration: each receiver with its HTTP client, mailer and clock."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from alerts.channels.base import Channel
from alerts.channels.chat import ChatChannel
from alerts.channels.email import EmailChannel
from alerts.channels.webhook import Posted, PostFailed, WebhookChannel
from alerts.mail import Mailer
from alerts.model.receivers import ChatReceiver, EmailReceiver, Receiver, WebhookReceiver
from alerts.templating import Templates
from daemon.clock import Clock
from daemon.config.model import Config
from daemon.net.http import HttpClient, HttpFailure


class HttpPoster:
    """The HTTP client for webhooks: returns an answer or a reason, never raises."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http

    async def post(
        self, url: str, *, headers: Mapping[str, str], content: bytes, deadline_s: float, max_bytes: int
    ) -> Posted | PostFailed:
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            answer = await self._http.exchange(
                "POST", url, headers=headers, content=content, deadline_s=deadline_s, max_bytes=max_bytes
            )
        except HttpFailure as failure:
            return PostFailed(f"{failure.kind.value}: {failure.detail}", int((loop.time() - started) * 1000))
        return Posted(answer.status, answer.headers, answer.body, answer.elapsed_ms)


def build_channels(
    config: Config, *, http: HttpClient, mailer: Mailer | None, clock: Clock, templates: Templates | None = None
) -> list[Channel]:
    """Return one channel per receiver; e-mail receivers need a mailer, which the configuration's check requires."""
    poster = HttpPoster(http)
    templates = templates or Templates(config.templates)
    return [build_channel(receiver, config, poster, mailer, clock, templates) for receiver in config.receivers.all]


def build_channel(
    receiver: Receiver, config: Config, poster: HttpPoster, mailer: Mailer | None, clock: Clock, templates: Templates
) -> Channel:
    """Return the channel of one receiver."""
    match receiver:
        case WebhookReceiver():
            return WebhookChannel(receiver, poster, clock.wall)
        case EmailReceiver():
            if mailer is None:
                raise ValueError(f"{receiver.key} needs the [smtp] table")
            return EmailChannel(receiver, mailer, templates, config.timezone, clock.now)
        case ChatReceiver():
            return ChatChannel(receiver, config.timezone)
