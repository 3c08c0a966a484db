"""Falls: a lower `funded`, or a drop of the available balance that the burn does not explain. Pure; micro-dollars.

`funded` = balance + total charged = every dollar ever credited, which usage cannot lower. Both kinds of falls may be
the provider's mistake: they are notified, and nothing is charged because of them.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from msgspec import Struct

from alerts.model.readings import Known

if TYPE_CHECKING:
    from alerts.rules.plausibility import Finding

CENT_MICROUSD = 10_000
"""Tolerance for rounding: a cent may be missing in one term and not yet be in the other."""
DROP_STANDS_AFTER = timedelta(minutes=15)
"""An unexplained drop is accepted, and charged on, if it still shows so much later."""
LEARNED_AFTER = timedelta(days=1)
"""An accepted drop that still shows after this was burnt: another as large is plausible."""


class Falls(Struct, frozen=True, gc=False):
    """The highest accepted `funded`, and a drop that must still show later to be accepted."""

    funded_microusd: int | None = None
    """The highest `funded` of the first reading, or of two readings in a row."""
    risen_microusd: int | None = None
    """A higher `funded` in the last reading alone: not accepted yet, since one wrong answer must not block for ever."""
    fallen_since: datetime | None = None
    """Since when readings show less than `funded_microusd`; None while they do not."""
    dropped_at: datetime | None = None
    """When the drop that is not accepted yet was read; None if there is none."""
    dropped_from_microusd: int = 0
    dropped_to_microusd: int = 0
    stood_at: datetime | None = None
    """When a drop was last accepted; None once it was undone, or counted as burnt."""
    stood_microusd: int = 0
    stood_used_microusd: int = 0
    """The size of that drop, and all usage at that time."""


NO_FALL = Falls()


def fold(
    falls: Falls,
    known: Known,
    drop: Finding | None,
    *,
    accepted_at: datetime | None = None,
    accepted_after: timedelta | None = None,
) -> Falls:
    """Return the falls after an accepted reading; the same object if nothing changed.

    `drop`: the unexplained drop that a second read confirmed. `accepted_at`: when a person last accepted a fall.
    `accepted_after`: how long a fall must show to be accepted without a person; None: never.
    """
    if drop is None and falls.funded_microusd == known.metrics.funded_microusd and _is_plain(falls):
        return falls  # by far the most frequent case
    dropped = (drop.before, drop.after) if drop is not None else _contradiction(falls, known)
    funded = _fold_funded(falls, known, accepted_at, accepted_after)
    after = Falls(*funded, *_fold_drop(falls, known, dropped), *_fold_stood(falls, known))
    return falls if after == falls else after


def _contradiction(falls: Falls, known: Known) -> tuple[int, int] | None:
    """Return from what to what available fell where `funded` is below what the reading before alone showed.

    One of the two is wrong, and which one is not known yet; that they are both above what was accepted is.
    """
    funded, available = known.metrics.funded_microusd, known.metrics.available_microusd
    if falls.risen_microusd is None or funded is None or available is None:
        return None
    missing, is_new = falls.risen_microusd - funded, funded > (falls.funded_microusd or 0) + CENT_MICROUSD
    return (available + missing, available) if is_new and missing > CENT_MICROUSD else None


def _is_plain(falls: Falls) -> bool:
    return (
        falls.fallen_since is None
        and falls.dropped_at is None
        and falls.risen_microusd is None
        and falls.stood_at is None
    )


def _fold_funded(
    falls: Falls, known: Known, accepted_at: datetime | None, accepted_after: timedelta | None
) -> tuple[int | None, int | None, datetime | None]:
    """Return the new `funded_microusd`, `risen_microusd` and `fallen_since`."""
    highest, funded = falls.funded_microusd, known.metrics.funded_microusd
    if funded is None:
        return highest, falls.risen_microusd, falls.fallen_since
    if highest is None:
        return funded, None, None
    if funded >= highest - CENT_MICROUSD and not _still_at_zero(falls, known):
        confirmed = highest if falls.risen_microusd is None else max(highest, min(funded, falls.risen_microusd))
        return confirmed, funded if funded > confirmed else None, None
    since = falls.fallen_since or known.at
    accepted = accepted_at is not None and accepted_at >= since
    stood = accepted_after is not None and known.at - since >= accepted_after
    return (funded, None, None) if accepted or stood else (highest, None, since)


def _still_at_zero(falls: Falls, known: Known) -> bool:
    """Whether a fall goes on though `funded` is back: a balance that is stuck at zero lets all usage raise `funded`."""
    return falls.fallen_since is not None and known.metrics.balance_microusd == 0


def _fold_drop(falls: Falls, known: Known, dropped: tuple[int, int] | None) -> tuple[datetime | None, int, int]:
    if dropped is not None:
        return known.at, *dropped
    if falls.dropped_at is None or _came_back(falls, known) or accepts_drop(falls, known):
        return None, 0, 0
    return falls.dropped_at, falls.dropped_from_microusd, falls.dropped_to_microusd


def _fold_stood(falls: Falls, known: Known) -> tuple[datetime | None, int, int]:
    """Return the new `stood_at`, `stood_microusd` and `stood_used_microusd`."""
    used = _used(known)
    if accepts_drop(falls, known) and used is not None:
        return known.at, falls.dropped_from_microusd - falls.dropped_to_microusd, used
    undone = used is not None and 2 * (falls.stood_used_microusd - used) > falls.stood_microusd
    if falls.stood_at is None or undone or learned(falls, known) is not None:
        return None, 0, 0
    return falls.stood_at, falls.stood_microusd, falls.stood_used_microusd


def _used(known: Known) -> int | None:
    """Return all usage so far, up to a constant: credits do not change it."""
    available = known.metrics.available_microusd
    return None if available is None else (known.metrics.funded_microusd or 0) - available


def learned(falls: Falls, known: Known) -> int | None:
    """Return the size of an accepted drop that still shows a day later, in micro-dollars; None if there is none."""
    used = _used(known)
    if falls.stood_at is None or used is None or known.at - falls.stood_at < LEARNED_AFTER:
        return None
    return None if 2 * (falls.stood_used_microusd - used) > falls.stood_microusd else falls.stood_microusd


def _came_back(falls: Falls, known: Known) -> bool:
    available = known.metrics.available_microusd
    return available is not None and 2 * available > falls.dropped_from_microusd + falls.dropped_to_microusd


def accepts_drop(falls: Falls, known: Known) -> bool:
    """Whether a reading still shows the drop `DROP_STANDS_AFTER` after it was read first."""
    if falls.dropped_at is None or known.metrics.available_microusd is None or _came_back(falls, known):
        return False
    return known.at - falls.dropped_at >= DROP_STANDS_AFTER
