"""Money and volume as integers: micro-dollars, cents and micro-gigabytes. `Decimal` at the edges, never a float inside.

One dollar is 1,000,000 micro-dollars; one gigabyte is 1,000,000 micro-gigabytes (a kilobyte each).
"""

from collections.abc import Iterable
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, InvalidOperation

from alerts.model.units import CURRENCIES, GB, USD

MICRO = 1_000_000
MICROUSD_PER_CENT = 10_000
MAX_MICRO = 10**15
"""Largest accepted magnitude: 10^9 dollars (or gigabytes). A larger input is refused."""


def to_micro(value: int | float | str | Decimal) -> int:
    """Return `value` in millionths, rounded half to even.

    A float is read by its shortest decimal text, so 12.45 is 12,450,000 exactly. Raises ValueError for anything that is
    not a finite number of at most `MAX_MICRO`, booleans included.
    """
    if isinstance(value, bool):
        raise ValueError("a number is expected, not true or false")  # noqa: TRY004 – one error for all bad input
    if isinstance(value, int):
        micro = value * MICRO
    else:
        try:
            number = value if isinstance(value, Decimal) else Decimal(str(value).strip())
        except InvalidOperation as error:
            raise ValueError("not a number") from error
        if not number.is_finite() or abs(number) > MAX_MICRO:
            raise ValueError("not a finite number in range")
        micro = int((number * MICRO).to_integral_value(ROUND_HALF_EVEN))
    if abs(micro) > MAX_MICRO:
        raise ValueError("out of range")
    return micro


def to_decimal(micro: int) -> Decimal:
    """Return millionths as an exact `Decimal` in whole units."""
    return Decimal(micro).scaleb(-6)


def to_number(micro: int) -> int | float:
    """Return millionths as a JSON number without float noise: 12450000 is 12.45, 50000000 is 50."""
    whole, rest = divmod(micro, MICRO)
    return micro / MICRO if rest else whole


def from_cents(cents: int) -> int:
    """Return cents as micro-dollars."""
    return cents * MICROUSD_PER_CENT


def format_usd(microusd: int, places: int = 2) -> str:
    """Return `$1,234.50`, `−$0.75`: rounded half up in magnitude to `places`, true minus, thousands separated."""
    sign, amount = _rounded(microusd, places)
    return f"{sign}${amount:,}"


def format_gb(microgb: int, places: int = 2) -> str:
    """Return `1,024.00 GB`, `−0.50 GB`: rounded half up in magnitude to `places`, true minus, thousands separated."""
    sign, amount = _rounded(microgb, places)
    return f"{sign}{amount:,} GB"


def show_usd(microusd: int, *beside: int) -> str:
    """Return an amount shown next to the amounts `beside` it: `$4.99` where 4.999999 is below 5.

    Rounded down, with as many digits as it takes to read differently from each of them.
    """
    sign, amount = _rounded_down(microusd, beside)
    return f"{sign}${amount:,}"


def show_gb(microgb: int, *beside: int) -> str:
    """Return a volume shown next to the volumes `beside` it, rounded as `show_usd` does."""
    sign, amount = _rounded_down(microgb, beside)
    return f"{sign}{amount:,} GB"


def format_amount(micro: int, unit: str, places: int = 2) -> str:
    """Return `$1,234.50`, `12.30 EUR`, `17,231 characters`: half up to `places`; whole numbers of a word have none."""
    if unit == USD:
        return format_usd(micro, places)
    sign, amount = _rounded(micro, 0 if is_counted(unit) and micro % MICRO == 0 else places)
    return f"{sign}{amount:,} {unit}"


def show_amount(micro: int, unit: str, *beside: int) -> str:
    """Return an amount that is measured against the others `beside` it, rounded as `show_usd` does."""
    if unit == USD:
        return show_usd(micro, *beside)
    sign, amount = _rounded_down(micro, beside)
    if is_counted(unit) and amount == amount.to_integral_value():
        amount = amount.to_integral_value()
    return f"{sign}{amount:,} {unit}"


def is_counted(unit: str) -> bool:
    """Whether the unit is a word for what is counted (`credits`): a whole number of it is written without a point."""
    return unit != GB and unit not in CURRENCIES


def _rounded_down(micro: int, beside: Iterable[int]) -> tuple[str, Decimal]:
    others = [other for other in beside if other != micro]
    unit = MICROUSD_PER_CENT
    while any(micro // unit == other // unit for other in others):
        unit //= 10
    shown = micro // unit * unit
    places = next(places for places in range(2, 7) if shown % 10 ** (6 - places) == 0)
    return _rounded(shown, places)


def _rounded(micro: int, places: int) -> tuple[str, Decimal]:
    """Return the sign to show and the magnitude; what rounds to zero has no sign."""
    amount = to_decimal(abs(micro)).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    return "−" if micro < 0 and amount else "", amount


def percent_of(part: int, whole: int, places: int = 1) -> Decimal:
    """Return `part` in percent of `whole`, rounded down, so that 99.96 never reads as 100. `whole` must be positive."""
    return (Decimal(part) * 100 / Decimal(whole)).quantize(Decimal(1).scaleb(-places), ROUND_FLOOR)
