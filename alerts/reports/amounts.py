"""Amounts as a report says them: with their unit, always."""

from __future__ import annotations

from alerts.model.money import format_gb, format_usd
from alerts.model.units import GB, USD


def amount(micro: int, unit: str = USD) -> str:
    """Return `$1,234.50`, or `1,234.50 EUR`: the unit is always said."""
    return format_usd(micro) if unit == USD else f"{format_usd(micro).replace('$', '')} {unit}"


def volume(micro: int, unit: str = GB) -> str:
    """Return `1,024.00 GB`, or `1,024.00 characters`."""
    return format_gb(micro).replace("GB", unit)
