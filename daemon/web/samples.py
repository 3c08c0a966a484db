"""The figures of every account as `/metrics` tells them: written from what is remembered, thousands at once.

A family is a name, a sentence and a line an account. Forecasts are kept until the next reading. The rest of the
exposition is `daemon.web.metrics`.
Source: Prometheus' text format 0.0.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from msgspec import Struct

from alerts.forecast.burn import burn
from alerts.forecast.memory import BurnMemory
from alerts.forecast.runway import days_remaining
from alerts.model.money import MICRO
from alerts.model.readings import Known, Metrics
from alerts.model.specs import Budget, RuleIndex
from alerts.rules.state import AccountState
from daemon.config.model import Config
from daemon.status.overview import spent_of

_BY_READING = (
    ("balance_usd", "Balance by the last believed reading.", "balance_microusd"),
    ("uncharged_usd", "Accrued and not yet deducted.", "uncharged_microusd"),
    ("available_usd", "Balance less what is accrued and not yet deducted.", "available_microusd"),
    ("used_gb", "Volume used.", "used_microgb"),
    ("effective_gb", "Volume used and reserved: what the quota is enforced on.", "effective_microgb"),
    ("limit_gb", "The quota.", "limit_microgb"),
)
_FAMILIES = (
    *((name, says) for name, says, _ in _BY_READING),
    ("burn_usd_per_day", "What a day costs, by the basis that `status` names."),
    ("days_remaining", "How many days the available balance lasts, from the last believed reading."),
    ("reading_age_seconds", "Age of the last believed reading."),
    ("reading_ok", "1 where the last poll brought a reading that is believed, 0 where it did not."),
    ("alert_open", "1 for each open episode."),
    ("budget_spent_usd", "Spent of a budget in its period."),
    ("budget_limit_usd", "A budget's limit."),
    ("budget_spent_gb", "Used of a budget in its period."),
    ("budget_limit_gb", "A budget's limit."),
)


@dataclass(frozen=True, slots=True)
class Taken:
    """What was remembered at one instant: by account, its state and whether its last poll brought a reading."""

    now: datetime
    states: Mapping[str, AccountState]
    readable: Mapping[str, bool]


class _Forecast(Struct, gc=False):
    """What follows from one reading and the memory of its burn."""

    metrics: Metrics
    memory: BurnMemory
    burn_usd_per_day: str | None
    days_remaining: str | None


class Samples:
    """One for the process: what it keeps saves a scrape the forecasts of accounts that were not read since."""

    def __init__(self, config: Config) -> None:
        self._accounts = config.accounts
        self._budgets = RuleIndex([rule for rule in config.rules if isinstance(rule, Budget)])
        self._forecasts: dict[str, _Forecast] = {}

    def text(self, taken: Taken) -> str:
        """Return the samples of all accounts; what is not known has none. For one thread at a time."""
        families: dict[str, list[str]] = {name: [] for name, _ in _FAMILIES}
        for account in self._accounts:
            state = taken.states.get(account)
            if state is None:
                continue
            if state.last is not None:
                self._add_reading(families, account, state, state.last)
                age_s = max(int((taken.now - state.last.at).total_seconds()), 0)
                families["reading_age_seconds"].append(f'brimful_reading_age_seconds{{account="{account}"}} {age_s}.0')
                self._add_budgets(families, account, state, state.last, taken.now)
            ok = taken.readable.get(account)
            if ok is not None:
                families["reading_ok"].append(f'brimful_reading_ok{{account="{account}"}} {int(ok)}.0')
            for rule, memory in state.rules.items():
                if memory.episode is not None:
                    labels = _labels(account=account, rule=rule, severity=memory.episode.severity.value)
                    families["alert_open"].append(f"brimful_alert_open{labels} 1.0")
        return "".join(_family(name, says, families[name]) for name, says in _FAMILIES)

    def _add_reading(self, families: Mapping[str, list[str]], account: str, state: AccountState, known: Known) -> None:
        metrics, labels = known.metrics, f'{{account="{account}"}}'
        for name, _, attribute in _BY_READING:
            value = getattr(metrics, attribute)
            if value is not None:
                families[name].append(f"brimful_{name}{labels} {value / MICRO!r}")
        kept = self._forecasts.get(account)
        if kept is None or kept.metrics is not metrics or kept.memory is not state.burn:
            kept = self._forecasts[account] = _forecast(state, known)
        for name in ("burn_usd_per_day", "days_remaining"):
            said = getattr(kept, name)
            if said is not None:
                families[name].append(f"brimful_{name}{labels} {said}")

    def _add_budgets(
        self, families: Mapping[str, list[str]], account: str, state: AccountState, known: Known, now: datetime
    ) -> None:
        for rule in self._budgets.covering(account):
            assert isinstance(rule, Budget)
            found = spent_of(rule, state, known.metrics, now)
            if found is None:
                continue
            unit = "gb" if found.volume else "usd"
            labels = _labels(account=account, rule=rule.id, period=rule.period.value)
            for name, value in (("spent", found.amount), ("limit", found.limit)):
                families[f"budget_{name}_{unit}"].append(f"brimful_budget_{name}_{unit}{labels} {value / MICRO!r}")


def _forecast(state: AccountState, known: Known) -> _Forecast:
    metrics = known.metrics
    found, available = burn(state.burn, metrics, known.at), metrics.available_microusd
    if found is None:
        return _Forecast(metrics, state.burn, None, None)
    days = None if available is None else days_remaining(available, found.microusd_per_day)
    said = None if days is None else str(days)
    return _Forecast(metrics, state.burn, repr(found.microusd_per_day / MICRO), said)


def _labels(**labels: str) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _family(name: str, says: str, lines: list[str]) -> str:
    return "\n".join((f"# HELP brimful_{name} {says}", f"# TYPE brimful_{name} gauge", *lines, ""))
