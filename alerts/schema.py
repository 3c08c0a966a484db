"""The JSON Schemas of all event types (2020-12), as they ship with the package: one file a type, of its name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from alerts.events import EventType


@cache
def schema(type: EventType) -> Mapping[str, Any]:
    """Return the schema of a whole body of this type: `type`, `timestamp` and `data`."""
    found: dict[str, Any] = json.loads((files("alerts") / "schemas" / f"{type.value}.json").read_bytes())
    return found


def schemas() -> Mapping[EventType, Mapping[str, Any]]:
    """Return the schemas of all types."""
    return {type: schema(type) for type in EventType}
