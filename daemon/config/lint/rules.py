"""Rules: their accounts report what they read, their clear lines are on the right side, their steps ascend."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

from alerts.model.money import format_amount, format_usd, to_decimal
from alerts.model.specs import Period
from alerts.model.units import GB, USD
from daemon.config.cron import gap_when_near
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
    if isinstance(table, BudgetTable) and table.limit is not None:
        return frozenset({Has.TOTAL, Has.BALANCE, Has.VOLUME}), "spend or use"
    if isinstance(table, BudgetTable | SpikeTable):
        return frozenset({Has.TOTAL, Has.BALANCE}), "money"
    return frozenset(), ""


def _unit(table: RuleTable) -> tuple[str | None, bool]:
    """Return the unit that a rule's numbers are in, None for the account's own, and whether it reads the quota."""
    if isinstance(table, LowBalanceTable):
        return table.unit, False
    if isinstance(table, BudgetTable):
        return (
            (USD, False) if table.limit_usd is not None else (GB, True) if table.limit_gb is not None else (None, False)
        )
    return None, False


def _lint_reads(facts: LintFacts, rule: Item[RuleTable]) -> None:
    wanted, name = reads(rule.table)
    if not wanted or not rule.table.enabled or not facts.tables.accounts:
        return
    unit, of_quota = _unit(rule.table)
    named = facts.covered(rule.table.accounts)
    fits = {}
    for id in named:
        account = facts.tables.accounts[id]
        is_in_unit = unit is None or account.table.units[of_quota] == unit
        fits[id] = is_in_unit and not wanted.isdisjoint(facts.has(account))
    if unit is not None and any(facts.tables.accounts[id].table.units[of_quota] != unit for id in named):
        name = f"{name} in {unit}"
    if named and not any(fits.values()):
        said = f"it reads {name}, which no account that it covers has"
        facts.note(ProblemId.RULE_READS_NOTHING, rule, "accounts", said, f"covered: {listed(named)}")
        return
    for id in named:
        if id in rule.table.accounts and not fits[id]:
            said = f'it reads {name}, which the account "{id}" does not have'
            facts.note(ProblemId.RULE_READS_NOTHING, rule, "accounts", said)


def _lint_low_balance(facts: LintFacts, rule: Item[RuleTable]) -> None:
    table = rule.table
    assert isinstance(table, LowBalanceTable)
    given = table.given & {"below", "below_usd"}
    own = "below" if "below" in given else "below_usd"
    if len(given) != 1:
        if given:
            said = "below and below_usd exclude each other"
            facts.note(ProblemId.RULE_LIMIT, rule, "", said, "write below, in the account's unit, or below_usd")
        else:
            hint = "or below, in the account's own unit"
            facts.note(ProblemId.KEY_MISSING, rule, own, "this key is needed", hint)
        return
    clear_own = own.replace("below", "clear_above")
    if wrong := table.given & {"clear_above", "clear_above_usd"} - {clear_own}:
        said = f"beside {own} the clear line is {clear_own}"
        facts.note(ProblemId.RULE_LIMIT, rule, min(wrong), said, f"write {clear_own}")
        return
    below, clear = table.line, table.clear_line
    if below is None:
        return
    if clear is not None and clear < below:
        show = format_usd if own == "below_usd" else to_decimal
        said = f"it would be clear above {show(clear)}, which is still below {show(below)}"
        facts.note(ProblemId.RULE_CLEAR_SIDE, rule, clear_own, said, f"make it larger than {own}")
    for id in facts.covered(table.accounts):
        topup = facts.tables.topups.get(id)
        if topup is not None and topup.table.max_per_day_usd is not None:
            threshold_times(facts, rule, id, topup.table.max_per_day_usd, "burn as fast as max_per_day_usd allows")


def threshold_times(facts: LintFacts, rule: Item[RuleTable], id: str, burn_microusd_per_day: int, when: str) -> None:
    """Note a low_balance threshold that the account burns within one poll interval."""
    table = rule.table
    if not isinstance(table, LowBalanceTable) or table.line is None or burn_microusd_per_day <= 0:
        return
    account = facts.tables.accounts[id].table
    unit = account.units[0]
    if table.unit not in (None, unit):
        return
    interval = gap_when_near(account.schedule, facts.zone)
    if table.line * _DAY_S < burn_microusd_per_day * (interval // timedelta(seconds=1)):
        said = (
            f'{when}, the account "{id}" burns {format_amount(table.line, unit)} within one poll interval of '
            f"{format_duration(interval)}: it may be empty before the rule sees it"
        )
        key = "below_usd" if table.unit else "below"
        facts.note(ProblemId.RULE_THRESHOLD, rule, key, said, "raise it, or poll more often")


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
    limits = [key for key in ("limit", "limit_usd", "limit_gb") if key in table.given]
    if len(limits) != 1:
        said = f"{' and '.join(limits)} exclude each other" if limits else "the limit is not said"
        hint = "write one of limit (in the account's unit), limit_usd and limit_gb"
        facts.note(ProblemId.RULE_LIMIT, rule, "", said, hint)
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
        interval = gap_when_near(facts.tables.accounts[id].table.schedule, facts.zone)
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
