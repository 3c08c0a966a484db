"""What another configuration changes. Whoever makes it shares what stays the same, so it is found by identity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from alerts.model.receivers import Receiver
from alerts.model.specs import RuleSpec
from daemon.config.model import AccountConfig, Config

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Changed:
    """The differences of two configurations. An edited object is another object with the same id."""

    added: tuple[AccountConfig, ...]
    gone: tuple[AccountConfig, ...]
    edited: tuple[tuple[AccountConfig, AccountConfig], ...]
    """As it was, and as it is."""
    rules: tuple[RuleSpec, ...]
    """The rules that were added, that are gone, and both versions of those that were edited."""
    receivers: tuple[Receiver, ...]
    """Added or edited."""
    gone_receivers: tuple[str, ...]
    """Their keys."""

    @classmethod
    def between(cls, before: Config, after: Config) -> Changed:
        """Compare ten thousand accounts, rules and receivers in a few milliseconds."""
        old, new = before.accounts, after.accounts
        moved = [one for id, one in new.items() if old.get(id) is not one] if old is not new else []
        keys = {receiver.key for receiver in after.receivers.all} if before.receivers is not after.receivers else set()
        left = _only_in(before.receivers.all, after.receivers.all)
        return cls(
            added=tuple(one for one in moved if one.id not in old),
            gone=tuple(one for id, one in old.items() if id not in new) if old is not new else (),
            edited=tuple((old[one.id], one) for one in moved if one.id in old),
            rules=(*_only_in(before.rules, after.rules), *_only_in(after.rules, before.rules)),
            receivers=tuple(_only_in(after.receivers.all, before.receivers.all)),
            gone_receivers=tuple(one.key for one in left if one.key not in keys),
        )

    @property
    def accounts(self) -> tuple[AccountConfig, ...]:
        """The accounts that were added or edited, as they are."""
        return (*self.added, *(after for _, after in self.edited))

    @property
    def asked_otherwise(self) -> tuple[AccountConfig, ...]:
        """Those of them that are asked by another request: what they last answered says nothing of that one."""
        return (*self.added, *(after for before, after in self.edited if not after.is_asked_as(before)))

    @property
    def to_poll(self) -> tuple[str, ...]:
        """The accounts to poll at once. Money acts on a reading of its own pass, so other terms ask for a new one."""
        charged = [(before.topup, after) for before, after in self.edited if after.topup is not None]
        other_terms = [after for topup, after in charged if after.topup != topup]
        return tuple(dict.fromkeys(one.id for one in (*self.asked_otherwise, *other_terms)))


def _only_in(these: Sequence[V], those: Sequence[V]) -> list[V]:
    """Return what of `these` is none of `those`. Frozen values hash slowly; their identity does not."""
    if these is those:
        return []
    known = set(map(id, those))
    return [one for one in these if id(one) not in known]
