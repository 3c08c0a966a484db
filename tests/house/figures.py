"""The structure of the house in figures, as its tests hold them: `python -m tests.house.figures` prints them."""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from daemon.sources.provider import Provider
from daemon.sources.registry import PROVIDERS
from tests.pure import MODULES, ROOT, imports

PRODUCT = ("alerts", "daemon", "templates")


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def lines_of(room: str) -> int:
    """Return how many lines the modules of a room have."""
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in (ROOT / room).rglob("*.py"))


def naming_providers() -> list[str]:
    """Return the files of the product that name a provider, in code or in words."""
    files = (path for room in PRODUCT for path in sorted((ROOT / room).rglob("*")))
    named = [re.compile(_name(one), re.IGNORECASE) for one in PROVIDERS.values()]
    texts = ((path, path.read_text(encoding="utf-8", errors="ignore")) for path in files if path.is_file())
    return [relative(path) for path, text in texts if path.suffix != ".pyc" and any(one.search(text) for one in named)]


def _name(provider: Provider) -> str:
    if provider.by_account:  # its name is a word of its own: only as a provider's it counts
        return rf"\bproviders?\b\W+{provider.name}\b"
    return rf"{provider.name}|{re.escape(provider.title)}"


def homonyms() -> Mapping[str, list[str]]:
    """Return the names of classes that several modules define, with the modules; stand-ins are left out."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in MODULES:
        if "standins" in path.parts:
            continue
        for name in {node.name for node in tree(path).body if isinstance(node, ast.ClassDef)}:
            found[name].append(relative(path))
    return {name: modules for name, modules in sorted(found.items()) if len(modules) > 1}


def _room(module: str) -> str:
    return ".".join(module.split(".")[:2])


def reached() -> Mapping[str, set[str]]:
    """Return the rooms that each module imports, but its own. A package is a room, and so is a loose module."""
    names = {relative(path).removesuffix(".py").replace("/", ".").removesuffix(".__init__"): path for path in MODULES}
    rooms = {_room(name) for name in names} - {"alerts", "daemon"}
    return {name: {_room(target) for target in imports(path)} & rooms - {_room(name)} for name, path in names.items()}


def running_up(found: Mapping[str, set[str]]) -> list[str]:
    """Return which of the imports run up, as `module → room`: none where the rooms can stand one above the other.

    In a ring of rooms that import each other, the room of which the fewest modules import another stands lowest.
    """
    weights: dict[str, Counter[str]] = defaultdict(Counter)
    for module, targets in found.items():
        weights[_room(module)].update(targets)
    below = {room: _below(room, weights) for room in list(weights)}
    rings = {frozenset(other for other in below[room] if room in below[other]) for room in below if room in below[room]}
    above: set[tuple[str, str]] = set()
    for ring in rings:
        left = set(ring)
        while left:
            lowest = min(sorted(left), key=lambda room: sum(weights[room][other] for other in left))
            left.remove(lowest)
            above.update((lowest, other) for other in left)
    return [
        f"{module} → {room}"
        for module, targets in found.items()
        for room in sorted(targets)
        if (_room(module), room) in above
    ]


def _below(room: str, weights: Mapping[str, Counter[str]]) -> set[str]:
    """Return every room that a room imports, and that these import."""
    found: set[str] = set()
    ahead = [room]
    while ahead:
        new = weights.get(ahead.pop(), Counter()).keys() - found
        found |= new
        ahead.extend(new)
    return found


def main() -> None:
    shared, up, naming = homonyms(), running_up(reached()), naming_providers()
    print(f"lines of daemon/topups: {lines_of('daemon/topups')}")
    print(f"files that name a provider: {len(naming)}", *naming, sep="\n    ")
    total = sum(map(len, shared.values()))
    named = (f"{name}: {', '.join(modules)}" for name, modules in shared.items())
    print(f"homonyms: {len(shared)} names of {total} classes", *named, sep="\n    ")
    print(f"imports that run up: {len(up)}", *up, sep="\n    ")


if __name__ == "__main__":
    main()
