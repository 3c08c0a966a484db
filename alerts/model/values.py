"""Values that are made by the million are msgspec's frozen Structs: a third of what a frozen dataclass costs to make.

They stand outside the garbage collector (`gc=False`): none refers back to what refers to it, and with ten thousand
accounts a full collection that walked them all would hold up the loop. What is made rarely stays a dataclass.
"""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

from msgspec import Struct, structs

Value = TypeVar("Value")


def replace(value: Value, **changes: Any) -> Value:
    """Return a copy of a Struct or dataclass with some fields changed; raises TypeError for one that it has not."""
    if isinstance(value, Struct):
        return structs.replace(value, **changes)
    return dataclasses.replace(value, **changes)  # type: ignore[type-var]  # a dataclass, then
