"""How much: a fixed amount, up to a balance, or enough for so many days. Whole cents, in micro-dollars; pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from alerts.model.money import MICROUSD_PER_CENT
from daemon.config.model import TopupConfig

STRIPE_LEAST_MICROUSD = 500_000
"""Stripe charges no less than 50 cents."""


@dataclass(frozen=True, slots=True)
class Size:
    """What is wanted, and in which steps it may be reduced: never below `least`, and whole increments only."""

    wanted_microusd: int
    least_microusd: int
    increment_microusd: int

    def within(self, allowed_microusd: int) -> int:
        """Return the most that is wanted and allowed; 0 where not even one increment fits."""
        if allowed_microusd >= self.wanted_microusd:
            return self.wanted_microusd
        reduced = allowed_microusd // self.increment_microusd * self.increment_microusd
        return reduced if reduced >= self.least_microusd else 0


def size(config: TopupConfig, available_microusd: int, burn_microusd_per_day: int | None) -> Size:
    """Return what lands above the threshold. Where `cover_days` meets an unknown burn, the smallest charges that do."""
    least = max(config.min_charge_microusd, STRIPE_LEAST_MICROUSD)
    above = config.when_below_microusd - available_microusd
    if config.amount_microusd is not None:
        increment = config.amount_microusd
        count = max(above // increment + 1, -(-least // increment))
        return Size(increment * count, max(increment, least), increment)
    if config.to_microusd is not None:
        need = config.to_microusd - available_microusd
    elif burn_microusd_per_day is not None and config.cover_days is not None:
        cover = (Decimal(burn_microusd_per_day) * config.cover_days).to_integral_value(ROUND_CEILING)
        need = int(cover) - available_microusd
    else:
        need = (above // least + 1) * least
    wanted = _whole_cents(max(need, above + 1, least))
    return Size(wanted, _whole_cents(least), MICROUSD_PER_CENT)


def _whole_cents(microusd: int) -> int:
    return -(-microusd // MICROUSD_PER_CENT) * MICROUSD_PER_CENT
