"""The gates: what must hold before a charge is planned, and again before each attempt. Pure, every number shown.

All gates are evaluated, in order; the first that says no decides. Money in micro-dollars. Source: the rules for
charging, `docs/topups.md`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from alerts.forecast.pace import BurnNow, BurnPace
from alerts.model.readings import Metrics
from alerts.model.reasons import CAP_WINDOWS
from alerts.rules.falls import CENT_MICROUSD, DROP_STANDS_AFTER, NO_FALL, Falls
from daemon.config.model import TopupConfig, TopupMode
from daemon.store.topup_rows import Spend, Stop, StopKind
from daemon.stripe.declines import ATTEMPTS_ON_A_CARD
from daemon.topups.policy.amounts import Cap, Size, caps, size
from daemon.topups.policy.gate import MICRO_PLACES, Gate, GateName, GateNumber, Usd, Verdict

FRESH_FOR = timedelta(minutes=5)
"""A reading is of this pass for so long."""
CLOCK_TOLERANCE = timedelta(seconds=5)
CLOCKS_AGREE_WITHIN = timedelta(minutes=5)
"""What Stripe's clock and ours may differ by: no window of money is judged by two clocks."""
COOLDOWN_AHEAD = timedelta(hours=12)
"""No clock is believed to be that far behind: the gate `clock` has refused before."""
TIMES_LARGEST = 5
TIMES_MEAN = 10
RELEASED_FOR = timedelta(hours=24)
"""After a person resumed, the brake does not hold again for so long."""


_N = GateName
_STOPS = {StopKind.PAUSE: _N.PAUSE, StopKind.SUSPENSION: _N.SUSPENSION, StopKind.BREAKER: _N.BREAKER}


@dataclass(frozen=True, slots=True, kw_only=True)
class GateInputs:
    """All that the gates are evaluated by. `itself` is the top-up that is about to be attempted; None when planning."""

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
    burn: BurnNow
    total: tuple[Cap, ...] = ()
    """The cap of a day over all accounts, where there is one."""
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
    """After a second listing that differed: whoever plans later sees the other one."""
    probe: bool = False
    """The card is another one than the account was suspended for."""
    attempts_on_card: int = 0
    card_refused: bool = False
    itself: str | None = None
    amount_microusd: int | None = None
    """The amount of the plan that is attempted; None when planning."""


def evaluate_gates(facts: GateInputs) -> Verdict:
    """Evaluate every gate in order."""
    available = _available(facts)
    wanted = size(facts.config, available or 0, facts.burn.microusd_per_day)
    own = caps(facts.config, facts.spends, facts.now, facts.stripe_now or facts.now, facts.zone, facts.itself)
    all_caps = (*own, *facts.total)
    allowed = min(facts.config.max_charge_microusd, *(cap.left_microusd for cap in all_caps))
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
        *(_cap_gate(facts, wanted, cap) for cap in all_caps),
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
        since: dict[str, GateNumber] = {"since": stop.since_at, "scope": stop.scope, "reason": stop.reason}
        words = "{reason}, since {since}" + (" – one probe: another card" if probing else "")
        yield Gate(name, probing, words, since)
    behind = facts.ledger_at is not None and facts.now + CLOCK_TOLERANCE < facts.ledger_at
    words = "the clock is behind the ledger" if behind else "the clock is not behind the ledger"
    yield Gate(_N.CLOCK, not behind, words, {"now": facts.now, "ledger": facts.ledger_at or "empty"})
    yield _stripe_clock(facts)
    place = "the file at its path" if facts.in_place else "not the file at its path any more: it was deleted or moved"
    yield Gate(_N.DATABASE, facts.in_place, f"the database that is open is {place}")


def _stripe_clock(facts: GateInputs) -> Gate:
    if facts.stripe_now is None:
        return Gate(_N.STRIPE_CLOCK, True, "Stripe has not said its time in the last minutes")
    differ = abs(facts.now - facts.stripe_now)
    agree = differ <= CLOCKS_AGREE_WITHIN
    said = "agree" if agree else f"differ by {differ - differ % timedelta(seconds=1)}"
    words = f"the clocks here ({{now}}) and at Stripe ({{stripe}}) {said}"
    return Gate(_N.STRIPE_CLOCK, agree, words, {"now": facts.now, "stripe": facts.stripe_now})


