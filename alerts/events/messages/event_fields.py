"""The numbers of an event as a person reads them: label and value, in a fixed order, in the configured zone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_FLOOR, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from alerts.events.messages.context import UNKNOWN, AccountContext
from alerts.model.instants import INSTANT_IN_TEXT
from alerts.model.money import format_amount, show_amount, to_micro
from alerts.model.reasons import Limit, TopupLimit
from alerts.model.units import GB, OLDER_NAMES, USD

DASH = "–"


@dataclass(frozen=True, slots=True)
class Figure:
    """`link`: where to look at it, empty where nowhere."""

    label: str
    value: str
    link: str = ""


@dataclass(frozen=True, slots=True)
class EventFields:
    """Reads an event's data leniently: what is missing or null reads as a dash, never as a zero."""

    data: Mapping[str, Any]
    zone: ZoneInfo
    account: AccountContext = UNKNOWN
    payments: str = ""
    """The address before a payment's id at which Stripe shows it; empty where none is linked."""

    def usd(self, name: str) -> str:
        """Return an amount of money, or of whatever else the event's account is paid in; `name` is that in dollars."""
        value, unit = self._amount(name, USD)
        if value is None:
            return DASH
        if name in _BESIDE:
            return show_amount(to_micro(value), unit, *self._beside(name))
        return format_amount(to_micro(value), unit)

    def gb(self, name: str) -> str:
        """Return a volume, or whatever else the event's quota is in; `name` is that in gigabytes."""
        value, unit = self._amount(name, GB)
        return DASH if value is None else show_amount(to_micro(value), unit, *self._beside(name))

    def _amount(self, name: str, own: str) -> tuple[Any, str]:
        """Return the value under an older name, which is in `own`, else that of its name without a unit, in `unit`."""
        unit = self.data.get("unit")
        if self.data.get(name) is not None or not isinstance(unit, str):
            return self.data.get(name), own
        return self.data.get(_NEUTRAL.get(name, name)), unit

    def _beside(self, name: str) -> Iterator[int]:
        """Yield what a number is measured against, as far as the event holds it."""
        for other in _BESIDE.get(name, ()):
            value, _ = self._amount(other, USD)
            if value is not None:
                yield to_micro(value)

    def number(self, name: str, unit: str = "") -> str:
        value = self.data.get(name)
        return DASH if value is None else f"{_plain(value)}{unit}"

    def burn(self, name: str) -> str:
        """Return the burn with what it rests on."""
        usd, basis = self.usd(name), self.text("basis")
        return usd if DASH in (usd, basis) else f"{usd} ({basis})"

    def percent(self, name: str) -> str:
        return self.number(name, " %")

    def text(self, name: str) -> str:
        value = self.data.get(name)
        return DASH if value is None or value == "" else str(value)

    def at(self, name: str) -> str:
        return self._moment(self.data.get(name))

    def likely(self, name: str) -> str:
        """Return a foreseen instant, the likely one."""
        value = self.data.get(name)
        return self._moment(value.get("likely") if isinstance(value, Mapping) else value)

    def span(self, name: str) -> str:
        """Return a foreseen instant with its earliest and latest, as far as they are known and differ."""
        value = self.data.get(name)
        likely = self.likely(name)
        if not isinstance(value, Mapping):
            return likely
        earliest, latest = self._moment(value.get("earliest")), self._moment(value.get("latest"))
        if DASH in (earliest, latest) or earliest == latest:
            return likely
        return f"{likely} (between {earliest} and {latest})"

    def rule(self, name: str) -> str:
        """Return the rule that a person configured; what needs no rule has none to show."""
        rule = self.text(name)
        return DASH if rule.startswith("account:") else rule

    def words(self, name: str) -> str:
        """Return a reason as words."""
        return self.text(name).replace("_", " ")

    def duration(self, name: str) -> str:
        """Return seconds as `30 min`, `2.5 h`, `3.0 days`."""
        value = self.data.get(name)
        if value is None:
            return DASH
        minutes = round(Decimal(str(value)) / 60)
        if minutes < 90:
            return f"{minutes} min"
        return f"{minutes / 60:.1f} h" if minutes < 48 * 60 else f"{minutes / 1440:.1f} days"

    def days(self, name: str) -> str:
        """Return days with at most one digit after the point, rounded down: what is left is never overstated."""
        value = self.data.get(name)
        return DASH if value is None else _plain(Decimal(str(value)).quantize(Decimal("0.1"), ROUND_FLOOR))

    def prose(self, text: Any) -> str:
        """Return text with its instants in the configured zone."""
        return "" if text is None else INSTANT_IN_TEXT.sub(lambda match: self._moment(match[0]), str(text))

    def change(self, name: str) -> str:
        """Return the limits that changed, each old and new."""
        changes: Iterable[Mapping[str, Any]] = self.data.get(name) or ()
        return "; ".join(_change(c["limit"], c["old"], c["new"], c.get("unit", "")) for c in changes) or DASH

    def findings(self, name: str) -> str:
        """Return what of a reading is implausible, each field with its two values."""
        findings: Iterable[Mapping[str, Any]] = self.data.get(name) or ()
        return "; ".join(_finding(f["field"], f["kind"], f["before"], f["after"]) for f in findings) or DASH

    def rows(self) -> Iterator[Figure]:
        """Yield what the event holds of the known figures, in the order in which a person asks for them."""
        seen: set[str] = set()
        for name, label, show in _ROWS:
            neutral = _NEUTRAL.get(name, name)
            older = [old for old in _OLDER.get(neutral, ()) if self.data.get(old) is not None]
            if neutral in seen or (older and name not in older):
                continue  # the same figure has a row, or one in the words of its own unit
            if (value := show(self, name)) not in ("", DASH):
                seen.add(neutral)
                before = name == "available_usd" and self.data.get("amount_usd") is not None
                yield Figure(f"{label} before" if before else label, value, self._link(name, value))

    def _link(self, name: str, value: str) -> str:
        return f"{self.payments}{value}" if name == "payment_intent" and self.payments else ""

    def _moment(self, value: Any) -> str:
        if not isinstance(value, str):
            return DASH
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            return value
        return show_moment(at, self.zone)


