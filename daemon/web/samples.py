"""The figures of every account as `/metrics` tells them: written from what is remembered, thousands at once.

A family is a name, a sentence and a line an account. The rest of the exposition is `daemon.web.metrics`.
Source: Prometheus' text format 0.0.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from time import thread_time

from alerts.model.accounts import AccountInfo
from alerts.model.money import MICRO
from alerts.model.readings import Known
from alerts.model.specs import Budget, RuleIndex
from alerts.model.units import GB, USD
from alerts.rules.state import AccountState
from daemon.config.model import Config
from daemon.status.overview import spent_of
from daemon.web.forecasts import AccountForecast, Forecasts
from daemon.web.others import OtherAccount

_BYTES_PER_MICROGB = 1000
_SUFFIXES = {USD: "_usd", GB: "_bytes"}
"""What a name ends with by unit; an amount in any other has its unit as a label."""
DAY_S = 86_400
_MONEY = (
    ("balance", "Balance by the last believed reading.", "balance_microusd"),
    ("uncharged", "Accrued and not yet deducted.", "uncharged_microusd"),
    ("available", "Balance less what is accrued and not yet deducted.", "available_microusd"),
)
_VOLUME = (
    ("used", "Volume used.", "used_microgb"),
    ("effective", "Volume used and reserved: what the quota is enforced on.", "effective_microgb"),
    ("limit", "The quota.", "limit_microgb"),
)
_ANY_UNIT = "In the account's own unit, where that is neither dollars nor gigabytes: never add two units. "
_FAMILIES = (
    *((f"{name}_usd", says) for name, says, _ in _MONEY),
    *((f"{name}_bytes", says) for name, says, _ in _VOLUME),
    *((name, f"{_ANY_UNIT}{says}") for name, says, _ in (*_MONEY, *_VOLUME)),
    ("quota_ratio", "Volume used and reserved, of the quota: 1 is full."),
    ("burn_usd_per_day", "What a day costs, by the basis that `status` names."),
    ("burn_per_day", f"{_ANY_UNIT}What a day costs, by the basis that `status` names."),
    ("remaining_seconds", "How long the available balance lasts, from the last believed reading."),
    ("reading_age_seconds", "Age of the last believed reading."),
    ("reading_ok", "1 where the last poll brought a reading that is believed, 0 where it did not."),
    ("alert_open", "1 for each open episode."),
    ("budget_spent_usd", "Spent of a budget in its period."),
    ("budget_limit_usd", "Limit of a budget."),
    ("budget_spent_bytes", "Used of a budget in its period."),
    ("budget_limit_bytes", "Limit of a budget by volume."),
    ("budget_spent", f"{_ANY_UNIT}Spent of a budget in its period."),
    ("budget_limit", f"{_ANY_UNIT}Limit of a budget."),
    ("budget_ratio", "Spent of a budget, of its limit: 1 is reached."),
)


@dataclass(frozen=True, slots=True)
class Taken:
    """What was remembered at one instant: by account, its state and whether its last poll brought a reading."""

    now: datetime
    states: Mapping[str, AccountState]
    readable: Mapping[str, bool]
    others: Mapping[str, OtherAccount] = field(default_factory=dict)
    """What other daemons hold, from the store."""


class Samples:
    """One for the process."""

    def __init__(self, config: Config, forecasts: Forecasts) -> None:
        self._accounts = config.accounts
        self._forecasts = forecasts
        budgets = [rule for rule in config.rules if isinstance(rule, Budget)]
        self._budgets, self._has_budgets = RuleIndex(budgets), bool(budgets)

    def text(self, taken: Taken, forecasts_s: float) -> str:
        """Return the samples of all accounts; what is not known has none. For one thread at a time.

        So many seconds of CPU are spent on what days cost.
        """
        until = thread_time() + forecasts_s
        families: dict[str, list[str]] = {name: [] for name, _ in _FAMILIES}
        for account, config in self._accounts.items():
            state, other = taken.states.get(account), None
            if state is None:
                if (other := taken.others.get(account)) is None:
                    continue
                state = other.state
            if state.last is not None:
                known = state.last
                forecast = self._forecasts.within(state, known, until) if other is None else other.forecast
                _add_reading(families, config.info, known, forecast)
                age_s = max(int((taken.now - state.last.at).total_seconds()), 0)
                families["reading_age_seconds"].append(f'brimful_reading_age_seconds{{account="{account}"}} {age_s}.0')
                if self._has_budgets:
                    self._add_budgets(families, config.info, state, state.last, taken.now)
            ok = taken.readable.get(account)
            if ok is not None:
                families["reading_ok"].append(f'brimful_reading_ok{{account="{account}"}} {int(ok)}.0')
            for rule, memory in state.rules.items():
                if memory.episode is not None:
                    labels = _labels(account=account, rule=rule, severity=memory.episode.severity.value)
                    families["alert_open"].append(f"brimful_alert_open{labels} 1.0")
        return "".join(family(name, says, families[name]) for name, says in _FAMILIES)

    def _add_budgets(
        self, families: Mapping[str, list[str]], info: AccountInfo, state: AccountState, known: Known, now: datetime
    ) -> None:
        for rule in self._budgets.covering(info.id):
            assert isinstance(rule, Budget)
            found = spent_of(rule, info, state, known.metrics, now)
            if found is None:
                continue
            labels = _labels(account=info.id, rule=rule.id, period=rule.period.value)
            suffix = _SUFFIXES.get(found.unit, "")
            said = labels if suffix else _with_unit(labels, found.unit)
            for name, value in (("spent", found.amount), ("limit", found.limit)):
                families[f"budget_{name}{suffix}"].append(
                    f"brimful_budget_{name}{suffix}{said} {_number(value, found.unit)!r}"
                )
            families["budget_ratio"].append(f"brimful_budget_ratio{labels} {found.amount / found.limit!r}")


def _add_reading(
    families: Mapping[str, list[str]], info: AccountInfo, known: Known, forecast: AccountForecast | None
) -> None:
    metrics, labels = known.metrics, f'{{account="{info.id}"}}'
    for entries, unit in ((_MONEY, info.unit), (_VOLUME, info.quota_unit)):
        suffix = _SUFFIXES.get(unit, "")
        said = labels if suffix else _with_unit(labels, unit)
        for name, _, attribute in entries:
            value = getattr(metrics, attribute)
            if value is not None:
                families[name + suffix].append(f"brimful_{name}{suffix}{said} {_number(value, unit)!r}")
    if metrics.limit_microgb and metrics.effective_microgb is not None:
        ratio = metrics.effective_microgb / metrics.limit_microgb
        families["quota_ratio"].append(f"brimful_quota_ratio{labels} {ratio!r}")
    if forecast is None:
        return
    if forecast.burn is not None:
        value = forecast.burn.microusd_per_day / MICRO
        name, said = "burn_usd_per_day", labels
        if info.unit != USD:
            name, said = "burn_per_day", _with_unit(labels, info.unit)
        families[name].append(f"brimful_{name}{said} {value!r}")
    if forecast.days_remaining is not None:
        seconds = int(forecast.days_remaining * DAY_S)
        families["remaining_seconds"].append(f"brimful_remaining_seconds{labels} {seconds}.0")


def _number(micro: int, unit: str) -> float:
    """Return millionths of a unit as they are written: whole units, and bytes for gigabytes."""
    return float(micro * _BYTES_PER_MICROGB) if unit == GB else micro / MICRO


def _with_unit(labels: str, unit: str) -> str:
    return f'{labels[:-1]},unit="{unit}"}}'


def _labels(**labels: str) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def family(name: str, says: str, lines: list[str]) -> str:
    """Return the text of a family of gauges."""
    return "\n".join((f"# HELP brimful_{name} {says}", f"# TYPE brimful_{name} gauge", *lines, ""))
