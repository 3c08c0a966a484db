"""The credit watch: what a reading, time or a person says of a paid top-up."""

from __future__ import annotations

from alerts.model.readings import Known
from daemon.store.topup_rows import Bookmark, State
from daemon.topups.policy import credit, messages
from daemon.topups.policy.builder import Builder
from daemon.topups.policy.step import Acknowledged, ClearBookmark, Reading, Reread, SetBookmark, Time


def credit_by_reading(b: Builder, fact: Reading) -> None:
    """Judge the credit by an accepted reading; seen in two reads, the slot is free again and that is told."""
    assert b.snapshot.readings is not None, "a reading came"
    topup, known = b.topup, b.snapshot.readings.known
    b.next_at = topup.next_at  # a reading that says nothing new moves no date
    if credit.is_seen(topup, known.metrics):
        if fact.again is None:
            b.command = Reread()
        elif isinstance(fact.again, Known) and credit.is_seen(topup, fact.again.metrics):
            _credited(b, known)
        return  # one false reading must not free the slot
    if topup.untold:
        b.next_at = None
        b.set(untold=False, reading_at=known.at)
        b.emit(messages.succeeded)
        return
    balance, low = known.metrics.balance_microusd, topup.low_balance_microusd
    if topup.funded_before_microusd is None and balance is not None and (low is None or balance < low):
        b.set(low_balance_microusd=balance)
    if credit.is_missing(topup, known.at):
        _not_credited(b)


def _credited(b: Builder, known: Known) -> None:
    """The credit is seen. One that the ledger has just learned of, and that was there already, is no news."""
    quiet, b.next_at = b.topup.untold, None
    seen = known.metrics.funded_microusd or known.metrics.balance_microusd
    reason = "the credit was seen already" if quiet else "the credit is seen"
    b.to(State.CREDITED, reason, credited_at=known.at, credited_microusd=seen, untold=False)
    if not quiet:
        b.emit(messages.credited, known.at)
        b.changes.append(ClearBookmark(Bookmark.CREDIT_UNREAD.of(b.topup.id)))


def watch_credit(b: Builder, fact: Time) -> None:
    """Warn when the credit is 30 minutes late; after two hours wait for a reading that says whether it came.

    The first one that shows none tells it. Without any for 30 minutes it is told that nobody knows.
    """
    topup, now, since = b.topup, b.now, b.snapshot.unread_since
    if topup.paid_at is None or topup.untold:
        return
    if not credit.is_missing(topup, now):
        if now - topup.paid_at >= credit.WARN_AFTER and topup.warned_at is None:
            b.set(warned_at=now)
        return
    if since is None:
        b.changes.append(SetBookmark(Bookmark.CREDIT_UNREAD.of(topup.id), now))
        b.next_at = now + credit.AWAIT_READING
    elif now - since < credit.AWAIT_READING:
        b.next_at = since + credit.AWAIT_READING
    elif _was_away(b):
        b.next_at = now + credit.POLLED_WITHIN
    else:
        _not_credited(b, unread=True)


def _was_away(b: Builder) -> bool:
    """Whether nobody looked for a while, and nobody has tried to read the account since."""
    if b.topup.next_at is None or b.now - b.topup.next_at <= credit.POLLED_WITHIN:
        return False
    outage_at = b.snapshot.outage_at
    return outage_at is None or b.now - outage_at > credit.POLLED_WITHIN


def _not_credited(b: Builder, *, unread: bool = False) -> None:
    b.next_at = None
    b.set(told_at=b.now, warned_at=b.topup.warned_at or b.now)
    b.emit(messages.not_credited, unread=unread)
    b.changes.append(ClearBookmark(Bookmark.CREDIT_UNREAD.of(b.topup.id)))


def acknowledge_paid(b: Builder, fact: Acknowledged) -> None:
    """A person says that it is credited."""
    b.to(State.CREDITED, "acknowledged by a person", credited_at=b.now, told_at=None)
    b.emit(messages.credited)


def acknowledge_late(b: Builder, fact: Acknowledged) -> None:
    """A person has seen that the credit which came late is this charge's, and not another's."""
    b.set(reason="the credit that came late is confirmed by a person", told_at=None)