# ── 2 to 5 · the reading, the threshold, the slot, the cooldown ─────────────────────────────────────────────────────


def _reading(facts: GateInputs) -> Gate:
    age = facts.now - facts.read_at
    known = facts.metrics.available_microusd is not None
    fresh = -CLOCK_TOLERANCE <= age <= FRESH_FOR
    second = facts.itself is not None or (facts.second is not None and facts.second.available_microusd is not None)
    words = (
        "the reading does not say the balance"
        if not known
        else "the reading is not of this pass"
        if not fresh
        else "the second read failed"
        if not second
        else "of this pass, complete, believed"
    )
    numbers: dict[str, GateNumber] = {"read_at": facts.read_at, "age_s": age // timedelta(seconds=1)}
    return Gate(_N.READING, known and fresh and second, words, numbers)


def _possible(facts: GateInputs) -> Gate:
    """Usage leaves `funded` alone: a reading that shows less of it than was accepted before may be false."""
    highest = max(facts.falls.funded_microusd or 0, facts.credited_microusd or 0)
    funded = facts.metrics.funded_microusd
    if funded is None or (facts.falls.fallen_since is None and funded >= highest - CENT_MICROUSD):
        return Gate(_N.POSSIBLE, True, "all that was ever credited shows")
    numbers: dict[str, GateNumber] = {
        "funded": Usd(funded, MICRO_PLACES),
        "funded_before": Usd(highest, MICRO_PLACES),
        "missing": Usd(max(highest - funded, 0), MICRO_PLACES),
        "since": facts.falls.fallen_since or facts.read_at,
    }
    words = (
        "the balance is stuck at zero since {since}, when a part of {funded_before} ever credited did not show: "
        "brimful topups accept, where it is right"
        if funded >= highest - CENT_MICROUSD
        else "{missing} of {funded_before} ever credited do not show since {since}, which usage cannot do: "
        "brimful topups accept, where it is right"
    )
    return Gate(_N.POSSIBLE, False, words, numbers)


def _drop(facts: GateInputs) -> Gate:
    """Far more is gone than the burn explains, and `funded` does not show why: it must stand first."""
    falls, at = facts.falls, facts.falls.dropped_at
    if at is None:
        return Gate(_N.DROP, True, "no drop that the burn does not explain")
    numbers: dict[str, GateNumber] = {
        "before": Usd(falls.dropped_from_microusd, MICRO_PLACES),
        "after": Usd(falls.dropped_to_microusd, MICRO_PLACES),
        "read_at": at,
    }
    words = (
        "available dropped from {before} to {after} at {read_at}, far beyond the burn: it has to be read again "
        f"{DROP_STANDS_AFTER // timedelta(minutes=1)} minutes later"
    )
    return Gate(_N.DROP, False, words, numbers)


def _threshold(facts: GateInputs) -> Gate:
    below = facts.config.when_below_microusd
    said = {"available": facts.metrics.available_microusd}
    if facts.second is not None:
        said["second_read"] = facts.second.available_microusd
    low = all(one is not None and one < below for one in said.values())
    words = "available {available}" + (" then {second_read}" if len(said) > 1 else "") + ", charged below {when_below}"
    numbers = {name: "unknown" if one is None else Usd(one, MICRO_PLACES) for name, one in said.items()}
    return Gate(_N.THRESHOLD, low, words, {"when_below": Usd(below), **numbers})


def _slot(facts: GateInputs) -> Gate:
    others = {topup: state for topup, state in facts.open_topups.items() if topup != facts.itself}
    words = _open(others) or "no open top-up, no unseen credit"
    return Gate(_N.SLOT, not others, words, dict(others))


def _open(topups: Mapping[str, str]) -> str:
    """Name each top-up with its state, which its id stands for among the numbers."""
    return ", ".join(f"{topup} is {state}" for topup, state in topups.items())


def _twin(facts: GateInputs) -> Gate:
    """Two keys of one provider account show one need: it is met once."""
    said = f"another account of the same customer shows the same totals, and {_open(facts.twins)}"
    return Gate(_N.TWIN, not facts.twins, said if facts.twins else "no other account", dict(facts.twins))


def _cooldown(facts: GateInputs) -> Gate:
    if facts.itself is not None:
        return Gate(_N.COOLDOWN, True, "not applied to its own attempts")
    last, cooldown = facts.last_attempt_at, facts.config.cooldown
    if last is not None and last - facts.now > COOLDOWN_AHEAD:
        last = None  # by a clock that was days ahead, which a person has taken back
    passed = last is None or facts.now - last >= cooldown
    numbers: dict[str, GateNumber] = {"cooldown": str(cooldown), "last_attempt": last or "never"}
    if last is None or passed:
        return Gate(_N.COOLDOWN, True, "over", numbers)
    words = "{cooldown} since the last attempt: until {until}"
    return Gate(_N.COOLDOWN, False, words, {**numbers, "until": last + cooldown})


def _hold(facts: GateInputs) -> Gate:
    until = facts.hold_until
    if until is not None and until - facts.now > COOLDOWN_AHEAD:
        until = None  # as above
    passed = facts.itself is not None or until is None or facts.now >= until
    words = "none" if passed else "another daemon is charging: planned afresh at {until}"
    return Gate(_N.HOLD, passed, words, {"until": until or "none"})


def _card(facts: GateInputs) -> Gate:
    tried = facts.attempts_on_card
    if facts.card_refused:
        return Gate(_N.CARD, False, "the card was refused for good before, for this account or another")
    words = "{attempts} attempts on the card in 30 days, at most {most}"
    return Gate(_N.CARD, tried < ATTEMPTS_ON_A_CARD, words, {"attempts": tried, "most": ATTEMPTS_ON_A_CARD})


# ── 6 and 7 · the size and the caps ─────────────────────────────────────────────────────────────────────────────────


def _size(facts: GateInputs, wanted: Size) -> Gate:
    most = facts.config.max_charge_microusd
    amount = facts.amount_microusd if facts.amount_microusd is not None else wanted.within(most)
    passed = 0 < amount <= most
    numbers: dict[str, GateNumber] = {
        "wanted": Usd(wanted.wanted_microusd),
        "least": Usd(wanted.least_microusd),
        "max_charge": Usd(most),
        "amount": Usd(amount),
    }
    return Gate(_N.SIZE, passed, "{amount} of {max_charge} a charge", numbers)


def _cap_gate(facts: GateInputs, wanted: Size, cap: Cap) -> Gate:
    if facts.amount_microusd is not None:
        passed = facts.amount_microusd <= cap.left_microusd
    else:
        passed = wanted.within(min(facts.config.max_charge_microusd, cap.left_microusd)) > 0
    numbers: dict[str, GateNumber] = {
        "cap": Usd(cap.cap_microusd),
        "spent_and_open": Usd(cap.counted_microusd),
        "left": Usd(cap.left_microusd),
        "window": cap.window,
    }
    return Gate(_N(cap.name), passed, f"{{spent_and_open}} spent or open of {{cap}} {CAP_WINDOWS[cap.name]}", numbers)


# ── 8 · the burn brake ──────────────────────────────────────────────────────────────────────────────────────────────


def _brake(facts: GateInputs, amount: int) -> Gate:
    pace = facts.burn.pace
    if pace is None:
        return Gate(_N.BRAKE, True, "not seven days of past yet")
    numbers: dict[str, GateNumber] = {
        "last_6_h": Usd(pace.recent_microusd),
        "largest_6_h": Usd(pace.largest_microusd),
        "mean_6_h": Usd(pace.mean_microusd),
    }
    held = far_beyond(pace, amount) and not facts.released
    return Gate(_N.BRAKE, not held, "{last_6_h} burnt in 6 h; the past's most {largest_6_h}", numbers)


def far_beyond(pace: BurnPace, amount_microusd: int) -> bool:
    """Whether the recent burn is far beyond the past, and large enough to matter beside the charge."""
    recent = pace.recent_microusd
    is_far = recent > TIMES_LARGEST * pace.largest_microusd and recent > TIMES_MEAN * pace.mean_microusd
    return is_far and recent * 2 >= amount_microusd
