"""The units that figures are in: a currency by its ISO 4217 code, or a word (`credits`, `characters`, `GB`).

Every figure is an integer of millionths of its unit. Figures of two units are never added.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")
USD = "USD"
GB = "GB"

UNIT = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}", re.ASCII)
"""How a unit is written."""

CURRENCIES = frozenset(
    re.findall(
        r"[A-Z]{3}",
        """
        AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD
        CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ
        GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR
        LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN
        PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB
        TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWL
        """,
    )
)
"""The currencies of ISO 4217 that are in use."""

OLDER_NAMES = {
    USD: {
        "balance": "balance_usd",
        "uncharged": "uncharged_usage_usd",
        "available": "available_usd",
        "total_charged": "total_charged_usd",
        "threshold": "threshold_usd",
        "clear_above": "clear_above_usd",
        "burn_per_day": "burn_usd_per_day",
        "usual_per_day": "usual_usd_per_day",
        "peak_per_day": "peak_usd_per_day",
        "spent": "spent_usd",
        "limit": "limit_usd",
        "projected": "projected_usd",
        "projected_low": "projected_usd_low",
        "projected_high": "projected_usd_high",
    },
    GB: {
        "used": "used_gb",
        "period_used": "period_used_gb",
        "reserved": "reserved_gb",
        "effective": "effective_gb",
        "remaining": "remaining_gb",
        "limit": "limit_gb",
        "spent": "spent_gb",
        "projected": "projected_gb",
        "projected_low": "projected_gb_low",
        "projected_high": "projected_gb_high",
    },
}
"""By unit, the names from when every figure was in dollars or gigabytes: they stand beside the others where they are
true, and nowhere else."""


def with_older_names(unit: str, figures: Mapping[str, T]) -> dict[str, T | str]:
    """Return figures with their unit and, where they are in dollars or gigabytes, under their older names as well."""
    older = OLDER_NAMES.get(unit, {})
    return {"unit": unit, **figures, **{older[name]: value for name, value in figures.items() if name in older}}
