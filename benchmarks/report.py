"""How a benchmark says what it found: a line a figure, with what was wanted of it."""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure. `wanted` is the most that it may be, None where it is only told."""

    name: str
    value: float
    unit: str
    wanted: float | None = None

    @property
    def is_met(self) -> bool:
        return self.wanted is None or self.value <= self.wanted


def machine() -> str:
    """Return what the figures were measured on, in one line."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    model = names[0].partition(":")[2].strip() if names else platform.processor()
    return f"{os.cpu_count()} x {model}, Python {platform.python_version()}, Linux {platform.release()}"


def finish(title: str, figures: list[Figure], *, as_json: bool = False) -> None:
    """Print the figures and end the process: with 1 where one is over what was wanted."""
    if as_json:
        print(json.dumps({"title": title, "machine": machine(), "figures": [asdict(one) for one in figures]}, indent=1))
    else:
        print(f"{title} ({machine()})")
        for one in figures:
            wanted = (
                "" if one.wanted is None else f"   wanted at most {one.wanted:g}{'' if one.is_met else '   MISSED'}"
            )
            print(f"  {one.name:<52}{one.value:>10.3f} {one.unit:<12}{wanted}")
    sys.exit(0 if all(one.is_met for one in figures) else 1)
