"""What goes wrong, drawn by the seed before anything starts: each run has some of the faults, and few have all."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from daemon.demo.standins.stripe import Strike


class Act(StrEnum):
    OUTAGE = "outage"  # the usage API is out for a while
    FREEZE = "freeze"  # a cache in front of it says the same for a while
    CREDIT = "credit"  # somebody buys credit by hand
    BURN = "burn"  # usage grows or shrinks
    RECEIVER_DOWN = "receiver_down"
    KILL = "kill"  # SIGKILL at an instant
    KILL_AT_COMMIT = "kill_at_commit"  # before or after a commit
    KILL_AT_REQUEST = "kill_at_request"  # before or after a request to Stripe
    BACKUP = "backup"
    RESTORE = "restore"  # killed, and started on the last backup
    WIPE = "wipe"  # killed, and started on an empty disk
    TWIN = "twin"  # a second daemon on a disk of its own
    CLOCK_STEP = "clock_step"
    STRIKE = "strike"  # a fault of Stripe for the next request of a kind
    CARD = "card"  # what the card does next
    REFUND = "refund"  # a person gives a charge back, or the card's holder disputes it
    STRIPE_OUT = "stripe_out"  # every request to Stripe meets it for a while
    FALSE_ZERO = "false_zero"  # less shows than was ever credited, at every read for a while
    PENDING_JUMP = "pending_jump"  # all of the balance is pending usage, for less than a quarter of an hour
    SAID_TWICE = "said_twice"  # a key stands twice in every answer for a while, the second time with another number
    RENAME = "rename"  # stopped, and started with another name for an account
    MOVE_DATABASE = "move_database"  # the file is not at its path for a while
    DISK_FULL = "disk_full"  # nothing more can be written for a while
    LOST_CREDIT = "lost_credit"  # a charge is never credited; a person buys the same amount by hand hours later


@dataclass(frozen=True, slots=True)
class ScriptedEvent:
    """One fault: when, what, and its numbers, so that a trace can say it."""

    at: datetime
    act: Act
    value: str = ""
    seconds: float = 0.0


_WRITES = ("payment_intents.create", "payment_intents.confirm", "payment_intents.cancel")
_READS = ("payment_intents.retrieve", "payment_intents.list", "charges.list", "events.list", "customers.retrieve")
_HARD = ("stolen_card", "lost_card", "fraudulent", "expired_card", "do_not_try_again", "authentication_required")
_SOFT = ("insufficient_funds", "generic_decline", "do_not_honor", "try_again_later", "processing_error", "unheard_of")
_CLOCK_STEPS_S = (-90000.0, -5400.0, -300.0, -5.0, 5.0, 300.0, 5400.0, 90000.0, 259200.0)
_EFFECTIVE = (
    Strike.DROP,
    Strike.COMMIT_THEN_DROP,
    Strike.COMMIT_THEN_500,
    Strike.FAIL_500,
    Strike.ROLL_FORWARD,
    Strike.SLOW,
    Strike.LATE,
    Strike.KEY_IN_USE,
    Strike.LOCK_TIMEOUT,
    Strike.RATE_LIMITED,
    Strike.PROXY,
    Strike.GARBAGE,
    Strike.EMPTY_LIST,
    Strike.TRUNCATED,
)


@dataclass(frozen=True, slots=True)
class Swarm:
    """A whole run's faults, and the rates of those that strike by chance."""

    happenings: tuple[ScriptedEvent, ...]
    acts: frozenset[Act]
    lie_rate: float
    slow_rate: float
    lost_rate: float
    fail_rate: float
    lag_minutes: tuple[int, int]


_LIKELY: dict[Act, tuple[float, float]] = {
    Act.OUTAGE: (0.4, 0.25),
    Act.FREEZE: (0.2, 0.15),
    Act.CREDIT: (0.3, 0.1),
    Act.BURN: (0.5, 0.2),
    Act.RECEIVER_DOWN: (0.3, 0.15),
    Act.KILL: (0.4, 0.4),
    Act.KILL_AT_COMMIT: (0.4, 0.6),
    Act.KILL_AT_REQUEST: (0.4, 0.6),
    Act.BACKUP: (0.25, 0.5),
    Act.RESTORE: (0.2, 0.12),
    Act.WIPE: (0.15, 0.1),
    Act.TWIN: (0.15, 0.05),
    Act.CLOCK_STEP: (0.25, 0.15),
    Act.STRIKE: (0.75, 2.5),
    Act.CARD: (0.4, 0.3),
    Act.REFUND: (0.15, 0.05),
    Act.STRIPE_OUT: (0.2, 0.1),
    Act.FALSE_ZERO: (0.2, 0.15),
    Act.PENDING_JUMP: (0.15, 0.2),
    Act.SAID_TWICE: (0.1, 0.15),
    Act.RENAME: (0.1, 0.05),
    Act.MOVE_DATABASE: (0.1, 0.15),
    Act.DISK_FULL: (0.15, 0.15),
    Act.LOST_CREDIT: (0.15, 0.1),
}
"""The chance that a run has the fault at all, and how often a day it then happens."""


