"""Who is told: webhooks, mail recipients, chats; and which events each of them asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from pydantic import SecretStr

from alerts.model.events import EventDraft, EventType


@dataclass(frozen=True, slots=True, kw_only=True)
class _Receiver:
    id: str
    events: tuple[str, ...] = ("*",)
    accounts: tuple[str, ...] = ("*",)

    def wants(self, draft: EventDraft) -> bool:
        """Whether the receiver asked for this type and account; an event without an account concerns everyone."""
        if not any(fnmatchcase(draft.type.value, pattern) for pattern in self.events):
            return False
        return draft.account is None or any(fnmatchcase(draft.account, pattern) for pattern in self.accounts)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookReceiver(_Receiver):
    """A URL that is posted to.

    `secrets`: `whsec_…` or `whsk_…`, the current one first. `own_threshold_microusd`: hears that alone.
    """

    url: str
    secrets: tuple[SecretStr, ...]
    own_threshold_microusd: int | None = None
    allow_http: bool = False

    @property
    def key(self) -> str:
        """The receiver's name in the outbox, unique over all kinds."""
        return f"webhook:{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailReceiver(_Receiver):
    to: tuple[str, ...]
    max_per_hour: int = 10

    @property
    def key(self) -> str:
        return f"email:{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatReceiver(_Receiver):
    url: SecretStr

    @property
    def key(self) -> str:
        return f"chat:{self.id}"


Receiver = WebhookReceiver | EmailReceiver | ChatReceiver


@dataclass(frozen=True, slots=True)
class Receivers:
    """All receivers of a configuration, and the fan-out of an event to them."""

    all: tuple[Receiver, ...] = field(default=())

    def route(self, draft: EventDraft) -> tuple[str, ...]:
        """Return the keys of the receivers that are told of `draft`, in configured order.

        A failing receiver is always told of by mail: where no mail receiver asked for that, every one of them hears it.
        """
        if draft.only_receiver is not None:
            return tuple(r.key for r in self.all if r.key == draft.only_receiver and _is_meant(r, draft))
        others = [r for r in self.all if r.key != draft.not_receiver]
        told = [r for r in others if not _hears_own_threshold_only(r, draft) and r.wants(draft)]
        if draft.type in _ABOUT_DELIVERY and not any(isinstance(r, EmailReceiver) for r in told):
            told = [r for r in others if r in told or isinstance(r, EmailReceiver)]
        return tuple(r.key for r in told)


_ABOUT_DELIVERY = frozenset({EventType.DELIVERY_FAILING, EventType.DELIVERY_RECOVERED})


def _is_meant(receiver: Receiver, draft: EventDraft) -> bool:
    """Whether what is told to this receiver alone was asked for: a test always is, others by their type."""
    return draft.type is EventType.TEST_PING or receiver.wants(draft)


def _hears_own_threshold_only(receiver: Receiver, draft: EventDraft) -> bool:
    own = isinstance(receiver, WebhookReceiver) and receiver.own_threshold_microusd is not None
    return own and draft.type.value.startswith("balance.") and draft.type.value != "balance.depleted"
