"""The channels: each receiver with its HTTP client, mailer and clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

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
from daemon.config.model import AccountConfig, Config, StripeMode, TopupConfig, TopupMode
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


class Channels:
    """Makes the channel of a receiver. `account` finds an account as it is configured when a message is written;
    `strangers` posts to the URLs of customers. An e-mail receiver needs a mailer, which the check requires.
    """

    def __init__(
        self,
        config: Config,
        *,
        account: Callable[[str], AccountConfig | None],
        http: HttpClient,
        strangers: HttpClient,
        mailer: Mailer | None,
        clock: Clock,
    ) -> None:
        self._poster = HttpPoster(http)
        self._strangers = HttpPoster(strangers)
        self._mailer = mailer
        self._clock = clock
        self._templates = Templates(config.templates)
        self._context = _message_context(config, account)

    def of(self, receiver: Receiver) -> Channel:
        """Return the channel of one receiver."""
        match receiver:
            case WebhookReceiver():
                poster = self._strangers if receiver.untrusted else self._poster
                return WebhookChannel(receiver, poster, self._clock.wall)
            case EmailReceiver():
                if self._mailer is None:
                    raise ValueError(f"{receiver.key} needs the [smtp] table")
                return EmailChannel(receiver, self._mailer, self._templates, self._context, self._clock.now)
            case ChatReceiver():
                return ChatChannel(receiver, self._context)


def _message_context(config: Config, find: Callable[[str], AccountConfig | None]) -> MessageContext:
    """Return what messages say beyond their events: labels, what is charged and when, where Stripe shows a payment."""

    def account(id: str) -> AccountContext:
        known = find(id)
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
