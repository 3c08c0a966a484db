"""What stops charging, and what a person is told then: changes that a step carries with it."""

from __future__ import annotations

from datetime import datetime, timedelta

from alerts.model.instants import to_ms
from alerts.model.reasons import ReviewReason, SuspendedReason
from daemon.store.topup_rows import EVERYWHERE, Stop, StopKind, Topup
from daemon.stripe.declines import Decline, DeclineKind
from daemon.topups.policy import messages
from daemon.topups.policy.gate import ENDS_BY_ITSELF, Gate, GateName, Verdict
from daemon.topups.policy.step import Account, Change, Count, NotifyOnce, RememberCard, SetStop

PROBE_EVERY = timedelta(minutes=10)
"""How often Stripe is asked anew while the breaker is open."""


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
    reason: SuspendedReason,
    message: str,
    window: str,
    topup: Topup | None = None,
    fingerprint: str | None = None,
) -> list[Change]:
    """Stop charging the account until a person resumes it. The card of that fingerprint is not tried again."""
    stop = Stop(account.id, StopKind.SUSPENSION, reason, message, now, topup.id if topup else None, fingerprint)
    named = account.names_method
    draft = messages.suspended(account.id, account.provider, now, reason, message, window, topup, named=named)
    remembered: list[Change] = [RememberCard(account.id, fingerprint, reason)] if fingerprint else []
    return [*remembered, SetStop(stop, draft)]


def card_suspension(account: Account, now: datetime, topup: Topup, decline: Decline) -> list[Change]:
    """Stop charging the account because of its card, and remember the card by the bank's code."""
    card = decline.fingerprint or topup.fingerprint
    reason = (
        SuspendedReason.AUTHENTICATION_REQUIRED
        if decline.kind is DeclineKind.AUTHENTICATION
        else SuspendedReason.DECLINED
    )
    remembered: list[Change] = [RememberCard(account.id, card, decline.code)] if card else []
    message = f"{decline.code}: {decline.message}"
    return [*remembered, *suspension(account, now, reason, message, topup.id, topup, card)]


def account_review(account: Account, now: datetime, reason: ReviewReason, message: str, window: str) -> Change:
    """Stop charging the account until a person has looked. After a resume it is told anew."""
    if account.resumed_at is not None:
        window = f"{window}:{to_ms(account.resumed_at)}"
    draft = messages.account_needs_review(account.id, account.provider, now, reason, message, window)
    return SetStop(Stop(account.id, StopKind.SUSPENSION, reason, message, now), draft)


def customer_gone(account: Account, now: datetime, customer: str, message: str) -> Change:
    """Stop charging the account until a person has acknowledged that an earlier customer is gone."""
    window = customer if account.resumed_at is None else f"{customer}:{to_ms(account.resumed_at)}"
    draft = messages.customer_gone(account.id, account.provider, now, customer, message, window)
    return SetStop(Stop(account.id, StopKind.SUSPENSION, SuspendedReason.CUSTOMER_GONE, message, now), draft)


def returned(
    account: Account, now: datetime, topup: Topup, reason: SuspendedReason, message: str, window: str, cents: int | None
) -> Change:
    """Suspend the account of a charge that was refunded or disputed: told even where it stands suspended already."""
    stop = Stop(account.id, StopKind.SUSPENSION, reason, message, now, topup.id)
    draft = messages.returned(topup, account.provider, now, reason, message, window, cents)
    return SetStop(stop, draft, always=True)


def breaker(now: datetime, message: str) -> Stop:
    """The stop over all accounts while Stripe refuses the key."""
    return Stop(
        EVERYWHERE, StopKind.BREAKER, SuspendedReason.STRIPE_CREDENTIALS, message, now, probe_at=now + PROBE_EVERY
    )


def daily_notice(account: Account, now: datetime, reason: SuspendedReason, message: str) -> Change:
    """Say that an account is not charged, once a day: for what ends by itself."""
    day = messages.day_of(now)
    named = account.names_method
    draft = messages.suspended(account.id, account.provider, now, reason, message, day, named=named)
    return NotifyOnce(account.id, reason, day, draft)


def review_notice(account: Account, now: datetime, reason: str, message: str, since: datetime | None = None) -> Change:
    """Ask a person to look, once, and stop nothing: of what comes again, once for each day that it began."""
    window = "" if since is None else messages.day_of(since)
    named = f"{reason}:{window}" if window else reason
    draft = messages.account_needs_review(account.id, account.provider, now, reason, message, named)
    return NotifyOnce(account.id, reason, window, draft)


def _since(gate: Gate) -> datetime | None:
    since = gate.numbers.get("since")
    return since if isinstance(since, datetime) else None


def refusal(account: Account, now: datetime, verdict: Verdict) -> list[Change]:
    """Record the first failing gate with its numbers, and send its event, if it has one."""
    gate, config = verdict.refused, account.config
    assert gate is not None, "only a refusal is recorded"
    assert config is not None, "only an account with a top-up is judged"
    is_error = gate.name not in ENDS_BY_ITSELF
    changes: list[Change] = [Count(account.id, gate.name, gate.detail, verdict.encode(), is_error)]
    if gate.name in (GateName.CAP_DAY, GateName.CAP_MONTH):
        needed = config.amount_microusd or config.min_charge_microusd
        draft = messages.capped(account.id, account.provider, now, gate, config.customer, needed)
        changes.append(NotifyOnce(account.id, gate.name, messages.window_of(gate), draft))
    elif gate.name is GateName.BRAKE:
        changes.append(account_review(account, now, ReviewReason.BURN_BRAKE, gate.detail, messages.day_of(now)))
    elif gate.name is GateName.POSSIBLE:
        changes.append(review_notice(account, now, ReviewReason.CREDITS_FELL, gate.detail, _since(gate)))
    elif gate.name in NOTICES:
        changes.append(daily_notice(account, now, NOTICES[gate.name], gate.detail))
    return changes
