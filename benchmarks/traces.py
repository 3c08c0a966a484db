"""Generated accounts: what they would have spent, five minutes by five minutes, for two months and a half.

A family is one way that a workload behaves. The forecast's estimators were chosen on `TUNED`. The families of `UNSEEN`
chose none, though a few constants were set with a look at their figures. Seeds are split the same way: see
`benchmarks.forecast`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

STEP_MINUTES = 5
STEPS_A_DAY = 24 * 60 // STEP_MINUTES
DAYS = 75
COST = 15_000
"""Micro-dollars a snapshot."""


@dataclass(frozen=True, slots=True)
class Trace:
    """`accrued[i]` is what was spent when step i began, `rate[i]` what the provider scheduled then, a day.

    Micro-dollars. Where `has_schedule` is false the provider says nothing of active videos, as a metered one does.
    """

    family: str
    seed: int
    accrued: list[int]
    rate: list[int]
    has_schedule: bool


@dataclass(slots=True)
class World:
    """What a family is asked for at each step, with its own chance."""

    chance: random.Random
    day: float = 0.0
    """Days since the trace began."""
    hour: float = 0.0
    weekday: int = 0
    cost: int = COST

    def at(self, step: int, offset_days: int) -> None:
        self.day = step / STEPS_A_DAY
        self.hour = self.day % 1 * 24
        self.weekday = (int(self.day) + offset_days) % 7


Demand = Callable[[World], tuple[float, float]]
"""Returns the active videos, and what is spent beside them in micro-dollars an hour."""


def _office(hour: float) -> float:
    """A working day: rises from seven, falls until twenty."""
    return max(0.0, math.sin((hour - 7) / 13 * math.pi)) if 7 <= hour <= 20 else 0.0


def steady(world: World) -> Demand:
    """A list of videos that now and then grows or shrinks."""
    videos = world.chance.uniform(5, 60)

    def demand(world: World) -> tuple[float, float]:
        nonlocal videos
        if world.chance.random() < 0.4 / STEPS_A_DAY:
            videos = max(1.0, videos * world.chance.choice((0.7, 0.85, 1.15, 1.4)))
        return videos, 0.0

    return demand


def daily(world: World) -> Demand:
    """Office hours, idle nights."""
    base, top, noise = world.chance.uniform(0, 4), world.chance.uniform(20, 120), _Wander(world.chance, 0.25, 0.9)
    return lambda world: (base + top * _office(world.hour) * noise.at(world), 0.0)


def weekly(world: World) -> Demand:
    """Office hours, and weekends that are nearly still."""
    top, rest = world.chance.uniform(20, 120), world.chance.uniform(0.05, 0.5)
    noise = _Wander(world.chance, 0.2, 0.9)

    def demand(world: World) -> tuple[float, float]:
        days = rest if world.weekday >= 5 else 1.0
        return 2 + top * days * (0.2 + _office(world.hour)) * noise.at(world), 0.0

    return demand


def trend(world: World) -> Demand:
    """Growth or decline by some percent a day, with a mild day shape."""
    start, slope = world.chance.uniform(15, 60), world.chance.uniform(-0.03, 0.05)
    noise = _Wander(world.chance, 0.1, 0.8)
    return lambda world: (
        start * math.exp(slope * min(world.day, 40)) * (0.7 + 0.6 * _office(world.hour)) * noise.at(world),
        0.0,
    )


def bursts(world: World) -> Demand:
    """A calm list, and jobs of some hours that no schedule announces."""
    videos, often = world.chance.uniform(5, 30), world.chance.uniform(0.5, 3)
    left, height = 0.0, 0.0

    def demand(world: World) -> tuple[float, float]:
        nonlocal left, height
        if left <= 0 and world.chance.random() < often / STEPS_A_DAY:
            left = world.chance.uniform(0.5, 5)
            height = videos * COST * world.chance.uniform(2, 10)
        left -= STEP_MINUTES / 60
        return videos, height if left > 0 else 0.0

    return demand


def price(world: World) -> Demand:
    """Office hours, and a price that changes once, on a day that nobody announced."""
    inner, changes = daily(world), world.chance.uniform(4, 25)
    new = round(COST * world.chance.choice((0.7, 1.25, 1.5)))

    def demand(world: World) -> tuple[float, float]:
        world.cost = new if world.day >= changes else COST
        return inner(world)

    return demand


def campaigns(world: World) -> Demand:
    """Unseen: batches of videos, each tracked for a week and then dropped."""
    batches: list[tuple[float, float]] = [(world.chance.uniform(0, 7), world.chance.uniform(3, 20)) for _ in range(4)]

    def demand(world: World) -> tuple[float, float]:
        if world.chance.random() < 0.6 / STEPS_A_DAY:
            batches.append((world.day + 7, world.chance.uniform(3, 20)))
        batches[:] = [batch for batch in batches if batch[0] > world.day]
        return 3 + sum(size for _, size in batches), 0.0

    return demand


def nightly(world: World) -> Demand:
    """Unseen: a batch in the small hours, longer or shorter each night, and nothing much by day."""
    top, begins = world.chance.uniform(50, 200), world.chance.uniform(0, 4)
    lasts = [world.chance.lognormvariate(math.log(3), 0.35) for _ in range(DAYS + 1)]
    return lambda world: (
        1.0 + (top if begins <= world.hour < begins + lasts[int(world.day)] else 0.0),
        0.0,
    )


def wander(world: World) -> Demand:
    """Unseen: a level that walks at random, with no shape at all."""
    start, noise = world.chance.uniform(10, 60), _Wander(world.chance, 0.6, 0.995)
    return lambda world: (start * noise.at(world), 0.0)


def projects(world: World) -> Demand:
    """Unseen: projects that are switched on and off for days at a time, over office hours."""
    sizes = [world.chance.uniform(5, 40) for _ in range(5)]
    on = [world.chance.random() < 0.6 for _ in sizes]

    def demand(world: World) -> tuple[float, float]:
        for index in range(len(sizes)):
            if world.chance.random() < 0.15 / STEPS_A_DAY:
                on[index] = not on[index]
        running = sum(size for size, runs in zip(sizes, on, strict=True) if runs)
        return 3 + running * (0.4 + 0.6 * _office(world.hour)), 0.0

    return demand


def everything(world: World) -> Demand:
    """Unseen: growth, weekends, office hours, bursts and a price change at once."""
    parts = [weekly(world), bursts(world)]
    slope, changes = world.chance.uniform(-0.01, 0.03), world.chance.uniform(5, 30)

    def demand(world: World) -> tuple[float, float]:
        world.cost = round(COST * 1.25) if world.day >= changes else COST
        (videos, _), (more, beside) = parts[0](world), parts[1](world)
        growth = math.exp(slope * min(world.day, 40))
        return (videos + more) * growth, beside

    return demand


class _Wander:
    """A factor around 1 that is redrawn every hour and forgets slowly: its logarithm is an autoregression."""

    def __init__(self, chance: random.Random, spread: float, keep: float) -> None:
        self._chance, self._keep = chance, keep
        self._step = spread * math.sqrt(1 - keep * keep)
        self._value = chance.gauss(0, spread)
        self._hour = -1

    def at(self, world: World) -> float:
        hour = int(world.day * 24)
        if hour != self._hour:
            self._hour = hour
            self._value = self._keep * self._value + self._chance.gauss(0, self._step)
        return math.exp(self._value)


Family = Callable[[World], Demand]
TUNED: dict[str, Family] = {
    "steady": steady,
    "daily": daily,
    "weekly": weekly,
    "trend": trend,
    "bursts": bursts,
    "price": price,
}
UNSEEN: dict[str, Family] = {
    "campaigns": campaigns,
    "nightly": nightly,
    "wander": wander,
    "projects": projects,
    "everything": everything,
}


def generate(family: str, seed: int) -> Trace:
    """Return the trace of a family and a seed: the same for the same two. Every second seed says no schedule."""
    chance = random.Random(f"{family}/{seed}")
    world = World(chance)
    demand = {**TUNED, **UNSEEN}[family](world)
    offset = chance.randrange(7)
    accrued, rate, total = [], [], 0.0
    for step in range(DAYS * STEPS_A_DAY):
        world.at(step, offset)
        videos, beside = demand(world)
        active = round(videos)
        accrued.append(round(total))
        rate.append(active * 24 * world.cost)
        # Snapshots are hourly for each video, spread over the hour; one in fifty fails and is not billed.
        total += active * world.cost * STEP_MINUTES / 60 * (0 if chance.random() < 0.02 else 1)
        total += beside * STEP_MINUTES / 60
    return Trace(family, seed, accrued, rate, seed % 2 == 0)
