"""E-mail: one message an event, or a digest where several fall together; a second try is the same message."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from email.message import EmailMessage

from alerts.channels.base import Batch, Result, SendOutcome
from alerts.channels.content import MailContent, write_mail
from alerts.events.messages.context import MessageContext
from alerts.mail import Mailed, Mailer, new_message
from alerts.model.receivers import EmailReceiver, counted_as
from alerts.templating import WRONG_TEMPLATE, Templates


class EmailChannel:
    """One `[[emails]]` table, or a customer's own address: all its addresses share a message. `now` is the service's
    clock.
    """

    target = ""
    gathers = True

    def __init__(
        self,
        receiver: EmailReceiver,
        mailer: Mailer,
        templates: Templates,
        context: MessageContext,
        now: Callable[[], datetime],
    ) -> None:
        self.key = receiver.key
        self.counted_as = counted_as(receiver)
        self.max_per_hour: int | None = receiver.max_per_hour
        self._to = receiver.to
        self._customers_account = receiver.accounts[0] if receiver.untrusted else None
        self._mailer = mailer
        self._templates = templates
        self._context = context
        self._now = now

    async def send(self, batch: Batch) -> SendOutcome:
        message, note = self.compose(batch)
        result = await self._mailer.send(message, batch.remaining_recipients or self._to)
        if not isinstance(result, Mailed):
            return SendOutcome(
                Result.FAILED,
                result.elapsed_ms,
                result.status,
                error=result.reason,
                maybe_arrived=result.maybe_arrived,
                remaining_recipients=batch.remaining_recipients,
            )
        if result.refused:
            refused = "; ".join(f"{address}: {words}" for address, words in result.refused.items())
            return SendOutcome(
                Result.REFUSED,
                result.elapsed_ms,
                error=f"refused: {refused}",
                remaining_recipients=tuple(result.refused),
            )
        return SendOutcome(Result.OK, result.elapsed_ms, 250, answer=f"{note}{result.answer}")

    def compose(self, batch: Batch) -> tuple[EmailMessage, str]:
        """Return the message of a batch, and a note for the log where an operator's own template could not be used."""
        context = self._context
        if self._customers_account is not None:
            context = context.to_customer_of(self._customers_account)
        content, note = self._write(batch, context)
        message = new_message(
            sender=self._mailer.sender,
            to=self._to,
            subject=content.subject,
            at=self._now().astimezone(context.zone),
            name=batch.name,
            text=content.text,
            html=content.html,
            answers=batch.answers,
        )
        return message, note

    def _write(self, batch: Batch, context: MessageContext) -> tuple[MailContent, str]:
        events = [delivery.event for delivery in batch.deliveries]
        try:
            return write_mail(events, self._templates, context), ""
        except WRONG_TEMPLATE as error:  # the alert goes out all the same
            note = f"by the built-in template, as your own is wrong ({type(error).__name__}: {error}); "
            return write_mail(events, Templates(), context), note
