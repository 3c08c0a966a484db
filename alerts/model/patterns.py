"""Names and patterns of accounts: which of many lists of them cover a name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from fnmatch import translate

_MAGIC = re.compile(r"[*?[]")


def is_glob(pattern: str) -> bool:
    """Whether a pattern may name several: `*`, `?` or a set in brackets."""
    return _MAGIC.search(pattern) is not None


class PatternIndex:
    """Finds the lists that cover a name without asking each: ten thousand with a name each cost what one does."""

    def __init__(self, lists: Iterable[Sequence[str]]) -> None:
        self._first: dict[str, int] = {}
        self._others: dict[str, list[int]] = {}
        """Apart, for most names are in one list: ten thousand numbers are nothing to the garbage collector."""
        self._globs: list[tuple[Callable[[str], object], int]] = []
        for number, patterns in enumerate(lists):
            for pattern in patterns:
                if is_glob(pattern):
                    self._globs.append((_matcher(pattern), number))
                elif self._first.setdefault(pattern, number) != number:
                    self._others.setdefault(pattern, []).append(number)

    def covering(self, name: str) -> list[int]:
        """Return the positions of the lists with this name, or a pattern that matches it (case matters), ascending."""
        found = {number for matches, number in self._globs if matches(name)}
        if (first := self._first.get(name)) is not None:
            found |= {first, *self._others.get(name, ())}
        return sorted(found)


def _matcher(pattern: str) -> Callable[[str], object]:
    """Return a function that is true of the names that match. `fnmatch` keeps few patterns compiled, these all."""
    return _any if pattern == "*" else re.compile(translate(pattern)).match


def _any(name: str) -> bool:
    return True
