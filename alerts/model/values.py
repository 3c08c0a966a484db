"""Values created by the million are msgspec's frozen Structs: creating one costs a third of a frozen dataclass.

The garbage collector skips them (`gc=False`): they form no cycles, and with ten thousand accounts a full collection
over all of them would delay the event loop. Other values are dataclasses.
"""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

from msgspec import Struct, structs

Value = TypeVar("Value")


def replace(value: Value, **changes: Any) -> Value:
    """Return a copy of a Struct or dataclass with some fields changed; raises TypeError for an unknown field."""
    if isinstance(value, Struct):
        return structs.replace(value, **changes)
    return dataclasses.replace(value, **changes)  # type: ignore[type-var]  # a dataclass, then
