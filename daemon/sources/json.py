"""Any JSON usage API: a table of JMESPath expressions says where each field stands, so a third API needs no code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

from alerts.readings import Known, Metrics, Reading, Reason, Unavailable
from daemon.http import Answer
from daemon.sources.payload import BadPayload, decode, to_count, to_instant, to_millionths, to_text
from daemon.sources.refusals import one_line, refused


def _money(value: object, name: str) -> int:
    return to_millionths(value, name)


def _signed(value: object, name: str) -> int:
    return to_millionths(value, name, negative=True)


def _word(value: object, name: str) -> str | None:
    return to_text(value, name, numbers=True)


_READERS: dict[str, tuple[str, Callable[[object, str], Any]]] = {
    "balance_usd": ("balance_microusd", _signed),
    "uncharged_usage_usd": ("uncharged_microusd", _money),
    "total_charged_usd": ("total_charged_microusd", _money),
    "client_name": ("client_name", _word),
    "usage_count": ("usage_count", to_count),
    "used_gb": ("used_microgb", _money),
    "reserved_gb": ("reserved_microgb", _money),
    "effective_gb": ("effective_said_microgb", _money),
    "limit_gb": ("limit_microgb", _money),
    "remaining_gb": ("remaining_microgb", _signed),
    "period_start": ("period_start_at", to_instant),
    "period_end": ("period_end_at", to_instant),
    "period_used_gb": ("period_used_microgb", _money),
    "billing_error": ("billing_error", _word),
}

ATTRIBUTES: Mapping[str, str] = {name: attribute for name, (attribute, _) in _READERS.items()}
"""Which metric each of the names is."""
FIELDS = frozenset(_READERS)
"""The names that an expression may be given for: `JSON_FIELDS` of the configuration."""
NUMBERS_NEEDED = ("balance_usd", "used_gb")
"""At least one of them must be mapped: without it there is nothing to watch."""
NEVER_UNSAID = frozenset({*NUMBERS_NEEDED, "uncharged_usage_usd", "total_charged_usd"})
"""Where one of them is mapped, an answer without it is no reading: available money is not reckoned on a guess."""


def compile_fields(fields: Mapping[str, str]) -> Mapping[str, Any]:
    """Compile the expressions; raises ValueError naming the field of the first that is unknown or malformed."""
    compiled = {}
    for name, expression in fields.items():
        if name not in _READERS:
            raise ValueError(f"{name}: no such field")
        try:
            compiled[name] = jmespath.compile(expression)
        except JMESPathError as error:
            raise ValueError(f"{name}: {one_line(str(error))}") from error
    return compiled


class JsonParser:
    """One account's expressions, compiled. An expression that finds nothing leaves its field unsaid, but for money."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._expressions = compile_fields(fields)

    def __call__(self, account: str, at: datetime, answer: Answer) -> Reading:
        """Turn one answer into a reading; without what is mapped of `NEVER_UNSAID` there is none."""
        if not 200 <= answer.status < 300:
            return refused(account, at, answer)
        try:
            return Known(account, at, self._metrics(answer.body))
        except BadPayload as fault:
            return Unavailable(account, at, Reason.BAD_PAYLOAD, one_line(str(fault)), status=answer.status)

    def _metrics(self, body: bytes) -> Metrics:
        document = decode(body, exact=False)  # JMESPath's functions know floats; shortest text makes them exact again
        values: dict[str, Any] = {}
        for name, expression in self._expressions.items():
            try:
                found = expression.search(document)
            except (JMESPathError, RecursionError) as error:
                raise BadPayload(f"{name}: {error}") from error
            if found is None:
                if name in NEVER_UNSAID:
                    raise BadPayload(f"{name} is missing")
                continue
            attribute, reader = _READERS[name]
            values[attribute] = reader(found, name)
        metrics = Metrics(**values)
        start, end = metrics.period_start_at, metrics.period_end_at
        if start is not None and end is not None and end <= start:
            raise BadPayload("period_end is not after period_start")
        if metrics.limit_microgb == 0:
            raise BadPayload("limit_gb is zero")
        return metrics