def show_moment(at: datetime, zone: ZoneInfo) -> str:
    """Return `Sun 1 Nov 2026, 09:00 CET`: the zone is always named."""
    local = at.astimezone(zone)
    return f"{local:%a} {local.day} {local:%b %Y, %H:%M} {local.tzname()}"


def _plain(value: Any) -> str:
    number = Decimal(str(value))
    return f"{int(number):,}" if number == number.to_integral_value() else f"{number.normalize():,f}"


def _change(limit: str, old: Any, new: Any, unit: str = "") -> str:
    name, own = _LIMITS.get(limit, (limit.replace("_", " "), ""))
    if limit.endswith("_usd"):
        return f"{name} {_money(old)} → {_money(new)}"
    unit = f" {unit}" if unit else own
    return f"{name} {_loose(old, unit)} → {_loose(new, unit)}"


def _money(value: Any) -> str:
    return "none" if value is None else _dollars(value)


def _loose(value: Any, unit: str) -> str:
    if value is None:
        return "none"
    if not isinstance(value, int | float):
        return str(value)
    return f"{unit}{_plain(value)}" if unit == "$" else f"{_plain(value)}{unit}"


_LIMITS: Mapping[str, tuple[str, str]] = {
    Limit.QUOTA: ("quota", " GB"),
    Limit.QUOTA_IN_UNIT: ("quota", ""),
    Limit.RESOLUTION: ("largest resolution", ""),
    Limit.DURATION: ("longest duration", " s"),
    Limit.FILESIZE_BYTES: ("largest file", " bytes"),
    Limit.FILESIZE_MB: ("largest file", " MB"),
    Limit.PRICE: ("price of a snapshot", "$"),
    TopupLimit.WHEN_BELOW: ("threshold", ""),
    TopupLimit.AMOUNT: ("amount", ""),
    TopupLimit.TO: ("up to", ""),
    TopupLimit.COVER_DAYS: ("days covered", ""),
    TopupLimit.MAX_CHARGE: ("at most a charge", ""),
    TopupLimit.MAX_PER_DAY: ("at most a day", ""),
    TopupLimit.MAX_PER_MONTH: ("at most a month", ""),
}


