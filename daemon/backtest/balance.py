"""The simulated balance of one account: the recorded credits are replaced by the charges of a configuration.

The gates are those of the real top-ups, with simulated inputs. A charge succeeds at once and shows in the balance
`delay` later. Spend is as recorded: a pause of the provider's service at zero is not simulated. Money in micro-dollars.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter
from zoneinfo import ZoneInfo

from alerts.forecast.memory import BurnMemory
from alerts.forecast.pace import burn_now
from alerts.model.readings import Known, Metrics
from alerts.rules.state import NO_TOPUP, TopupStatus
from daemon.config.model import TopupConfig, TopupMode
from daemon.store.topup_rows import Spend
from daemon.topups.policy.gates import RELEASED_FOR, GateInputs, evaluate_gates

CREDIT_DELAY = timedelta(minutes=15)
"""Default time from a charge until it shows in the balance."""
PERSON_AFTER = timedelta(hours=12)
"""How long a charge that the spend-rate guard holds back waits for a person."""
_MONTHS_COUNTED = timedelta(days=32)
_BUT_BALANCE = attrgetter(*(name for name in Metrics.__struct_fields__ if name != "balance_microusd"))
"""All fields but the first: creating `Metrics` from them costs a third of `dataclasses.replace`."""
_LEAST_CREDIT_MICROUSD = 10_000
"""A cent: a smaller rise is the provider's rounding, not a credit."""


@dataclass(frozen=True, slots=True)
class SimulatedCharge:
    at: datetime
    amount_microusd: int


class SimulatedBalance:
    """What the account's balance would have been. Without a `config` the recorded balance stays."""

    def __init__(self, config: TopupConfig | None, zone: ZoneInfo, delay: timedelta) -> None:
        self._config = None if config is None or config.mode is TopupMode.OFF else config
        self._zone = zone
        self._delay = delay
        self._seen: Metrics | None = None
        self._shifted: tuple[Metrics, int, Metrics] | None = None
        self._removed = 0
        self._added = 0
        self._waiting: list[tuple[datetime, int]] = []
        self._held_since: datetime | None = None
        self._refused: str | None = None
        self.charges: list[SimulatedCharge] = []
        self.credits: list[SimulatedCharge] = []
        """The credits of the recorded history."""
        self.refusals: Counter[str] = Counter()
        """How often each gate began to hold back a needed charge, by its name."""

    def simulate(self, at: datetime, metrics: Metrics, *, counting: bool) -> Metrics:
        """Return the simulated metrics; without `counting` the recorded ones."""
        rise = self._credited(metrics)
        if rise and counting:
            self.credits.append(SimulatedCharge(at, rise))
            self._removed += rise
        self._seen = metrics
        while self._waiting and self._waiting[0][0] <= at:
            self._added += self._waiting.pop(0)[1]
        shift = self._added - self._removed
        if self._config is None or not shift or metrics.balance_microusd is None:
            return metrics
        kept = self._shifted
        if kept is not None and kept[0] is metrics and kept[1] == shift:
            return kept[2]
        shifted = Metrics(metrics.balance_microusd + shift, *_BUT_BALANCE(metrics))
        self._shifted = (metrics, shift, shifted)
        return shifted

    def needs_charge(self, metrics: Metrics) -> bool:
        """Whether the balance is below the threshold, so that no poll may be skipped."""
        available = metrics.available_microusd
        return self._config is not None and available is not None and available < self._config.when_below_microusd

    def topup_status(self) -> TopupStatus:
        """Return the status of the account's top-ups, for `balance.low`."""
        if self._config is None:
            return NO_TOPUP
        return TopupStatus("paid", True) if self._waiting else TopupStatus("idle", False)

    def charge_if_due(self, known: Known, memory: BurnMemory) -> None:
        """Charge if the gates allow it, as the real top-ups do after an accepted reading."""
        config, available = self._config, known.metrics.available_microusd
        if config is None or available is None or available >= config.when_below_microusd:
            self._refused = None
            return
        if self._waiting:
            return
        now = known.at
        verdict = evaluate_gates(
            GateInputs(
                now=now,
                zone=self._zone,
                config=config,
                stops=(),
                ledger_at=None,
                metrics=known.metrics,
                read_at=now,
                second=known.metrics,
                open_topups={},
                last_attempt_at=self.charges[-1].at if self.charges else None,
                spends=self._spends(now),
                burn=burn_now(memory, known.metrics, now),
                released=self._released(now),
            )
        )
        refused = verdict.refused
        if refused is None:
            self._refused = None
            self.charges.append(SimulatedCharge(now, verdict.amount_microusd))
            self._waiting.append((now + self._delay, verdict.amount_microusd))
        elif refused.name != self._refused:
            self._refused = refused.name
            self.refusals[refused.name] += 1
            if refused.name == "brake":
                self._held_since = now

    def _credited(self, metrics: Metrics) -> int:
        """Return the credit since the previous reading: the growth of funded, else a rise of the balance."""
        before = self._seen
        if before is None:
            return 0
        now, then = metrics.funded_microusd, before.funded_microusd
        if now is None or then is None:
            now, then = metrics.balance_microusd, before.balance_microusd
        if now is None or then is None or now - then < _LEAST_CREDIT_MICROUSD:
            return 0
        return now - then

    def _spends(self, now: datetime) -> list[Spend]:
        recent = [charge for charge in self.charges[-400:] if now - charge.at <= _MONTHS_COUNTED]
        return [Spend(str(charge.at), charge.amount_microusd, charge.at, charge.at, False) for charge in recent]

    def _released(self, now: datetime) -> bool:
        if self._held_since is None:
            return False
        return PERSON_AFTER <= now - self._held_since < PERSON_AFTER + RELEASED_FOR
