"""Receivers: webhooks, mail recipients, chats, and the events that each subscribes to."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from functools import cached_property

from pydantic import SecretStr

from alerts.model.events import SUBSCRIBABLE, EventDraft, EventType
from alerts.model.patterns import PatternIndex


@dataclass(frozen=True, slots=True, kw_only=True)
class _Receiver:
    id: str
    events: tuple[str, ...] = ("*",)
    accounts: tuple[str, ...] = ("*",)
    owner: str = ""
    """The customer who subscribed; empty: the operator's own."""
    untrusted: bool = False
    """A customer's: it hears `SUBSCRIBABLE` types alone, in a copy without what is the operator's. Its URL is connected
    to at public addresses only, and answers a `test.ping` before its first event.
    """

    @property
    def is_customers(self) -> bool:
        """Whether it is told what a customer may know, and no more."""
        return self.untrusted or self.owner != ""

    def wants(self, draft: EventDraft) -> bool:
        """Whether the receiver subscribes to this type and account; an event without an account passes."""
        if self.untrusted and draft.type not in SUBSCRIBABLE:
            return False
        if not any(fnmatchcase(draft.type.value, pattern) for pattern in self.events):
            return False
        return draft.account is None or any(fnmatchcase(draft.account, pattern) for pattern in self.accounts)


@dataclass(frozen=True, slots=True)
class RetiringSecret:
    """A signing secret that was replaced: it signs too, before `until`."""

    secret: SecretStr
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookReceiver(_Receiver):
    """A URL that is posted to.

    `secrets`: `whsec_…` or `whsk_…`, the current one first; those of `retiring` sign beside them until their end. With
    `own_threshold_microusd`, `balance.low` and `balance.recovered` come from that threshold alone.
    """

    url: str
    secrets: tuple[SecretStr, ...]
    retiring: tuple[RetiringSecret, ...] = ()
    own_threshold_microusd: int | None = None
    allow_http: bool = False

    @property
    def key(self) -> str:
        """The receiver's name in the outbox, unique over all kinds."""
        return f"webhook:{self.id}"

    @property
    def target(self) -> str:
        """What must have answered a `test.ping` before the first event: a digest of the URL. Empty: nothing must."""
        return hashlib.sha256(self.url.encode()).hexdigest()[:16] if self.untrusted else ""


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


def counted_as(receiver: Receiver) -> str:
    """Return the name under which attempts are counted and limited: its key, one name for all customers' of a kind."""
    return f"{receiver.key.partition(':')[0]}:*" if receiver.untrusted else receiver.key


@dataclass(frozen=True)
class Receivers:
    """All receivers of a configuration, and the fan-out of an event to them, at the cost of those that may want it."""

    all: tuple[Receiver, ...] = field(default=())

    def route(self, draft: EventDraft) -> tuple[str, ...]:
        """Return the keys of the receivers that get `draft`, in configured order.

        Failing receivers are always reported by mail: if no mail receiver subscribes to that, all of ours get it.
        """
        if draft.only_receiver is not None:
            only = self._by_key.get(draft.only_receiver)
            return (only.key,) if only is not None and _accepts(only, draft) else ()
        others = [r for r in self._near(draft.account) if r.key != draft.not_receiver]
        chosen = [r for r in others if not _has_own_threshold(r, draft) and r.wants(draft)]
        if draft.type in _ABOUT_DELIVERY and not any(isinstance(r, EmailReceiver) for r in chosen):
            keys = {r.key for r in chosen}
            chosen = [r for r in others if r.key in keys or isinstance(r, EmailReceiver)]
        return tuple(r.key for r in chosen)

    def _near(self, account: str | None) -> Sequence[Receiver]:
        """Return the receivers that name the account; of events without one customers hear nothing."""
        return self._own if account is None else [self.all[n] for n in self._index.covering(account)]

    @cached_property
    def _by_key(self) -> Mapping[str, Receiver]:
        return {receiver.key: receiver for receiver in self.all}

    @cached_property
    def _own(self) -> Sequence[Receiver]:
        return [receiver for receiver in self.all if not receiver.is_customers]

    @cached_property
    def _index(self) -> PatternIndex:
        return PatternIndex(receiver.accounts for receiver in self.all)


_ABOUT_DELIVERY = frozenset({EventType.DELIVERY_FAILING, EventType.DELIVERY_RECOVERED})


def _accepts(receiver: Receiver, draft: EventDraft) -> bool:
    """Whether an event for this receiver alone is sent: a test always is, others if it subscribes to them."""
    return draft.type is EventType.TEST_PING or receiver.wants(draft)


def _has_own_threshold(receiver: Receiver, draft: EventDraft) -> bool:
    """Whether the receiver gets events of this type from its own threshold only."""
    own = isinstance(receiver, WebhookReceiver) and receiver.own_threshold_microusd is not None
    return own and draft.type.value.startswith("balance.") and draft.type.value != "balance.depleted"