def _finding(field: str, kind: str, before: Any, after: Any) -> str:
    name, _, unit = field.rpartition("_")
    if unit not in ("usd", "gb"):
        name, show = field, _plain
    else:
        show = _dollars if unit == "usd" else _gigabytes
    verb = _MOVED.get(kind, "moved")
    return f"{name.replace('_', ' ')} {verb} from {show(before)} to {show(after)}"


def _dollars(value: Any) -> str:
    return format_amount(to_micro(value), USD)


def _gigabytes(value: Any) -> str:
    return format_amount(to_micro(value), GB)


_MOVED = {"backwards": "ran backwards", "drop": "dropped", "jump": "jumped", "fall": "fell"}


_MEASURED = {
    "threshold_usd": ("available_usd", "balance_usd"),
    "limit_usd": ("spent_usd", "projected_usd"),
    "limit_gb": ("effective_gb", "used_gb", "spent_gb", "projected_gb"),
    "left_usd": ("needed_usd",),
    "cap_usd": ("spent_and_open_usd",),
}
_BESIDE = {**_MEASURED, **{name: (line,) for line, names in _MEASURED.items() for name in names}}
"""What is measured against what: neither may read as the other where it is not."""

_NEUTRAL = {old: name for names in OLDER_NAMES.values() for name, old in names.items()}
"""By older name, that without a unit: what an event in another unit than dollars or gigabytes holds."""
_OLDER = {name: [old for old in _NEUTRAL if _NEUTRAL[old] == name] for name in _NEUTRAL.values()}

_Show = Callable[[EventFields, str], str]
_ROWS: tuple[tuple[str, str, _Show], ...] = (
    ("available_usd", "Available", EventFields.usd),
    ("threshold_usd", "Threshold", EventFields.usd),
    ("balance_usd", "Balance", EventFields.usd),
    ("uncharged_usage_usd", "Accrued, not yet deducted", EventFields.usd),
    ("amount_usd", "Charge", EventFields.usd),
    ("returned_usd", "Refunded or disputed", EventFields.usd),
    ("credited_usd", "Credited", EventFields.usd),
    ("spent_usd", "Spent", EventFields.usd),
    ("spent_gb", "Used in the period", EventFields.gb),
    ("limit_usd", "Limit", EventFields.usd),
    ("effective_gb", "Used and reserved", EventFields.gb),
    ("used_gb", "Used", EventFields.gb),
    ("reserved_gb", "Reserved", EventFields.gb),
    ("limit_gb", "Limit", EventFields.gb),
    ("percent", "Of the limit", EventFields.percent),
    ("step_percent", "Step reached", EventFields.percent),
    ("projected_usd", "Projected at the period's end", EventFields.usd),
    ("projected_gb", "Projected at the period's end", EventFields.gb),
    ("burn_usd_per_day", "Burn a day", EventFields.burn),
    ("usual_usd_per_day", "Usual burn a day", EventFields.usd),
    ("peak_usd_per_day", "Largest burn a day before", EventFields.usd),
    ("days_remaining", "Days left", EventFields.days),
    ("threshold_days", "Threshold in days", EventFields.number),
    ("runs_out_at", "Runs out", EventFields.span),
    ("full_at", "Full", EventFields.span),
    ("period_start", "Period from", EventFields.at),
    ("period_end", "Period to", EventFields.at),
    ("payment_intent", "Stripe payment", EventFields.text),
    ("decline_code", "Decline code", EventFields.text),
    ("attempt", "Attempt", EventFields.number),
    ("next_attempt_at", "Next try", EventFields.at),
    ("paid_at", "Paid", EventFields.at),
    ("needed_usd", "Needed", EventFields.usd),
    ("cap_usd", "Cap", EventFields.usd),
    ("spent_and_open_usd", "Spent and open", EventFields.usd),
    ("left_usd", "Left under the cap", EventFields.usd),
    ("retry_at", "Next try", EventFields.at),
    ("failures", "Failures in a row", EventFields.number),
    ("failing_since", "Failing since", EventFields.at),
    ("last_error", "Last error", EventFields.text),
    ("pending", "Events waiting", EventFields.number),
    ("since", "Since", EventFields.at),
    ("polls", "Polls without an answer", EventFields.number),
    ("last_good_at", "Last good reading", EventFields.at),
    ("rule", "Rule", EventFields.rule),
    ("actor", "By", EventFields.text),
    ("observed_at", "Observed", EventFields.at),
)
