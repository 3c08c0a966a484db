"""Any JSON usage API: the account says the URL, and by JMESPath expressions where each field stands in the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

from alerts.model.readings import Metrics
from daemon.sources.payload import (
    NotThere,
    Table,
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
from daemon.sources.provider import Build, Provider, needed_of
from daemon.sources.refusals import one_line


def compiled(table: Table, fields: Mapping[str, str]) -> Mapping[str, Any]:
    """Compile the expressions; raises ValueError naming the field of the first that is unknown or malformed."""
    expressions = {}
    for name, expression in fields.items():
        if name not in table:
            raise ValueError(f"{name}: no such field")
        try:
            expressions[name] = jmespath.compile(expression)
        except JMESPathError as error:
            raise ValueError(f"{name}: {one_line(str(error))}") from error
    return expressions


def by_expression(table: Table, fields: Mapping[str, str]) -> Build:
    """Read what the expressions find. One that finds nothing leaves its field unsaid.

    Without money that is mapped there is no reading. Nor is there one without the volume used, where that is all there
    is to watch; beside a balance it is unknown, which is more than not said.
    """
    expressions, needed = compiled(table, fields), needed_of(table)
    never_unsaid = needed | {"used_gb"}

    def build(body: bytes) -> Metrics:
        document = decode(body, exact=False)  # JMESPath's functions know floats; shortest text makes them exact again

        def say(name: str) -> object:
            try:
                found = expressions[name].search(document)
            except (JMESPathError, RecursionError) as error:
                raise NotThere(f"{name}: {error}") from error
            if found is None and name in never_unsaid:
                raise NotThere(f"{name} is missing")
            return found

        return fill(table, say, needed)

    return build


PROVIDER = Provider(
    name="json",
    title="any JSON API",
    reader=by_expression,
    table={
        "balance_usd": ("balance_microusd", to_signed),
        "uncharged_usage_usd": ("uncharged_microusd", to_millionths),
        "total_charged_usd": ("total_charged_microusd", to_millionths),
        "used_gb": ("used_microgb", to_millionths),
        "reserved_gb": ("reserved_microgb", to_millionths),
        "effective_gb": ("effective_said_microgb", to_millionths),
        "limit_gb": ("limit_microgb", to_limit),
        "remaining_gb": ("remaining_microgb", to_signed),
        "period_start": ("period_start_at", to_instant),
        "period_end": ("period_end_at", to_instant),
        "period_used_gb": ("period_used_microgb", to_millionths),
        "billing_error": ("billing_error", to_complaint),
        "client_name": ("client_name", to_word),
        "usage_count": ("usage_count", to_count),
    },
)
