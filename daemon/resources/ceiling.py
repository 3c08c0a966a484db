"""The file's ceiling for money: what a top-up made by API may charge, how it begins, what of a change is told. Pure.

The ceiling is a bound, whenever it was lowered: it is applied to a request, and again wherever a top-up is judged.
Money in micro-dollars.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from alerts.model.accounts import AccountInfo
from alerts.model.events import EventDraft, EventType, JsonValue, Severity
from alerts.model.instants import rfc3339
from alerts.model.money import format_usd, to_number
from alerts.model.reasons import TopupLimit
from alerts.model.values import replace
from daemon.config.model import AccountConfig, ApiConfig, ManagedBy, TopupConfig, TopupMode
from daemon.resources.model import BodyFault

OVER_THE_CEILING = "over-the-ceiling"
"""The id of a fault, and the `type` of the answer 422."""
_BOUNDED = {
    TopupLimit.MAX_CHARGE: "max_charge_microusd",
    TopupLimit.MAX_PER_DAY: "max_per_day_microusd",
    TopupLimit.MAX_PER_MONTH: "max_per_month_microusd",
}
"""The keys that the ceiling bounds, with the field of the same name in both."""
_LIMITS = {
    TopupLimit.WHEN_BELOW: "when_below_microusd",
    TopupLimit.AMOUNT: "amount_microusd",
    TopupLimit.TO: "to_microusd",
    TopupLimit.COVER_DAYS: "cover_days",
    **_BOUNDED,
}
_BOLDER = (TopupMode.OFF, TopupMode.SHADOW, TopupMode.CHARGE)


def over_the_ceiling(topup: TopupConfig, api: ApiConfig) -> tuple[BodyFault, ...]:
    """Return a fault for each figure of a top-up made by API that is beyond the ceiling, with both numbers."""
    faults = []
    for key, field in _BOUNDED.items():
        asked, most = getattr(topup, field), getattr(api, field)
        if asked > most:
            said = f"{format_usd(asked)} is beyond the ceiling of {format_usd(most)}"
            hint = f"ask for {format_usd(most)} at most; the ceiling is [api] {key} in the configuration file"
            faults.append(BodyFault(id=OVER_THE_CEILING, path=key.value, said=said, hint=hint))
    return tuple(faults)


def mode_to_keep(asked: TopupMode | None, before: TopupConfig | None, api: ApiConfig) -> TopupMode:
    """Return the mode that a request leaves a top-up in. `asked`: None where its body does not say.

    A new one that is to charge begins as `first_charge` says. Later only a request that says `charge` promotes it.
    """
    if before is not None:
        return asked or before.mode
    return asked if asked not in (None, TopupMode.CHARGE) else api.first_charge


def bounded(account: AccountConfig, api: ApiConfig | None) -> TopupConfig | None:
    """Return the account's top-up as it may charge: none made by API goes beyond the ceiling, none without one.

    No account's day, of the file's ones either, holds more than the day's total over all accounts.
    """
    topup = account.topup
    is_by_api = account.managed_by is ManagedBy.API
    if topup is None or (api is None and not is_by_api):
        return topup
    if api is None:
        return replace(topup, mode=TopupMode.OFF)
    most = {field: getattr(api, field) for field in _BOUNDED.values()} if is_by_api else {}
    day = "max_per_day_microusd"
    most[day] = min(most.get(day, api.max_per_day_total_microusd), api.max_per_day_total_microusd)
    lowered = {field: bound for field, bound in most.items() if getattr(topup, field) > bound}
    return replace(topup, **lowered) if lowered else topup


# ── what is told ────────────────────────────────────────────────────────────────────────────────────────────────────


def limits_changed_draft(
    account: AccountInfo, before: TopupConfig | None, after: TopupConfig | None, actor: str, now: datetime
) -> EventDraft | None:
    """Return what the operator is told of a change by API: None where nothing was added or raised.

    To be appended to the outbox in the transaction of the change. `actor`: as the audit names it.
    """
    if after is None or not (before is None or any(_raised(before, after))):
        return None
    data: dict[str, JsonValue] = {
        "account": account.id,
        "provider": account.provider,
        "observed_at": rfc3339(now),
        "severity": Severity.WARNING.value,
        "actor": actor,
        "added": before is None,
        "changes": list(_changes(before, after)),
    }
    return EventDraft(EventType.TOPUP_LIMITS_CHANGED, now, data, account.id, Severity.WARNING)


def _raised(before: TopupConfig, after: TopupConfig) -> Iterator[bool]:
    yield _BOLDER.index(after.mode) > _BOLDER.index(before.mode)
    for field in _LIMITS.values():
        old, new = getattr(before, field), getattr(after, field)
        yield new is not None and (old is None or new > old)


def _changes(before: TopupConfig | None, after: TopupConfig) -> Iterator[dict[str, JsonValue]]:
    """Yield every limit that is not as it was, the raised and the lowered; of a new top-up, all that it has."""
    for key, field in {TopupLimit.MODE: "mode", **_LIMITS}.items():
        old, new = getattr(before, field, None), getattr(after, field)
        if old != new:
            yield {"limit": key.value, "old": _said(old), "new": _said(new)}


def _said(value: TopupMode | Decimal | int | None) -> JsonValue:
    match value:
        case int():
            return to_number(value)
        case Decimal():
            return float(value)
        case TopupMode():
            return value.value
    return None
