"""Any JSON usage API: the account says how it is asked, and by JMESPath expressions where each field stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from alerts.model.readings import Metrics
from alerts.model.units import CURRENCIES
from daemon.sources.payload import (
    NotThere,
    RefusedAnswer,
    Table,
    WrongCurrency,
    decode,
    fill,
    to_complaint,
    to_count,
    to_instant,
    to_limit,
    to_millionths,
    to_signed,
    to_word,
)
from daemon.sources.provider import AnswerSpec, Build, Provider, needed_of
from daemon.sources.refusals import one_line, said

if TYPE_CHECKING:
    from daemon.sources.expressions import Expression  # brings the library: only where an account has expressions

_LIMIT = "limit_microgb"
_NO_LIMIT = {_LIMIT, "remaining_microgb"}
"""What is not said where an answer says that there is no limit."""
_CURRENCY_KEYS = ("currency", "currency_code", "currencycode")
_DEEPEST = 4


def _compile(table: Table, spec: AnswerSpec) -> Mapping[str, Expression]:
    """Compile the expressions; raises ValueError naming the field of the first that is unknown or malformed."""
    from daemon.sources.expressions import ExpressionError, compiled

    expressions = {}
    checks = {"ok": spec.ok, "error": spec.error, "currency": spec.currency, "unlimited": spec.unlimited}
    for name, expression in {**spec.fields, **{key: text for key, text in checks.items() if text}}.items():
        if name not in table and name not in checks:
            raise ValueError(f"{name}: no such field")
        try:
            expressions[name] = compiled(expression)
        except ExpressionError as error:
            raise ValueError(f"{name}: {error}") from error
    return expressions


def by_expression(table: Table, spec: AnswerSpec) -> Build:
    """Read what the expressions find. One that finds nothing leaves its field unsaid.

    Without money that is mapped there is no reading. Nor is there one without the volume used, where that is all there
    is to watch; beside a balance it is unknown, which is more than not said.
    """
    from daemon.sources.expressions import ExpressionError

    expressions, needed = _compile(table, spec), needed_of(table)
    never_unsaid = needed | {name for name, (metric, _) in table.items() if metric == "used_microgb"}

    def build(body: bytes) -> Metrics:
        document = decode(body)

        def find(name: str) -> Any:
            try:
                return expressions[name].search(document)
            except ExpressionError as error:
                raise NotThere(f"{name}: {error}") from error

        def holds(name: str) -> Any:
            """What a check finds, None where it cannot be evaluated or there is none."""
            try:
                return find(name) if name in expressions else None
            except NotThere:
                return None

        def say(name: str) -> object:
            if no_limit and table[name][0] in _NO_LIMIT:
                return None
            found = find(name)
            if found is None and name in never_unsaid:
                raise NotThere(f"{name} is missing")
            return found

        if spec.ok and holds("ok") is not True:
            words = to_complaint(holds("error"), "error") or said(body)
            raise RefusedAnswer(f"the API says: {words}" if words else "the answer says that it is none")
        if spec.currency:
            _check_currency(holds("currency"), spec.unit)
        elif spec.unit in CURRENCIES:
            _check_named(document, spec.unit)
        no_limit = holds("unlimited") is True
        return fill(table, say, needed)

    return build


def _check_currency(found: object, unit: str) -> None:
    """Hold the answer's currency, or that of each of its parts, against the unit; capitals do not matter."""
    for part in found if isinstance(found, list) and found else [found]:
        if not isinstance(part, str) or not part.strip():
            raise WrongCurrency(f"the answer names no currency where it should, and the unit is {unit}")
        if part.strip().upper() != unit.upper():
            raise WrongCurrency(f"the answer is in {one_line(part, 20)}, and the unit is {unit}")


def _check_named(document: Mapping[str, Any], unit: str) -> None:
    """Hold what an answer names as its currency against the unit where nobody said where that stands."""
    for path, currency in named_currencies(document):
        if currency.upper() != unit:
            said = f"the answer names {currency} ({one_line(path, 60)}), and the unit is {unit}"
            raise WrongCurrency(f"{said}: say by `currency` where the account's own stands")


def named_currencies(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield where an answer names a currency by its code, and which; what stands in lists may be about anything."""
    if not isinstance(value, dict) or path.count(".") >= _DEEPEST:
        return
    for name, inner in value.items():
        if name.lower() in _CURRENCY_KEYS and isinstance(inner, str) and inner.strip().upper() in CURRENCIES:
            yield path + name, inner.strip()
        yield from named_currencies(inner, f"{path}{name}.")


PROVIDER = Provider(
    name="json",
    title="any JSON API",
    reader=by_expression,
    table={
        "balance": ("balance_microusd", to_signed),
        "uncharged": ("uncharged_microusd", to_millionths),
        "total_charged": ("total_charged_microusd", to_millionths),
        "used": ("used_microgb", to_millionths),
        "reserved": ("reserved_microgb", to_millionths),
        "effective": ("effective_said_microgb", to_millionths),
        "limit": ("limit_microgb", to_limit),
        "remaining": ("remaining_microgb", to_signed),
        "period_start": ("period_start_at", to_instant),
        "period_end": ("period_end_at", to_instant),
        "period_used": ("period_used_microgb", to_millionths),
        "burn_per_day": ("burn_said_microusd_per_day", to_millionths),
        "billing_error": ("billing_error", to_complaint),
        "client_name": ("client_name", to_word),
        "usage_count": ("usage_count", to_count),
        "balance_usd": ("balance_microusd", to_signed),
        "uncharged_usage_usd": ("uncharged_microusd", to_millionths),
        "total_charged_usd": ("total_charged_microusd", to_millionths),
        "used_gb": ("used_microgb", to_millionths),
        "reserved_gb": ("reserved_microgb", to_millionths),
        "effective_gb": ("effective_said_microgb", to_millionths),
        "limit_gb": ("limit_microgb", to_limit),
        "remaining_gb": ("remaining_microgb", to_signed),
        "period_used_gb": ("period_used_microgb", to_millionths),
    },
)
