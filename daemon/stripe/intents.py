"""The PaymentIntents that Brimful made: their metadata, and a list of Stripe's sorted by it. Pure."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from daemon.stripe.objects import PaymentIntent

APP = "brimful"


class UnreadableMetadata(Exception):  # noqa: N818 – it is said of the metadata
    """A PaymentIntent is marked as ours and cannot be read: nothing is charged until a person has looked."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a fresh disk needs to know again of a PaymentIntent. `balance_microusd` is written without a total alone."""

    account: str
    seq: int
    funded_microusd: int | None
    balance_microusd: int | None

    @property
    def topup(self) -> str:
        """The top-up's id."""
        return f"{self.account}-{self.seq}"

    def encode(self) -> dict[str, str]:
        """Return it as Stripe keeps it."""
        known = {"app": APP, "account": self.account, "seq": str(self.seq), "topup": self.topup}
        if self.funded_microusd is not None:
            return {**known, "funded": str(self.funded_microusd)}
        return {**known, "balance": str(self.balance_microusd)}


def read_metadata(metadata: Mapping[str, str]) -> Metadata | None:
    """Return what our metadata says, None where the PaymentIntent is not ours. Raises UnreadableMetadata."""
    if metadata.get("app") != APP:
        return None
    account, seq = metadata.get("account", ""), _whole(metadata.get("seq"))
    funded, balance = _whole(metadata.get("funded")), _whole(metadata.get("balance"))
    if not account or seq is None or seq < 1 or (funded is None and balance is None):
        raise UnreadableMetadata(f"account {account or '?'}: {dict(metadata)}")
    return Metadata(account, seq, funded, balance)


def _whole(text: str | None) -> int | None:
    digits = text.removeprefix("-") if text else ""
    return int(text) if text and digits.isascii() and digits.isdigit() and len(digits) <= 18 else None


@dataclass(frozen=True, slots=True)
class Ours:
    """A PaymentIntent that Brimful made, with what its metadata says."""

    intent: PaymentIntent
    said: Metadata


@dataclass(frozen=True, slots=True)
class Listing:
    """An account's PaymentIntents as Stripe lists them, newest first, over every customer that it has had."""

    ours: tuple[Ours, ...]
    unreadable: tuple[str, ...] = ()
    """Marked as ours, and cannot be read."""
    former: tuple[Ours, ...] = ()
    """Made for accounts that the configuration does not name any more: the caps count them."""
    others: tuple[Ours, ...] = ()
    """Made for other accounts of the configuration: one of them may be another key of this one."""
    customers: tuple[str, ...] = ()

    def encode(self) -> str:
        """Return ids and statuses as JSON, for the plan to be compared with."""
        statuses = {one.intent.id: one.intent.status for one in self.ours}
        return json.dumps(statuses, sort_keys=True, separators=(",", ":"))

    def find(self, intent: str | None) -> PaymentIntent | None:
        return next((one.intent for one in self.ours if one.intent.id == intent), None)


def sort_intents(
    account: str, configured: Collection[str], intents: Iterable[PaymentIntent], customers: Iterable[str]
) -> Listing:
    """Sort a list by what the metadata says. One that is marked as ours but names no account could be anybody's."""
    ours: list[Ours] = []
    others: list[Ours] = []
    former: list[Ours] = []
    unreadable: list[str] = []
    for intent in intents:
        try:
            said = read_metadata(intent.metadata)
        except UnreadableMetadata as error:
            if intent.metadata.get("account") in (account, "", None):
                unreadable.append(f"{intent.id}: {error}")
            continue
        if said is not None:
            of = ours if said.account == account else others if said.account in configured else former
            of.append(Ours(intent, said))
    return Listing(tuple(ours), tuple(unreadable), tuple(former), tuple(others), tuple(customers))
