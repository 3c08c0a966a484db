"""The channels of a configuration: each receiver with its HTTP client, mailer and clock."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from alerts.channels.base import Channel
from alerts.channels.chat import ChatChannel
from alerts.channels.email import EmailChannel
from alerts.channels.webhook import Posted, PostFailed, WebhookChannel
from alerts.events.messages.context import UNKNOWN, AccountContext, MessageContext, TopupTerms
from alerts.mail import Mailer
from alerts.model.money import format_usd
from alerts.model.receivers import ChatReceiver, EmailReceiver, Receiver, WebhookReceiver
from alerts.templating import Templates
from daemon.clock import Clock
from daemon.config.model import Config, StripeMode, TopupConfig, TopupMode
from daemon.net.http import HttpClient, HttpFailure

STRIPE_API = "https://api.stripe.com"
STRIPE_PAYMENTS = {
    StripeMode.LIVE: "https://dashboard.stripe.com/payments/",
    StripeMode.TEST: "https://dashboard.stripe.com/test/payments/",
}
"""Where a person sees a payment in Stripe, by its id; a stand-in shows none."""


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


def message_context(config: Config) -> MessageContext:
    """Return what messages say beyond their events: labels, what is charged and when, where Stripe shows a payment."""

    def account(id: str) -> AccountContext:
        known = config.accounts.get(id)
        return UNKNOWN if known is None else AccountContext(known.info.label, _terms(known.topup), known.timezone)

    stripe = config.stripe
    payments = STRIPE_PAYMENTS[stripe.mode] if stripe is not None and stripe.api_base == STRIPE_API else ""
    return MessageContext(config.timezone, account, payments)


def _terms(topup: TopupConfig | None) -> TopupTerms | None:
    if topup is None or topup.mode is not TopupMode.CHARGE:
        return None
    if topup.amount_microusd is not None:
        size = format_usd(topup.amount_microusd)
    elif topup.to_microusd is not None:
        size = f"up to {format_usd(topup.to_microusd)}"
    else:
        size = f"enough for {topup.cover_days} days"
    return TopupTerms(topup.when_below_microusd, size)


def build_channel(
    receiver: Receiver, config: Config, poster: HttpPoster, mailer: Mailer | None, clock: Clock, templates: Templates
) -> Channel:
    """Return the channel of one receiver."""
    context = message_context(config)
    match receiver:
        case WebhookReceiver():
            return WebhookChannel(receiver, poster, clock.wall)
        case EmailReceiver():
            if mailer is None:
                raise ValueError(f"{receiver.key} needs the [smtp] table")
            return EmailChannel(receiver, mailer, templates, context, clock.now)
        case ChatReceiver():
            return ChatChannel(receiver, context)
