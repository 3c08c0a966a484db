"""The gates: what must hold before a charge is planned, and again before each attempt. Pure, every number shown.

All gates are judged, in order; the first that says no decides. Money in micro-dollars. Source: the rules for charging,
`docs/topups.md`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec import field as struct_field

from alerts.model.instants import rfc3339
from alerts.model.money import format_usd
from alerts.model.readings import Metrics
from alerts.rules.falls import CENT_MICROUSD, DROP_STANDS_AFTER, NO_FALL, Falls
from daemon.config.model import TopupConfig, TopupMode
from daemon.store.topup_rows import Spend, Stop, StopKind
from daemon.stripe.declines import ATTEMPTS_ON_A_CARD
from daemon.topups.policy.brake import BurnPace
from daemon.topups.policy.caps import Cap, caps
from daemon.topups.policy.size import Size, size

FRESH_FOR = timedelta(minutes=5)
"""A reading is of this pass for so long."""
CLOCK_TOLERANCE = timedelta(seconds=5)
CLOCKS_AGREE_WITHIN = timedelta(minutes=5)
"""What Stripe's clock and ours may differ by: no window of money is judged by two clocks."""
COOLDOWN_AHEAD = timedelta(hours=12)
"""No clock is believed to be that far behind: the gate `clock` has refused before."""


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
    BRAKE = "brake"


_N = GateName
NUMBERS: Mapping[GateName, int] = {
    **dict.fromkeys((_N.MODE, _N.PAUSE, _N.SUSPENSION, _N.BREAKER, _N.CLOCK, _N.STRIPE_CLOCK, _N.DATABASE), 1),
    **dict.fromkeys((_N.READING, _N.POSSIBLE, _N.DROP), 2),
    **dict.fromkeys((_N.THRESHOLD,), 3),
    **dict.fromkeys((_N.SLOT, _N.TWIN), 4),
    **dict.fromkeys((_N.COOLDOWN, _N.HOLD, _N.CARD), 5),
    **dict.fromkeys((_N.SIZE,), 6),
    **dict.fromkeys((_N.CAP_DAY, _N.CAP_MONTH), 7),
    **dict.fromkeys((_N.BRAKE,), 8),
}
"""The place of each gate in the rules."""
_STOPS = {StopKind.PAUSE: _N.PAUSE, StopKind.SUSPENSION: _N.SUSPENSION, StopKind.BREAKER: _N.BREAKER}
ENDS_BY_ITSELF = frozenset({_N.THRESHOLD, _N.SLOT, _N.COOLDOWN, _N.HOLD, _N.PAUSE, _N.MODE})
"""Gates whose no is as it should be: `once` does not exit 1 for them."""


class Gate(Struct, frozen=True, gc=False):
    """One gate's word: a sentence, its numbers as texts, those that are money in micro-dollars too."""

    name: GateName
    passed: bool
    detail: str
    numbers: Mapping[str, str] = struct_field(default_factory=dict)
    microusd: Mapping[str, int] = struct_field(default_factory=dict)
    since: datetime | None = None
    """Since when it says no, where it knows."""

    @property
    def number(self) -> int:
        """Its place in the rules."""
        return NUMBERS[self.name]

    def document(self) -> dict[str, Any]:
        """Return it for the ledger's JSON."""
        said: dict[str, Any] = {"gate": self.number, "name": self.name.value, "passed": self.passed}
        said |= {"detail": self.detail, "numbers": dict(self.numbers)}
        return {**said, "microusd": dict(self.microusd)} if self.microusd else said


class Verdict(Struct, frozen=True, gc=False):
    """Every gate's word, and the amount that passes them all."""

    gates: tuple[Gate, ...]
    amount_microusd: int
    available_microusd: int | None
    """What the amount was reckoned from."""

    @property
    def refused(self) -> Gate | None:
        """The first gate that says no."""
        return next((gate for gate in self.gates if not gate.passed), None)

    def encode(self) -> str:
        """Return the gates as JSON text, for the ledger."""
        return json.dumps([gate.document() for gate in self.gates], separators=(",", ":"))


