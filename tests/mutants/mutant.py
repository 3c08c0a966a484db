"""What a planted bug is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """One bug. `focus` names the faults that every seed must have for it to have a chance to show.

    `also` plants it deeper, where a second line of defence would hide it: more places, as (file, old, new).
    """

    name: str
    file: str
    old: str
    new: str
    why: str
    focus: str = ""
    also: tuple[tuple[str, str, str], ...] = ()
    slow: bool = False
    """Whether it takes more than a handful of seeds: left out of a sample."""
    world: str = "tests.sim"
    """The simulator that has to catch it."""

    @property
    def places(self) -> tuple[tuple[str, str, str], ...]:
        """Every (file, old, new) of it."""
        return ((self.file, self.old, self.new), *self.also)
