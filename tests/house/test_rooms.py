"""The rooms of the house, as their imports and their sizes show them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.house.figures import homonyms, lines_of, reached, relative, running_up, tree
from tests.pure import MODULES, ROOT, imports

LINES_AT_MOST = 450

FORBIDDEN = {
    "alerts": {"daemon"},
    "alerts/rules": {"alerts.delivery", "alerts.channels", "alerts.forecast.afford"},
    "alerts/forecast": {"alerts.delivery", "alerts.channels", "alerts.rules"},
    "daemon/config": {
        *(
            "daemon.sources.fetcher",
            "daemon.store",
            "daemon.topups",
            "daemon.work.service",
            "daemon.web",
            "daemon.commands",
        )
    },
    "daemon/sources": {
        *(
            "daemon.config",
            "daemon.store",
            "daemon.topups",
            "daemon.work.service",
            "daemon.commands",
            "daemon.demo.standins",
        )
    },
    "daemon/store": {
        "daemon.sources",
        "daemon.work.service",
        "daemon.commands",
        "daemon.demo.standins",
        "daemon.net.http",
    },
    "daemon/topups": {"daemon.sources", "daemon.work.service", "daemon.commands", "daemon.demo.standins"},
    "daemon/api": {"daemon.commands", "daemon.demo.standins", "daemon.stripe.gateway", "daemon.topups"},
    "daemon/web": {"daemon.api", "daemon.commands", "daemon.demo.standins", "daemon.stripe.gateway"},
    "daemon/demo/standins": {
        "daemon.store",
        "daemon.work.service",
        "daemon.commands",
        "daemon.sources",
        "daemon.topups",
    },
}
"""What a room never reaches for: data walks one way, from the answer to the delivered event."""

SQL_STARTS = ("SELECT ", "INSERT ", "UPDATE ", "DELETE ", "CREATE ", "PRAGMA ", "ALTER ", "BEGIN", "WITH ", "DROP ")


def reaches(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.")


def of_room(room: str) -> list[Path]:
    return [path for path in MODULES if path.is_relative_to(ROOT / room)]


@pytest.mark.parametrize("room", FORBIDDEN)
def test_room_imports_nothing_that_lies_after_it(room: str) -> None:
    assert of_room(room), "no such room"
    for forbidden in FORBIDDEN[room]:
        place = ROOT / forbidden.replace(".", "/")
        assert place.is_dir() or place.with_suffix(".py").is_file(), f"no such module: {forbidden}"
    found = [
        f"{relative(path)} imports {module}"
        for path in of_room(room)
        for module in imports(path)
        for forbidden in FORBIDDEN[room]
        if reaches(module, forbidden)
    ]
    assert found == []


def test_no_import_runs_up_and_no_two_rooms_import_each_other() -> None:
    assert running_up(reached()) == []


def test_the_lighter_side_of_a_ring_runs_up() -> None:
    line = {"daemon.cli": {"daemon.a"}, "daemon.a.one": {"daemon.b"}, "daemon.a.two": {"daemon.b"}, "daemon.b": set()}
    assert running_up(line) == []
    assert running_up(line | {"daemon.b": {"daemon.a"}}) == ["daemon.b → daemon.a"]
    assert running_up(line | {"daemon.b": {"daemon.c"}, "daemon.c": {"daemon.a"}}) == ["daemon.b → daemon.c"]


LINES_OF_TOPUPS = 3596
"""What charges is read in one sitting: the figure may fall, and does not grow."""


def test_what_charges_stays_short() -> None:
    assert lines_of("daemon/topups") <= LINES_OF_TOPUPS


def test_a_name_means_one_class() -> None:
    assert homonyms() == {}


def test_only_the_service_is_composed_of_the_parts() -> None:
    """`daemon.work.service` is imported by what runs it, and by nothing that it is made of."""
    runners = (
        "daemon/commands/",
        "daemon/compose.py",
        "daemon/process/",
        "daemon/demo/",
        "daemon/web/",
        "daemon/api/",
        "daemon/service",
        "daemon/simulator",
    )
    found = [
        relative(path)
        for path in MODULES
        if any(reaches(module, "daemon.work.service") for module in imports(path))
        and not relative(path).startswith(runners)
    ]
    assert found == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: relative(path))
def test_module_is_one_noun_and_stays_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LINES_AT_MOST
    if text.strip():
        assert ast.get_docstring(ast.parse(text)), "a module says first what it promises"


def test_sql_stands_in_the_store_alone() -> None:
    found = []
    for path in MODULES:
        if path.is_relative_to(ROOT / "daemon" / "store"):
            continue
        for node in ast.walk(tree(path)):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or not node.args:
                continue
            if node.func.attr not in ("execute", "executemany", "executescript"):
                continue
            first = node.args[0]
            parts = first.values if isinstance(first, ast.JoinedStr) else [first]
            if any(isinstance(p, ast.Constant) and str(p.value).lstrip().upper().startswith(SQL_STARTS) for p in parts):
                found.append(f"{relative(path)}:{node.lineno}")
    assert found == []


CLOCK_CALLS = {("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today"), ("time", "time")}


def test_clock_is_asked_in_one_module() -> None:
    found = []
    for path in MODULES:
        if relative(path) == "daemon/clock.py":
            continue
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                owner = node.func.value
                name = (
                    owner.attr if isinstance(owner, ast.Attribute) else owner.id if isinstance(owner, ast.Name) else ""
                )
                if (name, node.func.attr) in CLOCK_CALLS:
                    found.append(f"{relative(path)}:{node.lineno}")
    assert found == []


def test_no_float_is_made_near_money() -> None:
    found = [
        f"{relative(path)}:{node.lineno}"
        for room in ("alerts", "daemon/store", "daemon/topups")
        for path in of_room(room)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float"
    ]
    assert found == []


def test_broad_except_stands_in_the_wrappers_alone() -> None:
    found = []
    for path in MODULES:
        for node in ast.walk(tree(path)):
            if not isinstance(node, ast.ExceptHandler):
                continue
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            broad = any(
                c is None or (isinstance(c, ast.Name) and c.id in ("Exception", "BaseException")) for c in caught
            )
            if broad and not any(isinstance(inner, ast.Raise) and inner.exc is None for inner in ast.walk(node)):
                found.append(relative(path))
    assert set(found) <= BROAD, found


BROAD = {
    "daemon/api/access.py",
    "daemon/jobs.py",
    "daemon/work/poller.py",
    "daemon/web/guard.py",
    "daemon/demo/standins/loopback.py",
}
"""The wrappers: of a request, a job, a batch of polls, a page, and of the stand-ins' server, which no test may hang."""
