"""Thresholds and cooldowns against burn that was seen: by history, or by what a usage API says is scheduled."""

from __future__ import annotations

from collections.abc import Mapping

from alerts.model.money import format_usd
from daemon.config.lint.facts import LintFacts
from daemon.config.lint.rules import threshold_times
from daemon.config.lint.topups import burn_times
from daemon.config.reading import Item
from daemon.config.schema import RuleTable


def lint_burn(facts: LintFacts, burn_microusd_per_day: Mapping[str, int]) -> None:
    """Note every threshold that the account's burn eats within one poll, and every cooldown that outlasts one."""
    by_account: dict[str, list[Item[RuleTable]]] = {}
    for rule in facts.tables.rules:
        if rule.table.enabled:
            for id in facts.covered(rule.table.accounts):
                by_account.setdefault(id, []).append(rule)
    for id, burn in burn_microusd_per_day.items():
        when = f"at its present burn of {format_usd(burn)} a day"
        topup = facts.tables.topups.get(id)
        if topup is not None:
            burn_times(facts, id, topup, burn, when)
        for rule in by_account.get(id, ()):
            threshold_times(facts, rule, id, burn, when)
