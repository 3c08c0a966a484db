"""What every room of the top-ups works with, handed in once: configuration, store, outbox, Stripe, time and chance."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import structlog

from alerts.events import Event, EventDraft
from daemon.clock import Clock, Ids
from daemon.config.model import Config, TopupConfig, TopupMode
from daemon.store.connection import Store, Transaction
from daemon.topups.gateway import Gateway, Refused

log = structlog.get_logger("brimful.topups")


class Outbox(Protocol):
    """Where events are committed, in the caller's transaction."""

    def append(self, tx: Transaction, draft: EventDraft, now: datetime) -> Event: ...


@dataclass(frozen=True, slots=True)
class Bench:
    """The parts, and what this process has met in its last pass (`troubles`: a sentence by account)."""

    config: Config
    store: Store
    outbox: Outbox
    gateway: Gateway
    clock: Clock
    ids: Ids
    rng: random.Random
    troubles: dict[str, str] = field(default_factory=dict)
    ran_at: dict[str, datetime] = field(default_factory=dict)
    """When this process last did a job that is done over and over."""

    def topup(self, account: str) -> TopupConfig | None:
        """Return the account's top-up configuration, None where it has none (any more)."""
        found = self.config.accounts.get(account)
        return found.topup if found is not None else None

    def provider(self, account: str) -> str:
        found = self.config.accounts.get(account)
        return found.provider.value if found is not None else "unknown"

    def names_method(self, account: str) -> bool:
        """Whether the configuration names the account's payment method; else the customer's default is charged."""
        topup = self.topup(account)
        return topup is not None and topup.payment_method is not None

    def may_post(self, account: str) -> bool:
        """Whether anything may be sent for the account: never in shadow mode, nor for an account that is gone."""
        topup = self.topup(account)
        return topup is not None and topup.mode is not TopupMode.SHADOW

    def charging(self) -> tuple[str, ...]:
        """Return the accounts that are charged."""
        return tuple(
            account.id
            for account in self.config.accounts.values()
            if account.topup is not None and account.topup.mode is TopupMode.CHARGE
        )

    def tell(self, tx: Transaction, drafts: Iterable[EventDraft], now: datetime) -> None:
        """Commit events with the state change that caused them."""
        for draft in drafts:
            self.outbox.append(tx, draft, now)

    def trouble(self, account: str, refused: Refused, doing: str) -> None:
        """Remember that a call failed, for the exit code of `once`."""
        self.troubles[account] = f"{account}: Stripe could not be asked ({doing}): {refused.message}"
        log.warning("stripe", account=account, doing=doing, kind=refused.kind.value, request_id=refused.request_id)
