"""Check thresholds and cooldowns against the observed burn: from history, or from the schedule of a usage API."""

from __future__ import annotations

from collections.abc import Mapping

from alerts.model.money import format_amount
from daemon.config.lint.facts import LintFacts
from daemon.config.lint.rules import threshold_times
from daemon.config.lint.topups import burn_times
from daemon.config.reading import Item
from daemon.config.schema import RuleTable


def lint_burn(facts: LintFacts, burn_microusd_per_day: Mapping[str, int]) -> None:
    """Note every threshold that the account burns within one poll interval, and every cooldown that is too long."""
    by_account: dict[str, list[Item[RuleTable]]] = {}
    for rule in facts.tables.rules:
        if rule.table.enabled:
            for id in facts.covered(rule.table.accounts):
                by_account.setdefault(id, []).append(rule)
    for id, burn in burn_microusd_per_day.items():
        when = f"at its present burn of {format_amount(burn, facts.tables.accounts[id].table.units[0])} a day"
        topup = facts.tables.topups.get(id)
        if topup is not None:
            burn_times(facts, id, topup, burn, when)
        for rule in by_account.get(id, ()):
            threshold_times(facts, rule, id, burn, when)