@dataclass(frozen=True, slots=True, kw_only=True)
class GateInputs:
    """All that the gates are judged by. `itself` is the top-up that is about to be attempted; None when planning."""

    now: datetime
    zone: ZoneInfo
    config: TopupConfig
    stops: Sequence[Stop]
    ledger_at: datetime | None
    """The latest instant that the ledger has seen."""
    metrics: Metrics
    read_at: datetime
    second: Metrics | None
    """The second read, when planning; None where it failed, or where none is demanded."""
    open_topups: Mapping[str, str]
    """State by id, of every top-up that holds the slot."""
    last_attempt_at: datetime | None
    spends: Sequence[Spend]
    burn_microusd_per_day: int | None
    pace: BurnPace | None
    stripe_now: datetime | None = None
    """What Stripe's clock says now; None where it has not told."""
    released: bool = False
    """A person resumed the account a little while ago: the brake is off."""
    falls: Falls = NO_FALL
    """What readings show less of than they did."""
    credited_microusd: int | None = None
    """The highest `funded` that a charge's credit was seen with, since a person last accepted a fall."""
    twins: Mapping[str, str] = field(default_factory=dict)
    """State by id, of open top-ups of another account that has the same customer and the same totals."""
    in_place: bool = True
    """Whether the database that is open is the file at its path."""
    hold_until: datetime | None = None
    """After a second look that differed: whoever plans later sees the other one."""
    probe: bool = False
    """The card is another one than the account was suspended for."""
    attempts_on_card: int = 0
    itself: str | None = None
    amount_microusd: int | None = None
    """The amount of the plan that is attempted; None when planning."""


def judge(facts: GateInputs) -> Verdict:
    """Judge every gate in order."""
    available = _available(facts)
    wanted = size(facts.config, available or 0, facts.burn_microusd_per_day)
    both = caps(facts.config, facts.spends, facts.now, facts.stripe_now or facts.now, facts.zone, facts.itself)
    allowed = min(facts.config.max_charge_microusd, *(cap.left_microusd for cap in both))
    amount = facts.amount_microusd if facts.amount_microusd is not None else wanted.within(allowed)
    gates = [
        *_permitted(facts),
        _reading(facts),
        _possible(facts),
        _drop(facts),
        _threshold(facts),
        _slot(facts),
        _twin(facts),
        _cooldown(facts),
        _hold(facts),
        _card(facts),
        _size(facts, wanted),
        *(_cap_gate(facts, wanted, cap) for cap in both),
        _brake(facts, amount or wanted.least_microusd),
    ]
    return Verdict(tuple(gates), amount, available)


def _available(facts: GateInputs) -> int | None:
    """What is charged for: the higher of the two reads. A fall that was seen only while charging buys nothing."""
    reads = [facts.metrics] if facts.second is None else [facts.metrics, facts.second]
    return max((read.available_microusd for read in reads if read.available_microusd is not None), default=None)


# ── 1 · permitted ───────────────────────────────────────────────────────────────────────────────────────────────────


def _permitted(facts: GateInputs) -> Iterable[Gate]:
    mode = facts.config.mode
    sending = facts.itself is not None
    permitted = mode is TopupMode.CHARGE or (mode is TopupMode.SHADOW and not sending)
    yield Gate(_N.MODE, permitted, f"mode is {mode}", {"mode": mode.value})
    for kind in StopKind:
        stops = [stop for stop in facts.stops if stop.kind is kind]
        stop = next((one for one in stops if not (facts.probe and one.is_for_card)), stops[0] if stops else None)
        name = _STOPS[kind]
        if stop is None:
            yield Gate(name, True, f"no {name}")
            continue
        probing = facts.probe and stop.is_for_card
        since = {"since": rfc3339(stop.since_at), "scope": stop.scope, "reason": stop.reason}
        detail = f"{stop.reason}, since {rfc3339(stop.since_at)}" + (" – one probe: another card" if probing else "")
        yield Gate(name, probing, detail, since)
    behind = facts.ledger_at is not None and facts.now + CLOCK_TOLERANCE < facts.ledger_at
    latest = rfc3339(facts.ledger_at) if facts.ledger_at else "empty"
    yield Gate(
        _N.CLOCK,
        not behind,
        "the clock is behind the ledger" if behind else "the clock is not behind the ledger",
        {"now": rfc3339(facts.now), "ledger": latest},
    )
    yield _stripe_clock(facts)
    place = "the file at its path" if facts.in_place else "not the file at its path any more: it was deleted or moved"
    yield Gate(_N.DATABASE, facts.in_place, f"the database that is open is {place}")


