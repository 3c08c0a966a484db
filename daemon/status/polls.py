"""When an account is polled next that is polled by how long it lasts, and why: for whoever polls, and whoever asks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from alerts.model.polling import AutoPoll
from alerts.model.specs import RuleSpec
from alerts.rules.next_poll import NextPoll, PollTerms, last_polled_at, next_poll
from alerts.rules.state import AccountState
from daemon.config.model import AccountConfig, Config, TopupMode

_WORDS = {timedelta(minutes=1): "each minute", timedelta(hours=1): "hourly", timedelta(days=1): "daily"}


def next_poll_of(
    account: AccountConfig, rules: Sequence[RuleSpec], state: AccountState, polled_at: datetime | None = None
) -> NextPoll | None:
    """Return the next poll of an account without a cron, None of any other. `rules`: those that cover it.

    `polled_at`: when it was asked last, where its state does not tell.
    """
    if not isinstance(account.poll, AutoPoll):
        return None
    topup = account.topup
    below = topup.when_below_microusd if topup is not None and topup.mode is not TopupMode.OFF else None
    at = last_polled_at(state) if polled_at is None else polled_at
    return next_poll(account.poll, PollTerms(account.info, tuple(rules), below), state, at)


def planned(config: Config, account: AccountConfig, state: AccountState) -> NextPoll | None:
    """Return the same as far as its state tells, which knows the rules where this process has judged by them."""
    if isinstance(account.poll, str):
        return None
    rules = state.evaluated_by
    if rules is None:
        rules = tuple(rule for rule in config.rules if rule.covers(account.id))
    return next_poll_of(account, rules, state)


def poll_words(found: NextPoll) -> str:
    """Return how often an account is polled, and why: "auto: hourly, 38 days to low"."""
    seconds = round(found.interval.total_seconds())
    often = f"every {seconds} s" if seconds < 120 else f"every {seconds // 60} min"
    return f"auto: {_WORDS.get(found.interval, often)}, {found.why}"


def next_poll_words(found: NextPoll, now: datetime, zone: ZoneInfo) -> str:
    """Return the same with the time of the next poll."""
    at = max(found.at, now).astimezone(zone)
    return f"{poll_words(found)}; next at {at:%H:%M:%S}"
