"""Instants as they are asked for: RFC 3339, with an offset."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

_SHAPE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE)


def parse(value: Any) -> datetime:
    """Return the instant in UTC, to the millisecond; raises ValueError for what is none."""
    if not isinstance(value, str) or not _SHAPE.fullmatch(value):
        raise ValueError("an instant is expected, such as 2026-11-01T08:00:00Z")
    try:
        found = datetime.fromisoformat(value.upper().replace("Z", "+00:00")).astimezone(UTC)
    except OverflowError as error:
        raise ValueError("this instant is out of range") from error
    return found.replace(microsecond=found.microsecond // 1000 * 1000)


Instant = Annotated[datetime, BeforeValidator(parse), WithJsonSchema({"type": "string", "format": "date-time"})]
