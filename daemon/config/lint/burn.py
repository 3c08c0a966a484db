"""Thresholds and cooldowns against burn that was seen: by history, or by what a usage API says is scheduled."""

from __future__ import annotations

from collections.abc import Mapping

from alerts.money import format_usd
from daemon.config.lint.facts import Facts
from daemon.config.lint.rules import threshold_times
from daemon.config.lint.topups import burn_times


def lint_burn(facts: Facts, burn_microusd_per_day: Mapping[str, int]) -> None:
    """Note every threshold that the account's burn eats within one poll, and every cooldown that outlasts one."""
    for id, burn in burn_microusd_per_day.items():
        when = f"at its present burn of {format_usd(burn)} a day"
        topup = facts.tables.topups.get(id)
        if topup is not None:
            burn_times(facts, id, topup, burn, when)
        for rule in facts.tables.rules:
            if rule.table.enabled and id in facts.covered(rule.table.accounts):
                threshold_times(facts, rule, id, burn, when)
