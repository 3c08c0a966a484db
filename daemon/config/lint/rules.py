"""Rules: their accounts report what they read, their clear lines are on the right side, their steps ascend."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

from alerts.model.money import format_usd
from alerts.model.specs import Period
from daemon.config.cron import gaps
from daemon.config.durations import format_duration
from daemon.config.lint.facts import LintFacts, listed
from daemon.config.problems import ProblemId
from daemon.config.reading import Item
from daemon.config.schema import (
    BudgetTable,
    LowBalanceTable,
    QuotaTable,
    RuleTable,
    RunwayTable,
    SpikeTable,
    StaleTable,
)
from daemon.sources.provider import Has

CLEAR_ABOVE = Decimal("1.2")
"""Default clear line of balance and runway: 20 % above the threshold."""
CLEAR_BELOW_POINTS = Decimal(2)
"""Default clear line of a quota: two points below its lowest step."""

_QUOTA_MOST = Decimal(100)
_BUDGET_MOST = Decimal(1000)
_DAY_S = 86_400


def lint(facts: LintFacts) -> None:
    rules = facts.tables.rules
    facts.note_twins(rules)
    for rule in rules:
        facts.note_accounts(rule, rule.table.accounts)
        _lint_reads(facts, rule)
        for kind, look in _LOOKS.items():
            if isinstance(rule.table, kind):
                look(facts, rule)


def reads(table: RuleTable) -> tuple[frozenset[Has], str]:
    """Return what a rule reads (any one is enough), and its name for a person. Empty: every account has it."""
    if isinstance(table, LowBalanceTable | RunwayTable):
        return frozenset({Has.BALANCE}), Has.BALANCE.value
    if isinstance(table, QuotaTable):
        return frozenset({Has.LIMIT}), Has.LIMIT.value
    if isinstance(table, BudgetTable) and table.limit_gb is not None and table.limit_usd is None:
        return frozenset({Has.VOLUME}), Has.VOLUME.value
    if isinstance(table, BudgetTable | SpikeTable):
        return frozenset({Has.TOTAL, Has.BALANCE}), "money"
    return frozenset(), ""


def _lint_reads(facts: LintFacts, rule: Item[RuleTable]) -> None:
    wanted, name = reads(rule.table)
    if not wanted or not rule.table.enabled or not facts.tables.accounts:
        return
    named = facts.covered(rule.table.accounts)
    if named and not any(wanted & facts.has(facts.tables.accounts[id]) for id in named):
        said = f"it reads {name}, which no account that it covers has"
        facts.note(ProblemId.RULE_READS_NOTHING, rule, "accounts", said, f"covered: {listed(named)}")
        return
    for id in named:
        if id in rule.table.accounts and not wanted & facts.has(facts.tables.accounts[id]):
            said = f'it reads {name}, which the account "{id}" does not have'
            facts.note(ProblemId.RULE_READS_NOTHING, rule, "accounts", said)


def _lint_low_balance(facts: LintFacts, rule: Item[RuleTable]) -> None:
    table = rule.table
    assert isinstance(table, LowBalanceTable)
    below, clear = table.below_usd, table.clear_above_usd
    if below is None:
        return
    if clear is not None and clear < below:
        said = f"it would be clear above {format_usd(clear)}, which is still below {format_usd(below)}"
        facts.note(ProblemId.RULE_CLEAR_SIDE, rule, "clear_above_usd", said, "make it larger than below_usd")
    for id in facts.covered(table.accounts):
        topup = facts.tables.topups.get(id)
        if topup is not None and topup.table.max_per_day_usd is not None:
            threshold_times(facts, rule, id, topup.table.max_per_day_usd, "burn as fast as max_per_day_usd allows")


def threshold_times(facts: LintFacts, rule: Item[RuleTable], id: str, burn_microusd_per_day: int, when: str) -> None:
    """Note a low_balance threshold that the account burns within one poll interval."""
    table = rule.table
    if not isinstance(table, LowBalanceTable) or table.below_usd is None or burn_microusd_per_day <= 0:
        return
    _, interval = gaps(facts.tables.accounts[id].table.told("poll"), facts.zone)
    if table.below_usd * _DAY_S < burn_microusd_per_day * (interval // timedelta(seconds=1)):
        said = (
            f'{when}, the account "{id}" burns {format_usd(table.below_usd)} within one poll interval of '
            f"{format_duration(interval)}: it may be empty before the rule sees it"
        )
        facts.note(ProblemId.RULE_THRESHOLD, rule, "below_usd", said, "raise it, or poll more often")


def _lint_runway(facts: LintFacts, rule: Item[RuleTable]) -> None:
    table = rule.table
    assert isinstance(table, RunwayTable)
    below, clear = table.below_days, table.clear_above_days
    if below is not None and clear is not None and clear < below:
        said = f"it would be clear above {clear} days, which is still below {below}"
        facts.note(ProblemId.RULE_CLEAR_SIDE, rule, "clear_above_days", said, "make it larger than below_days")


def _lint_quota(facts: LintFacts, rule: Item[RuleTable]) -> None:
    table = rule.table
    assert isinstance(table, QuotaTable)
    if not _lint_steps(facts, rule, table.at_percent, _QUOTA_MOST):
        return
    clear = table.clear_below_percent
    if clear is not None and clear > table.at_percent[0]:
        said = f"it would be clear below {clear} %, which is above its lowest step of {table.at_percent[0]} %"
        facts.note(ProblemId.RULE_CLEAR_SIDE, rule, "clear_below_percent", said, "make it smaller")


def _lint_budget(facts: LintFacts, rule: Item[RuleTable]) -> None:
    table = rule.table
    assert isinstance(table, BudgetTable)
    _lint_steps(facts, rule, table.at_percent, _BUDGET_MOST)
    limits = [key for key in ("limit_usd", "limit_gb") if key in table.given]
    if len(limits) != 1:
        said = "limit_usd and limit_gb exclude each other" if limits else "the limit is not said"
        facts.note(ProblemId.RULE_LIMIT, rule, "", said, "write one of limit_usd and limit_gb")
    if table.period is Period.BILLING and (named := facts.covered(table.accounts)):
        without = [id for id in named if Has.PERIOD not in facts.has(facts.tables.accounts[id])]
        if len(without) == len(named):
            said = "no account that it covers reports its billing period"
            facts.note(ProblemId.RULE_PERIOD, rule, "period", said, 'use "month"')


def _lint_steps(facts: LintFacts, rule: Item[RuleTable], steps: list[Decimal], most: Decimal) -> bool:
    if any(step > most for step in steps):
        facts.note(ProblemId.RULE_STEPS, rule, "at_percent", f"a step is at most {most} %")
        return False
    if steps != sorted(set(steps)):
        hint = f"write [{', '.join(str(step) for step in sorted(set(steps)))}]"
        facts.note(ProblemId.RULE_STEPS, rule, "at_percent", "the steps do not climb", hint)
        return False
    return True


def _lint_spike(facts: LintFacts, rule: Item[RuleTable]) -> None:
    table = rule.table
    assert isinstance(table, SpikeTable)
    if table.factor is not None and table.factor <= 1:
        facts.note(ProblemId.VALUE_RANGE, rule, "factor", "usual burn would be a spike", "write more than 1")


def _lint_stale(facts: LintFacts, rule: Item[RuleTable]) -> None:
    table = rule.table
    assert isinstance(table, StaleTable)
    for id in facts.covered(table.accounts):
        _, interval = gaps(facts.tables.accounts[id].table.told("poll"), facts.zone)
        if table.after is not None and table.after <= interval:
            said = (
                f'the account "{id}" is polled every {format_duration(interval)}: it would be stale between two polls'
            )
            facts.note(ProblemId.RULE_STALE, rule, "after", said, "make it several poll intervals long")


_LOOKS: dict[type[RuleTable], Callable[[LintFacts, Item[RuleTable]], None]] = {
    LowBalanceTable: _lint_low_balance,
    RunwayTable: _lint_runway,
    QuotaTable: _lint_quota,
    BudgetTable: _lint_budget,
    SpikeTable: _lint_spike,
    StaleTable: _lint_stale,
}
