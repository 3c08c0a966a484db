"""A gate's word: whether a charge may pass, in a sentence with its numbers. Pure; money in micro-dollars."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from msgspec import Struct
from msgspec import field as struct_field

from alerts.model.instants import rfc3339
from alerts.model.money import format_usd

MICRO_PLACES = 6
"""Decimals of what a provider says; what a person configured has cents."""


class GateName(StrEnum):
    """Every gate, in the order of the rules; several share a number there."""

    MODE = "mode"
    PAUSE = "pause"
    SUSPENSION = "suspension"
    BREAKER = "breaker"
    CLOCK = "clock"
    STRIPE_CLOCK = "stripe_clock"
    DATABASE = "database"
    READING = "reading"
    POSSIBLE = "possible"
    DROP = "drop"
    THRESHOLD = "threshold"
    SLOT = "slot"
    TWIN = "twin"
    COOLDOWN = "cooldown"
    HOLD = "hold"
    CARD = "card"
    SIZE = "size"
    CAP_DAY = "cap_day"
    CAP_MONTH = "cap_month"
    CAP_DAY_TOTAL = "cap_day_total"
    BRAKE = "brake"


_N = GateName
NUMBERS: Mapping[GateName, int] = {
    **dict.fromkeys((_N.MODE, _N.PAUSE, _N.SUSPENSION, _N.BREAKER, _N.CLOCK, _N.STRIPE_CLOCK, _N.DATABASE), 1),
    **dict.fromkeys((_N.READING, _N.POSSIBLE, _N.DROP), 2),
    **dict.fromkeys((_N.THRESHOLD,), 3),
    **dict.fromkeys((_N.SLOT, _N.TWIN), 4),
    **dict.fromkeys((_N.COOLDOWN, _N.HOLD, _N.CARD), 5),
    **dict.fromkeys((_N.SIZE,), 6),
    **dict.fromkeys((_N.CAP_DAY, _N.CAP_MONTH, _N.CAP_DAY_TOTAL), 7),
    **dict.fromkeys((_N.BRAKE,), 8),
}
"""The place of each gate in the rules."""
ENDS_BY_ITSELF = frozenset({_N.THRESHOLD, _N.SLOT, _N.COOLDOWN, _N.HOLD, _N.PAUSE, _N.MODE})
"""Gates whose no is as it should be: `once` does not exit 1 for them."""


class Usd(Struct, frozen=True, gc=False):
    """An amount, and how many decimals of it are shown."""

    microusd: int
    places: int = 2

    def __str__(self) -> str:
        return format_usd(self.microusd, self.places)


GateNumber = Usd | datetime | int | str


class Gate(Struct, frozen=True, gc=False):
    """One gate's word. `words` is a sentence that names its numbers in braces."""

    name: GateName
    passed: bool
    words: str
    numbers: Mapping[str, GateNumber] = struct_field(default_factory=dict)

    @property
    def number(self) -> int:
        """Its place in the rules."""
        return NUMBERS[self.name]

    @property
    def detail(self) -> str:
        """The sentence."""
        return self.words.format_map(self.texts)

    @property
    def texts(self) -> dict[str, str]:
        """Its numbers as a person reads them."""
        return {name: rfc3339(one) if isinstance(one, datetime) else str(one) for name, one in self.numbers.items()}

    @property
    def microusd(self) -> dict[str, int]:
        """Those of its numbers that are money."""
        return {name: one.microusd for name, one in self.numbers.items() if isinstance(one, Usd)}

    def document(self) -> dict[str, Any]:
        """Return it for the ledger's JSON."""
        said: dict[str, Any] = {"gate": self.number, "name": self.name.value, "passed": self.passed}
        said |= {"detail": self.detail, "numbers": self.texts}
        return {**said, "microusd": self.microusd} if self.microusd else said


class Verdict(Struct, frozen=True, gc=False):
    """Every gate's word, and the amount that passes them all."""

    gates: tuple[Gate, ...]
    amount_microusd: int
    available_microusd: int | None
    """What the amount was computed from."""

    @property
    def refused(self) -> Gate | None:
        """The first gate that says no."""
        return next((gate for gate in self.gates if not gate.passed), None)

    def encode(self) -> str:
        """Return the gates as JSON text, for the ledger."""
        return json.dumps([gate.document() for gate in self.gates], separators=(",", ":"))
