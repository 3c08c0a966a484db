"""Any JSON usage API: a table of JMESPath expressions says where each field stands, so a third API needs no code."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

from alerts.readings import Metrics, Reading
from daemon.http import Answer
from daemon.sources.payload import (
    NotThere,
    Table,
    decode,
    fill,
    read,
    to_complaint,
    to_count,
    to_instant,
    to_limit,
    to_millionths,
    to_signed,
    to_word,
)
from daemon.sources.refusals import one_line

_READERS: Table = {
    "balance_usd": ("balance_microusd", to_signed),
    "uncharged_usage_usd": ("uncharged_microusd", to_millionths),
    "total_charged_usd": ("total_charged_microusd", to_millionths),
    "client_name": ("client_name", to_word),
    "usage_count": ("usage_count", to_count),
    "used_gb": ("used_microgb", to_millionths),
    "reserved_gb": ("reserved_microgb", to_millionths),
    "effective_gb": ("effective_said_microgb", to_millionths),
    "limit_gb": ("limit_microgb", to_limit),
    "remaining_gb": ("remaining_microgb", to_signed),
    "period_start": ("period_start_at", to_instant),
    "period_end": ("period_end_at", to_instant),
    "period_used_gb": ("period_used_microgb", to_millionths),
    "billing_error": ("billing_error", to_complaint),
}

ATTRIBUTES: Mapping[str, str] = {name: attribute for name, (attribute, _) in _READERS.items()}
"""Which metric each of the names is."""
FIELDS = frozenset(_READERS)
"""The names that an expression may be given for: `JSON_FIELDS` of the configuration."""
_MONEY = frozenset({"balance_usd", "uncharged_usage_usd", "total_charged_usd"})
"""Where one of them is mapped, an answer without it is no reading: available money is not reckoned on a guess."""
_NEVER_UNSAID = _MONEY | {"used_gb"}
"""Where one of them is mapped and not found it is unknown, which is more than not said."""


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
    """One account's expressions, compiled. An expression that finds nothing leaves its field unsaid.

    Without money that is mapped there is no reading. Nor is there one without the volume used, where that is all there
    is to watch; beside a balance it is unknown.
    """

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._expressions = compile_fields(fields)
        self._table = {name: _READERS[name] for name in fields}
        self._needed = (_MONEY & fields.keys()) or {"used_gb"}

    def __call__(self, account: str, at: datetime, answer: Answer) -> Reading:
        """Turn one answer into a reading."""
        return read(account, at, answer, self._metrics)

    def _metrics(self, body: bytes) -> Metrics:
        document = decode(body, exact=False)  # JMESPath's functions know floats; shortest text makes them exact again

        def say(name: str) -> object:
            try:
                found = self._expressions[name].search(document)
            except (JMESPathError, RecursionError) as error:
                raise NotThere(f"{name}: {error}") from error
            if found is None and name in _NEVER_UNSAID:
                raise NotThere(f"{name} is missing")
            return found

        return fill(self._table, say, self._needed)
