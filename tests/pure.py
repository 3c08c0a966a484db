"""Which modules are pure, and what a module does that is not: one list for the purity test and for the mutation run.

Pure is what has no clock, no I/O and no chance of its own: its answer depends on its arguments alone. All of `alerts`
is, but for a short list; of `daemon`, what is listed and every module in a folder `policy`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
MODULES = sorted(path for room in ("alerts", "daemon") for path in (ROOT / room).rglob("*.py"))

IMPURE = {
    "alerts/channels/chat.py": "calls Apprise, which blocks, in a thread",
    "alerts/channels/email.py": "fills a template from a file",
    "alerts/channels/content.py": "fills a template from a file",
    "alerts/delivery/__init__.py": "names the lane and the deliverer",
    "alerts/delivery/deliverer.py": "sends",
    "alerts/delivery/worker.py": "sends",
    "alerts/delivery/results.py": "waits for the outbox",
    "alerts/reports/report.py": "fills a template from a file",
    "alerts/reports/report_mail.py": "carries what was filled",
    "alerts/templating.py": "reads the templates",
}
"""The modules of `alerts` that are not pure, each with its reason."""

PURE_OF_DAEMON = (
    "daemon/config/cron.py",
    "daemon/config/durations.py",
    "daemon/resources/ceiling.py",
    "daemon/resources/model.py",
    "daemon/schedule.py",
    "daemon/store/topup_rows.py",
    "daemon/stripe/answers.py",
    "daemon/stripe/declines.py",
    "daemon/stripe/intents.py",
    "daemon/stripe/objects.py",
    "daemon/stripe/requests.py",
)
"""The pure modules of `daemon`, beside all that stand in a folder `policy`: those are pure without being listed."""

RECORDS = {
    "daemon.config.model": "holds a path that a person wrote, and opens none",
}
"""Modules that are not pure, of which a pure one may take classes and constants, but no function."""

LIBRARIES = {
    *("__future__", "array", "base64", "binascii", "bisect", "collections", "contextlib", "csv", "dataclasses"),
    *("datetime", "decimal", "email", "enum", "fnmatch", "fractions", "functools", "hashlib", "heapq", "io"),
    *("itertools", "json", "math", "operator", "random", "re", "statistics", "typing", "urllib.parse", "zoneinfo"),
    *("zlib", "cronsim", "cryptography", "msgspec", "pydantic", "standardwebhooks", "xlsxwriter"),
}
"""All that a pure module may import. Of `random` only a generator with a seed: see `_own_stains`."""

BUILTINS = {"open", "print", "input", "exec", "eval", "__import__"}
CALLS = {"now", "utcnow", "today", "localtime", "formatdate", "make_msgid"}
"""What no pure module calls, the first by their own names alone: it reads, writes or asks for the time."""


def imports(path: Path) -> Iterator[str]:
    """Yield every module that `path` imports, inside functions too; what only a type checker sees is left out.

    `from a import b` gives `a` and `a.b`, since `b` may be a module.
    """
    for node in _walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path} imports relatively"
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue
        yield from _walk(child)


def pure_modules(root: Path = ROOT) -> list[Path]:
    """Return every module that has to be pure, a listed one whether it exists or not."""
    of_alerts = [path for path in (root / "alerts").rglob("*.py") if path.relative_to(root).as_posix() not in IMPURE]
    of_policies = [path for path in (root / "daemon").rglob("*.py") if path.parent.name == "policy"]
    return sorted({*of_alerts, *of_policies, *(root / name for name in PURE_OF_DAEMON)})


@cache
def stains(path: Path, root: Path = ROOT) -> tuple[str, ...]:
    """Return what makes a module impure, by itself or through what it imports of ours; nothing for a pure one."""
    name = path.relative_to(root).as_posix()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = [f"{name}:{line} {what}" for line, what in _own_stains(tree)]
    for line, module in _taken(tree, root):
        ours = _file_of(module, root)
        if ours is not None:
            found += [f"{name}:{line} ▸ {stain}" for stain in stains(ours, root)[:1]]
        elif not any(module == library or module.startswith(f"{library}.") for library in LIBRARIES):
            found.append(f"{name}:{line} imports {module}")
    return tuple(found)


def _taken(tree: ast.AST, root: Path) -> Iterator[tuple[int, str]]:
    """Yield the modules that are used: of `from a import b` only the one that `b` is or is in; no mere records."""
    for node in _walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for name in node.names:
                inner = f"{node.module}.{name.name}"
                if _file_of(inner, root) is not None:
                    yield node.lineno, inner
                elif not (node.module in RECORDS and name.name[0].isupper()):
                    yield node.lineno, node.module


def _own_stains(tree: ast.AST) -> Iterator[tuple[int, str]]:
    ours = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    ours |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    for node in _walk(tree):
        match node:
            case ast.ImportFrom(module="random"):
                yield node.lineno, "takes chance by name"
            case ast.Attribute(value=ast.Name(id="random"), attr=attr) if attr != "Random":
                yield node.lineno, f"uses random.{attr}"
            case ast.Call(func=ast.Attribute(attr="Random"), args=[]):
                yield node.lineno, "draws without a seed"
            case ast.Call(func=ast.Name(id=name)) if name in (BUILTINS - ours) | CALLS:
                yield node.lineno, f"calls {name}()"
            case ast.Call(func=ast.Attribute(value=ast.Name(id="io"), attr="open")):
                yield node.lineno, "calls io.open()"
            case ast.Call(func=ast.Attribute(attr=name)) if name in CALLS:
                yield node.lineno, f"calls {name}()"


def _file_of(module: str, root: Path) -> Path | None:
    """Return the file of a module of ours, None for any other name."""
    base = root.joinpath(*module.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)