def draw(rng: random.Random, start: datetime, days: float, focus: frozenset[str] = frozenset()) -> Swarm:
    """Draw the faults of one run over its first `days`; those in `focus` are always among them."""
    acts = frozenset(act for act, (chance, _) in _LIKELY.items() if rng.random() < chance or act in focus)
    if acts & {Act.TWIN, Act.RESTORE}:  # under another name they would lose, or double, what is open
        acts -= {Act.RENAME}
    happenings: list[ScriptedEvent] = []
    for act in sorted(acts):
        for _ in range(_times(rng, _LIKELY[act][1] * days)):
            at = start + timedelta(seconds=rng.uniform(600, days * 86400))
            happenings.append(_happening(rng, act, at))
    return Swarm(
        tuple(sorted(happenings, key=lambda happening: happening.at)),
        acts,
        lie_rate=0.1 if "lies" in focus else rng.choice([0, 0, 0.02, 0.1]),
        slow_rate=rng.choice([0, 0, 0.05]),
        lost_rate=0.3 if "receivers" in focus else rng.choice([0, 0, 0.05, 0.3]),
        fail_rate=0.4 if "receivers" in focus else rng.choice([0, 0, 0.1, 0.4]),
        lag_minutes=(60, 100) if "lag" in focus else rng.choice([(0, 0), (0, 5), (0, 100), (60, 100)]),
    )


def _times(rng: random.Random, mean: float) -> int:
    """Return a whole number around `mean`, at least one."""
    return max(1, round(rng.uniform(0.5, 1.5) * mean))


def _happening(rng: random.Random, act: Act, at: datetime) -> ScriptedEvent:
    seconds = rng.choice([300.0, 1800.0, 7200.0, 28800.0]) * rng.uniform(0.5, 1.5)
    match act:
        case Act.OUTAGE:
            outages = ("server_error", "proxy", "timeout", "refused", "unauthorized", "rate_limited")
            return ScriptedEvent(at, act, rng.choice(outages), seconds)
        case Act.BURN:
            return ScriptedEvent(at, act, rng.choice(["0.5", "1.5", "2", "4"]))
        case Act.CREDIT:
            return ScriptedEvent(at, act, rng.choice(["10", "50", "200"]))
        case Act.RECEIVER_DOWN:
            return ScriptedEvent(at, act, rng.choice(["app", "audit", "ops"]), seconds)
        case Act.REFUND:
            return ScriptedEvent(at, act, rng.choice(["refund", "dispute"]))
        case Act.KILL | Act.RESTORE | Act.WIPE:
            return ScriptedEvent(at, act, seconds=rng.choice([1.0, 20.0, 600.0, 14400.0]))
        case Act.KILL_AT_COMMIT:
            return ScriptedEvent(at, act, rng.choice(["begin", "commit", "committed"]), float(rng.randrange(1, 12)))
        case Act.KILL_AT_REQUEST:
            return ScriptedEvent(at, act, rng.choice(["before", "after"]), float(rng.randrange(1, 8)))
        case Act.TWIN:
            how = rng.choice(["same", "other_amount", "burnt", "burnt"])
            return ScriptedEvent(at, act, how, rng.choice([600.0, 7200.0, 86400.0, 345600.0]))
        case Act.CLOCK_STEP:
            return ScriptedEvent(at, act, seconds=rng.choice(_CLOCK_STEPS_S))
        case Act.STRIKE:
            endpoint = rng.choice(_WRITES if rng.random() < 0.75 else _READS)
            delay = rng.choice([60.0, 120.0, 3600.0, 5400.0])
            return ScriptedEvent(at, act, f"{rng.choice(_EFFECTIVE)} {endpoint}", delay)
        case Act.CARD:
            return ScriptedEvent(at, act, _card(rng), rng.choice([300.0, 300.0, 5400.0, 5400.0, 90000.0]))
        case Act.FALSE_ZERO:
            return ScriptedEvent(at, act, rng.choice(["zero", "nothing", "half"]), seconds)
        case Act.MOVE_DATABASE | Act.DISK_FULL:
            return ScriptedEvent(at, act, seconds=min(seconds, 14400.0))
        case Act.STRIPE_OUT:
            strikes = (Strike.DROP, Strike.PROXY, Strike.FAIL_500, Strike.RATE_LIMITED, Strike.UNAUTHORIZED)
            return ScriptedEvent(at, act, rng.choice([*strikes, Strike.FORBIDDEN, Strike.COMMIT_THEN_DROP]), seconds)
        case _:
            return ScriptedEvent(at, act, seconds=seconds)


def _card(rng: random.Random) -> str:
    kind = rng.choice(["soft", "soft", "hard", "processing_ok", "processing_fail"])
    if kind == "soft":
        return f"declined {rng.choice(_SOFT)}"
    if kind == "hard":
        return f"declined {rng.choice(_HARD)}"
    return kind