def _stripe_clock(facts: GateInputs) -> Gate:
    if facts.stripe_now is None:
        return Gate(_N.STRIPE_CLOCK, True, "Stripe has not said its time in the last minutes")
    differ = abs(facts.now - facts.stripe_now)
    agree = differ <= CLOCKS_AGREE_WITHIN
    numbers = {"now": rfc3339(facts.now), "stripe": rfc3339(facts.stripe_now)}
    said = "agree" if agree else f"differ by {differ - differ % timedelta(seconds=1)}"
    detail = f"the clocks here ({numbers['now']}) and at Stripe ({numbers['stripe']}) {said}"
    return Gate(_N.STRIPE_CLOCK, agree, detail, numbers)


# ── 2 to 5 · the reading, the threshold, the slot, the cooldown ─────────────────────────────────────────────────────


def _reading(facts: GateInputs) -> Gate:
    age = facts.now - facts.read_at
    known = facts.metrics.available_microusd is not None
    fresh = -CLOCK_TOLERANCE <= age <= FRESH_FOR
    second = facts.itself is not None or (facts.second is not None and facts.second.available_microusd is not None)
    detail = (
        "the reading does not say the balance"
        if not known
        else "the reading is not of this pass"
        if not fresh
        else "the second read failed"
        if not second
        else "of this pass, complete, believed"
    )
    return Gate(
        _N.READING,
        known and fresh and second,
        detail,
        {"read_at": rfc3339(facts.read_at), "age_s": str(age // timedelta(seconds=1))},
    )


def _possible(facts: GateInputs) -> Gate:
    """Usage leaves `funded` alone: a reading that shows less of it than was believed before may be false."""
    highest = max(facts.falls.funded_microusd or 0, facts.credited_microusd or 0)
    funded = facts.metrics.funded_microusd
    if funded is None or funded >= highest - CENT_MICROUSD:
        return Gate(_N.POSSIBLE, True, "all that was ever credited shows")
    since = facts.falls.fallen_since or facts.read_at
    numbers = {"funded": format_usd(funded, 6), "funded_before": format_usd(highest, 6), "since": rfc3339(since)}
    detail = (
        f"{format_usd(highest - funded, 6)} of {numbers['funded_before']} ever credited do not show since "
        f"{numbers['since']}, which usage cannot do: brimful topups accept, where it is right"
    )
    return Gate(_N.POSSIBLE, False, detail, numbers, since=since)


def _drop(facts: GateInputs) -> Gate:
    """Far more is gone than the burn explains, and `funded` does not show why: it must stand first."""
    falls, at = facts.falls, facts.falls.dropped_at
    if at is None:
        return Gate(_N.DROP, True, "no drop that the burn does not explain")
    numbers = {
        "before": format_usd(falls.dropped_from_microusd, 6),
        "after": format_usd(falls.dropped_to_microusd, 6),
        "read_at": rfc3339(at),
    }
    minutes = DROP_STANDS_AFTER // timedelta(minutes=1)
    detail = (
        f"available dropped from {numbers['before']} to {numbers['after']} at {numbers['read_at']}, far beyond the "
        f"burn: it has to be read again {minutes} minutes later"
    )
    return Gate(_N.DROP, False, detail, numbers)


def _threshold(facts: GateInputs) -> Gate:
    below = facts.config.when_below_microusd
    said = [facts.metrics.available_microusd]
    if facts.second is not None:
        said.append(facts.second.available_microusd)
    low = all(available is not None and available < below for available in said)
    texts = [format_usd(available, 6) if available is not None else "unknown" for available in said]
    numbers = {"available": texts[0], "when_below": format_usd(below)}
    if len(texts) > 1:
        numbers["second_read"] = texts[1]
    return Gate(_N.THRESHOLD, low, f"available {' then '.join(texts)}, charged below {format_usd(below)}", numbers)


def _slot(facts: GateInputs) -> Gate:
    others = {topup: state for topup, state in facts.open_topups.items() if topup != facts.itself}
    detail = ", ".join(f"{topup} is {state}" for topup, state in others.items()) or "no open top-up, no unseen credit"
    return Gate(_N.SLOT, not others, detail, dict(others))


def _twin(facts: GateInputs) -> Gate:
    """Two keys of one provider account show one need: it is met once."""
    detail = ", ".join(f"{topup} is {state}" for topup, state in facts.twins.items())
    said = f"another account of the same customer shows the same totals, and {detail}" if detail else "no other account"
    return Gate(_N.TWIN, not facts.twins, said, dict(facts.twins))


def _cooldown(facts: GateInputs) -> Gate:
    if facts.itself is not None:
        return Gate(_N.COOLDOWN, True, "not applied to its own attempts")
    last, cooldown = facts.last_attempt_at, facts.config.cooldown
    if last is not None and last - facts.now > COOLDOWN_AHEAD:
        last = None  # by a clock that was days ahead, which a person has taken back
    passed = last is None or facts.now - last >= cooldown
    numbers = {"cooldown": str(cooldown), "last_attempt": rfc3339(last) if last else "never"}
    until = f"until {rfc3339(last + cooldown)}" if last else ""
    return Gate(_N.COOLDOWN, passed, "over" if passed else f"{cooldown} since the last attempt: {until}", numbers)


def _hold(facts: GateInputs) -> Gate:
    until = facts.hold_until
    if until is not None and until - facts.now > COOLDOWN_AHEAD:
        until = None  # as above
    passed = facts.itself is not None or until is None or facts.now >= until
    detail = "none" if passed or until is None else f"another daemon is charging: planned afresh at {rfc3339(until)}"
    return Gate(_N.HOLD, passed, detail, {"until": rfc3339(until) if until else "none"})


def _card(facts: GateInputs) -> Gate:
    tried = facts.attempts_on_card
    detail = f"{tried} attempts on the card in 30 days, at most {ATTEMPTS_ON_A_CARD}"
    numbers = {"attempts": str(tried), "most": str(ATTEMPTS_ON_A_CARD)}
    return Gate(_N.CARD, tried < ATTEMPTS_ON_A_CARD, detail, numbers)


# ── 6 and 7 · the size and the caps ─────────────────────────────────────────────────────────────────────────────────


def _size(facts: GateInputs, wanted: Size) -> Gate:
    most = facts.config.max_charge_microusd
    amount = facts.amount_microusd if facts.amount_microusd is not None else wanted.within(most)
    passed = 0 < amount <= most
    numbers = {
        "wanted": format_usd(wanted.wanted_microusd),
        "least": format_usd(wanted.least_microusd),
        "max_charge": format_usd(most),
        "amount": format_usd(amount),
    }
    return Gate(_N.SIZE, passed, f"{format_usd(amount)} of {format_usd(most)} a charge", numbers)


def _cap_gate(facts: GateInputs, wanted: Size, cap: Cap) -> Gate:
    if facts.amount_microusd is not None:
        passed = facts.amount_microusd <= cap.left_microusd
    else:
        passed = wanted.within(min(facts.config.max_charge_microusd, cap.left_microusd)) > 0
    numbers = {
        "cap": format_usd(cap.cap_microusd),
        "spent_and_open": format_usd(cap.counted_microusd),
        "left": format_usd(cap.left_microusd),
        "window": cap.window,
    }
    detail = f"{format_usd(cap.counted_microusd)} spent or open of {format_usd(cap.cap_microusd)} a {cap.name[4:]}"
    told = {"cap": cap.cap_microusd, "spent_and_open": cap.counted_microusd, "left": cap.left_microusd}
    return Gate(_N(cap.name), passed, detail, numbers, told)


# ── 8 · the burn brake ──────────────────────────────────────────────────────────────────────────────────────────────


def _brake(facts: GateInputs, amount: int) -> Gate:
    if facts.pace is None:
        return Gate(_N.BRAKE, True, "not seven days of past yet")
    numbers = {
        "last_6_h": format_usd(facts.pace.recent_microusd),
        "largest_6_h": format_usd(facts.pace.largest_microusd),
        "mean_6_h": format_usd(facts.pace.mean_microusd),
    }
    held = facts.pace.far_beyond(amount) and not facts.released
    detail = f"{numbers['last_6_h']} burnt in 6 h; the past's most {numbers['largest_6_h']}"
    return Gate(_N.BRAKE, not held, detail, numbers)
