"""Falls: what money does not do by itself. Usage cannot lower what was ever credited, and little of it goes at once.

`funded` = balance + total charged = every dollar ever credited. A reading that shows less of it than was believed
before, or a drop far beyond what the burn explains, may be the provider's mistake: it is told, and nothing is charged
on it. Pure; money in micro-dollars.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from msgspec import Struct

from alerts.model.readings import Known

if TYPE_CHECKING:
    from alerts.rules.plausibility import Finding

CENT_MICROUSD = 10_000
"""What rounding may take from one term and not yet have given to the other."""
DROP_STANDS_AFTER = timedelta(minutes=15)
"""A drop that the burn does not explain is charged on once it was read again so much later."""
LEARNED_AFTER = timedelta(days=1)
"""What stood for so long and did not come back was burnt: as much may go at once again."""


class Falls(Struct, frozen=True, gc=False):
    """What is remembered of the highest `funded` that was believed, and of a drop that has to stand first."""

    funded_microusd: int | None = None
    """What was ever credited, as the first reading said it, and two in a row since then."""
    risen_microusd: int | None = None
    """What the last reading alone says beyond that: one that is too high by mistake holds up nothing for ever."""
    fallen_since: datetime | None = None
    """Since when readings have shown less than `funded_microusd`; None while they do not."""
    dropped_at: datetime | None = None
    """When the drop was read that does not stand yet; None where there is none."""
    dropped_from_microusd: int = 0
    dropped_to_microusd: int = 0
    stood_at: datetime | None = None
    """When a drop was last taken for what it was; None once it came back, or was learned."""
    stood_microusd: int = 0
    stood_used_microusd: int = 0
    """How much that drop was, and what was used in all then."""


NO_FALL = Falls()


def fold(
    falls: Falls,
    known: Known,
    drop: Finding | None,
    *,
    accepted_at: datetime | None = None,
    accepted_after: timedelta | None = None,
) -> Falls:
    """Return what is remembered after a believed reading; the same object where nothing changed.

    `drop`: what the burn does not explain, and a second read has confirmed. `accepted_at`: when a person last took a
    fall for true. `accepted_after`: how long a fall must stand to be taken for true without one; None is for ever.
    """
    if drop is None and falls.funded_microusd == known.metrics.funded_microusd and _is_plain(falls):
        return falls  # by far the most frequent
    funded = _fold_funded(falls, known, accepted_at, accepted_after)
    after = Falls(*funded, *_fold_drop(falls, known, drop), *_fold_stood(falls, known))
    return falls if after == falls else after


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
    """Return what was ever credited, what a single reading says beyond that, and since when less shows."""
    highest, funded = falls.funded_microusd, known.metrics.funded_microusd
    if funded is None:
        return highest, falls.risen_microusd, falls.fallen_since
    if highest is None:
        return funded, None, None
    if funded >= highest - CENT_MICROUSD:
        borne_out = highest if falls.risen_microusd is None else max(highest, min(funded, falls.risen_microusd))
        return borne_out, funded if funded > borne_out else None, None
    since = falls.fallen_since or known.at
    accepted = accepted_at is not None and accepted_at >= since
    stood = accepted_after is not None and known.at - since >= accepted_after
    return (funded, None, None) if accepted or stood else (highest, None, since)


def _fold_drop(falls: Falls, known: Known, drop: Finding | None) -> tuple[datetime | None, int, int]:
    if drop is not None:
        return known.at, drop.before, drop.after
    if falls.dropped_at is None or _came_back(falls, known) or stands(falls, known):
        return None, 0, 0
    return falls.dropped_at, falls.dropped_from_microusd, falls.dropped_to_microusd


def _fold_stood(falls: Falls, known: Known) -> tuple[datetime | None, int, int]:
    """Return when a drop was taken for what it was, how much it was, and what was used in all then."""
    used = _used(known)
    if stands(falls, known) and used is not None:
        return known.at, falls.dropped_from_microusd - falls.dropped_to_microusd, used
    undone = used is not None and 2 * (falls.stood_used_microusd - used) > falls.stood_microusd
    if falls.stood_at is None or undone or learned(falls, known) is not None:
        return None, 0, 0
    return falls.stood_at, falls.stood_microusd, falls.stood_used_microusd


def _used(known: Known) -> int | None:
    """Return what was used of all that was ever credited, up to a constant: no credit changes it."""
    available = known.metrics.available_microusd
    return None if available is None else (known.metrics.funded_microusd or 0) - available


def learned(falls: Falls, known: Known) -> int | None:
    """Return how much went at once in a drop that a reading shows a day later still; None where there is none."""
    used = _used(known)
    if falls.stood_at is None or used is None or known.at - falls.stood_at < LEARNED_AFTER:
        return None
    return None if 2 * (falls.stood_used_microusd - used) > falls.stood_microusd else falls.stood_microusd


def _came_back(falls: Falls, known: Known) -> bool:
    available = known.metrics.available_microusd
    return available is not None and 2 * available > falls.dropped_from_microusd + falls.dropped_to_microusd


def stands(falls: Falls, known: Known) -> bool:
    """Whether a reading shows the drop long enough after it was read first: then it is taken for what it was."""
    if falls.dropped_at is None or known.metrics.available_microusd is None or _came_back(falls, known):
        return False
    return known.at - falls.dropped_at >= DROP_STANDS_AFTER
