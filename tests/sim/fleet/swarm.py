"""What befalls the fleet, drawn by the seed: kills, stops, partitions, and the same at the points where it matters."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from tests.sim.swarm import Act, Swarm

OF_ONE_MACHINE = frozenset(
    {
        Act.KILL,
        Act.KILL_AT_COMMIT,
        Act.KILL_AT_REQUEST,
        Act.BACKUP,
        Act.RESTORE,
        Act.WIPE,
        Act.TWIN,
        Act.CLOCK_STEP,
        Act.RENAME,
        Act.MOVE_DATABASE,
        Act.DISK_FULL,
    }
)
"""What befalls a machine with a disk: of a fleet there are other things to tell."""


class FleetAct(StrEnum):
    KILL_ONE = "kill_one"  # SIGKILL at an instant
    STOP_ONE = "stop_one"  # SIGSTOP for a while
    CUT_ONE = "cut_one"  # it does not reach the database for a while
    LEAVE = "leave"  # SIGTERM, and a start later
    AT_POINT = "at_point"  # one of these when it passes a point
    DATABASE_DOWN = "database_down"
    STEP_CLOCK = "step_clock"  # of one machine


@dataclass(frozen=True, slots=True)
class FleetEvent:
    """One fault: when, what, to whom."""

    at: datetime
    act: FleetAct
    role: str
    value: str = ""
    seconds: float = 0.0


_LIKELY: dict[FleetAct, tuple[float, float]] = {
    FleetAct.KILL_ONE: (0.5, 1.5),
    FleetAct.STOP_ONE: (0.5, 2.0),
    FleetAct.CUT_ONE: (0.5, 2.0),
    FleetAct.LEAVE: (0.4, 1.5),
    FleetAct.AT_POINT: (0.9, 10.0),
    FleetAct.DATABASE_DOWN: (0.4, 1.0),
    FleetAct.STEP_CLOCK: (0.2, 0.5),
}
"""The chance that a run has the fault at all, and how often a day it then happens."""
_AWAY_S = (0.6, 3.0, 9.0, 12.0, 30.0, 900.0, 7200.0)
_STOPS_S = (0.5, 3.0, 7.0, 9.0, 10.5, 12.0, 14.0, 40.0, 900.0, 5400.0)
_STEPS_S = (-5400.0, -300.0, -20.0, -3.0, 3.0, 20.0, 300.0, 5400.0, 90000.0)
_AT_WORK = ("begin", "commit", "committed", "before poll", "after poll", "before hook", "after hook")
_AT_STRIPE = ("before stripe", "after stripe")
_AT_BEAT = ("beat begin", "beat commit", "beat committed")
_HOUR_S = 3600.0
EACH_HOUR = {
    "lose": (FleetAct.AT_POINT, "lose/committed/{}", 0.0, 10.0),
    "wake": (FleetAct.AT_POINT, "stop/after poll/{}", 12.0, 10.0),
    "join": (FleetAct.LEAVE, "", 42.0, 40.0),
}
"""What befalls somebody at the polls of each hour where it is in the focus, and how long before."""


def without_disks(swarm: Swarm) -> Swarm:
    """Return the world's faults without those of a machine with a disk."""
    happenings = tuple(one for one in swarm.happenings if one.act not in OF_ONE_MACHINE)
    return Swarm(
        happenings,
        swarm.acts - OF_ONE_MACHINE,
        lie_rate=swarm.lie_rate,
        slow_rate=swarm.slow_rate,
        lost_rate=swarm.lost_rate,
        fail_rate=swarm.fail_rate,
        lag_minutes=swarm.lag_minutes,
    )


def draw(
    rng: random.Random, start: datetime, days: float, roles: tuple[str, ...], focus: frozenset[str]
) -> list[FleetEvent]:
    """Draw what befalls the fleet over the first `days`; the acts in `focus` are always among it."""
    found: list[FleetEvent] = []
    for act in FleetAct:
        chance, a_day = _LIKELY[act]
        if rng.random() >= chance and act not in focus:
            continue
        for _ in range(max(1, round(rng.uniform(0.5, 1.5) * a_day * days))):
            seconds = rng.uniform(600, days * 86400)
            if rng.random() < 0.7:  # about the time of a poll, when something is under way
                seconds = max(seconds // _HOUR_S, 1.0) * _HOUR_S + rng.uniform(-3.0, 20.0)
            found.append(_event(rng, act, start + timedelta(seconds=seconds), rng.choice(roles)))
    for name in sorted(focus & EACH_HOUR.keys()):
        act, value, seconds, before_s = EACH_HOUR[name]
        for hour in range(1, int(days * 24)):
            at = start + timedelta(hours=hour, seconds=-before_s)
            said = value.format(rng.randrange(1, 3))
            found.append(FleetEvent(at, act, rng.choice(roles), said, seconds))
    return sorted(found, key=lambda one: one.at)


def _event(rng: random.Random, act: FleetAct, at: datetime, role: str) -> FleetEvent:
    match act:
        case FleetAct.AT_POINT:
            points = rng.choice([_AT_WORK, _AT_WORK, _AT_STRIPE, _AT_STRIPE, _AT_BEAT])
            deed = rng.choice(["kill", "stop", "stop", "cut", "lose"])
            count = rng.randrange(1, 10 if points is _AT_WORK else 5)
            seconds = rng.choice(_AWAY_S if deed in ("kill", "cut") else _STOPS_S)
            return FleetEvent(at, act, role, f"{deed}/{rng.choice(points)}/{count}", seconds)
        case FleetAct.STOP_ONE:
            return FleetEvent(at, act, role, seconds=rng.choice(_STOPS_S))
        case FleetAct.CUT_ONE:
            return FleetEvent(at, act, role, rng.choice(["hangs", "fails"]), rng.choice(_AWAY_S))
        case FleetAct.STEP_CLOCK:
            return FleetEvent(at, act, role, seconds=rng.choice(_STEPS_S))
        case _:
            return FleetEvent(at, act, role, seconds=rng.choice(_AWAY_S))
