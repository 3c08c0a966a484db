"""What stops charging, and what a person is told then: changes that a step carries with it."""

from __future__ import annotations

from datetime import datetime

from alerts.model.instants import to_ms
from alerts.model.reasons import ReviewReason, SuspendedReason
from daemon.store.topup_rows import Stop, StopKind, Topup
from daemon.stripe.declines import Decline, DeclineKind
from daemon.topups.policy import messages
from daemon.topups.policy.gate import ENDS_BY_ITSELF, GateName, Verdict
from daemon.topups.policy.step import Account, Change, Count, NotifyOnce, SetStop

NOTICES = {
    GateName.CLOCK: SuspendedReason.CLOCK_BEHIND_LEDGER,
    GateName.CARD: SuspendedReason.CARD,
    GateName.SIZE: SuspendedReason.SIZE,
    GateName.TWIN: SuspendedReason.TWIN,
    GateName.STRIPE_CLOCK: SuspendedReason.STRIPE_CLOCK,
    GateName.DATABASE: SuspendedReason.DATABASE,
}
"""The gates of which a person is told once a day."""


def suspension(
    account: Account,
    now: datetime,
    reason: ReviewReason | SuspendedReason,
    message: str,
    window: str,
    topup: Topup | None = None,
    *,
    card: str | None = None,
    code: str = "",
    subject: str | None = None,
) -> Change:
    """Stop charging the account until a person resumes it. The `card` of that fingerprint is not tried again."""
    stop = Stop(account.id, StopKind.SUSPENSION, reason, message, now, topup.id if topup else None, card)
    draft = messages.account_stopped(account, now, reason, message, window, topup, subject=subject)
    return SetStop(stop, draft, code=code)


def card_suspension(account: Account, now: datetime, topup: Topup, decline: Decline) -> Change:
    """Stop charging the account because of its card, and remember the card by the bank's code."""
    card = decline.fingerprint or topup.fingerprint
    is_authentication = decline.kind is DeclineKind.AUTHENTICATION
    reason = SuspendedReason.AUTHENTICATION_REQUIRED if is_authentication else SuspendedReason.DECLINED
    message = f"{decline.code}: {decline.message}"
    return suspension(account, now, reason, message, topup.id, topup, card=card, code=decline.code)


def account_stop(
    account: Account,
    now: datetime,
    reason: ReviewReason | SuspendedReason,
    message: str,
    window: str,
    subject: str | None = None,
) -> Change:
    """Stop charging the account until a person has looked. After a resume it is told anew."""
    if account.resumed_at is not None:
        window = f"{window}:{to_ms(account.resumed_at)}"
    return suspension(account, now, reason, message, window, subject=subject)


def daily_notice(account: Account, now: datetime, reason: SuspendedReason, message: str) -> Change:
    """Say that an account is not charged, once a day: for what ends by itself."""
    day = _day(now)
    return NotifyOnce(reason, day, messages.account_stopped(account, now, reason, message, day))


def review_notice(account: Account, now: datetime, reason: str, message: str, since: datetime | None = None) -> Change:
    """Ask a person to look, once, and stop nothing: of what comes again, once for each day that it began."""
    window = "" if since is None else _day(since)
    named = f"{reason}:{window}" if window else reason
    return NotifyOnce(reason, window, messages.account_stopped(account, now, reason, message, named))


def _day(at: datetime) -> str:
    return f"{at:%Y-%m-%d}"


def refusal(account: Account, now: datetime, verdict: Verdict) -> list[Change]:
    """Record the first failing gate with its numbers, and send its event, if it has one."""
    gate, config = verdict.refused, account.config
    assert gate is not None, "only a refusal is recorded"
    assert config is not None, "only an account with a top-up is judged"
    count = Count(account.id, gate.name, gate.detail, verdict.encode(), gate.name not in ENDS_BY_ITSELF)
    if gate.name in (GateName.CAP_DAY, GateName.CAP_MONTH, GateName.CAP_DAY_TOTAL):
        needed = config.amount_microusd or config.min_charge_microusd
        draft = messages.capped(account, now, gate, config.customer, needed)
        return [count, NotifyOnce(gate.name, messages.window_of(gate), draft)]
    if gate.name is GateName.BRAKE:
        return [count, account_stop(account, now, ReviewReason.BURN_BRAKE, gate.detail, _day(now))]
    if gate.name is GateName.POSSIBLE:
        since = gate.numbers.get("since")
        began = since if isinstance(since, datetime) else None
        return [count, review_notice(account, now, ReviewReason.CREDITS_FELL, gate.detail, began)]
    if gate.name in NOTICES:
        return [count, daily_notice(account, now, NOTICES[gate.name], gate.detail)]
    return [count]
