"""Comparison of what really happened to an account with what one or two configurations would have done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from alerts.forecast.advice import Advice, Terms, advise, whole_hours
from alerts.model.money import from_cents
from alerts.model.units import USD
from alerts.model.values import replace
from daemon.backtest.balance import SimulatedCharge
from daemon.backtest.replay import SHORT_POLLS, WARM_UP, FalseAlarm, Gauge, Replay, ReplayOutcome, is_false_alarm
from daemon.config.cron import gap_when_near
from daemon.config.model import AccountConfig, Config, TopupConfig, TopupMode
from daemon.schedule import longest_gap
from daemon.store.connection import Connection
from daemon.store.ledger_reads import charged_between
from daemon.store.past import episodes, notifications
from daemon.store.readings import history

PROVIDERS_LEAST_MICROUSD = 10_000_000
"""Smallest charge for an account without a top-up table."""
_HOUR = timedelta(hours=1)
Progress = Callable[[str, Decimal], None]
"""Called with a description of the work and the part that is done, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class RecordedOutcome:
    """What really happened. `charges` are the ledger's, `credits` all that the balance showed."""

    events: Mapping[str, int]
    """By type, without reminders."""
    reminders: int
    charges: Sequence[SimulatedCharge]
    credits: Sequence[SimulatedCharge]
    episodes: int
    false_alarms: Sequence[FalseAlarm]
    balance: Gauge


@dataclass(frozen=True, slots=True)
class Advised:
    """The advice, and the outcome of a replay with it."""

    advice: Advice
    outcome: ReplayOutcome


@dataclass(frozen=True, slots=True)
class Comparison:
    """The comparison of one account. `partial`: the stored readings begin later than asked for, at `since`."""

    account: str
    since: datetime
    until: datetime
    partial: bool
    happened: RecordedOutcome
    outcomes: Mapping[str, ReplayOutcome]
    """By the configuration's label, the present one first."""
    advised: Advised | None = None
    unit: str = USD
    """What the account's balance is in: only dollars are ever charged."""


@dataclass(frozen=True, slots=True)
class AdviceRequest:
    """The terms of an advice: the accepted chance of an empty balance in a month, and the most charges in one."""

    risk: Decimal
    charges_per_month: int
    delay: timedelta


def compare(
    connection: Connection,
    account: str,
    configs: Mapping[str, Config],
    since: datetime,
    until: datetime,
    asked: AdviceRequest | None,
    progress: Progress,
) -> Comparison | None:
    """Replay the account's readings of [since, until) through each configuration that has it; None without readings."""
    first = next(iter(history(connection, account, since, until)), None)
    if first is None:
        return None
    begin = max(since, first.first_at)
    outcomes: dict[str, ReplayOutcome] = {}
    for label, config in configs.items():
        if (found := config.accounts.get(account)) is not None:
            outcomes[label] = _replay(connection, config, found, begin, until, label, progress, bool(asked))
    own = next(iter(outcomes.values()))
    config = next(iter(configs.values()))
    advised = None
    unit = config.accounts[account].info.unit
    if asked is not None and unit == USD:
        advised = _advise(connection, config, config.accounts[account], own, until, asked, progress)
    poll = config.accounts[account].poll
    return Comparison(
        account=account,
        since=begin,
        until=own.until,
        partial=begin - since > SHORT_POLLS * longest_gap(poll, config.timezone, begin),
        happened=_happened(connection, account, own, gap_when_near(poll, config.timezone)),
        outcomes=outcomes,
        advised=advised,
        unit=unit,
    )


def _replay(
    connection: Connection,
    config: Config,
    account: AccountConfig,
    since: datetime,
    until: datetime,
    label: str,
    progress: Progress,
    keep_spend: bool,
) -> ReplayOutcome:
    begin = since - WARM_UP
    past = history(connection, account.id, begin, until)

    def report(at: datetime) -> None:
        progress(
            f"{account.id}: {label}", min(Decimal((at - begin) // _HOUR) / max((until - begin) // _HOUR, 1), Decimal(1))
        )

    return Replay(config, account, since, until, keep_spend=keep_spend).run(past, report)


def _happened(connection: Connection, account: str, own: ReplayOutcome, poll: timedelta) -> RecordedOutcome:
    charges = [
        SimulatedCharge(topup.paid_at, from_cents(topup.amount_cents))
        for topup in charged_between(connection, account, own.since, own.until)
        if topup.paid_at is not None
    ]
    stretches = episodes(connection, account, own.since, own.until)
    helped = [*charges, *own.credits]
    events = notifications(connection, account, own.since, own.until)
    return RecordedOutcome(
        events=Counter(event.type for event in events if not event.is_reminder),
        reminders=sum(event.is_reminder for event in events),
        charges=charges,
        credits=own.credits,
        episodes=len(stretches),
        false_alarms=[
            FalseAlarm(one.rule, one.opened_at, one.closed_at)
            for one in stretches
            if one.closed_at is not None and is_false_alarm(one.opened_at, one.closed_at, poll, helped)
        ],
        balance=own.recorded,
    )


def _advise(
    connection: Connection,
    config: Config,
    account: AccountConfig,
    own: ReplayOutcome,
    until: datetime,
    asked: AdviceRequest,
    progress: Progress,
) -> Advised | None:
    topup = account.topup
    terms = Terms(
        risk=asked.risk,
        charges_per_month=asked.charges_per_month,
        delay_hours=max(-(-asked.delay // _HOUR), 1),
        poll_hours=gap_when_near(account.poll, config.timezone) / _HOUR,
        min_charge_microusd=topup.min_charge_microusd if topup else PROVIDERS_LEAST_MICROUSD,
    )
    advice = advise(whole_hours(own.spent), terms)
    if advice is None:
        return None
    changed = replace(account, topup=advised_topup(topup, advice))
    outcome = _replay(connection, config, changed, own.since, until, "as advised", progress, False)
    return Advised(advice, outcome)


def advised_topup(topup: TopupConfig | None, advice: Advice) -> TopupConfig:
    """Return a top-up table with the advised numbers; caps that are too low for them are raised."""
    amount = advice.amount_microusd
    month = amount * max(advice.charges_most, 1)
    if topup is None:
        return TopupConfig(
            when_below_microusd=advice.threshold_microusd,
            amount_microusd=amount,
            customer="",
            max_charge_microusd=amount,
            max_per_day_microusd=2 * amount,
            max_per_month_microusd=month,
        )
    return replace(
        topup,
        when_below_microusd=advice.threshold_microusd,
        amount_microusd=amount,
        to_microusd=None,
        cover_days=None,
        max_charge_microusd=max(topup.max_charge_microusd, amount),
        max_per_day_microusd=max(topup.max_per_day_microusd, 2 * amount),
        max_per_month_microusd=max(topup.max_per_month_microusd, month),
        mode=TopupMode.CHARGE,
    )
