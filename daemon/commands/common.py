"""What the commands share: finding the configuration, opening the store, printing tables and JSON, exit codes."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from daemon.config.problems import ConfigError
from daemon.places import Place
from daemon.store import Store, StoreError

if TYPE_CHECKING:
    from daemon.config.model import Config

PIPED_WIDTH = 200
"""Columns of a table that goes to a file or another program: nothing is folded for a screen that is not there."""
OK, NO, USAGE = 0, 1, 2
"""Exit codes: fine · the answer is no, or something failed and was reported · wrong usage or configuration."""
UNIT_DATABASE = "/var/lib/brimful/brimful.db"
"""Where the packaged unit's daemon keeps its database."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options before the command."""

    config: Path | None

    def config_path(self) -> Path:
        """Return where the configuration is: --config, $BRIMFUL_CONFIG, ./config.toml or /etc/brimful/config.toml."""
        if self.config is not None:
            return self.config
        if named := os.environ.get("BRIMFUL_CONFIG"):
            return Path(named)
        here = Path("config.toml")
        return here if here.exists() else Path("/etc/brimful/config.toml")


def fail(message: str, code: int = NO) -> NoReturn:
    """End the command with a sentence on stderr."""
    typer.echo(f"brimful: {message}", err=True)
    raise typer.Exit(code)


@contextmanager
def guarded() -> Iterator[None]:
    """Turn the errors that a user can cause into a sentence and an exit code."""
    try:
        yield
    except ConfigError as error:
        typer.echo(str(error), err=True)
        sys.exit(USAGE)
    except StoreError as error:
        typer.echo(f"brimful: {error}", err=True)
        sys.exit(NO)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(NO)
    except sqlite3.Error as error:
        typer.echo(f"brimful: the database cannot be used: {error}", err=True)
        sys.exit(NO)
    except OSError as error:
        typer.echo(f"brimful: {error.strerror or error}" + (f": {error.filename}" if error.filename else ""), err=True)
        sys.exit(NO)


def load_config(context: typer.Context, *, secrets: bool = True) -> Config:
    """Return the checked configuration, with what the API manages; raises ConfigError with every problem of the file.

    `secrets=False` for a command that only works on the database: it runs where the secrets are not at hand.
    """
    return held_by(context, secrets=secrets)[0]


def held_by(context: typer.Context, *, secrets: bool = True) -> tuple[Config, list[str]]:
    """Return the checked configuration with what the API manages, and what of that does not work, a line each."""
    from daemon.config.load import load

    options: Options = context.obj
    config = load(options.config_path(), secrets=secrets)
    if config.api is None or not config.store.place.exists():
        return config, []
    from daemon.resources.loading import combined

    store = Store(config.store.place, readonly=True)
    try:
        held = combined(config, store.reader, secrets=secrets)
    finally:
        store.close()
    return held.config, [f"{kind} {id}: {problem}" for (kind, id), problem in sorted(held.problems.items())]


def there(place: Place) -> Place:
    """Return the place of a database, where there is one; raises StoreError."""
    if isinstance(place, Path) and not place.exists():
        raise no_database(place)
    return place


def no_database(path: Path, said: str = "`brimful run` or `brimful once` makes it") -> StoreError:
    """Return the error of a database that is not there, with its whole path, and where else it may lie."""
    return StoreError(f"there is no database at {path.absolute()} yet: {said}{elsewhere(path)}")


def elsewhere(path: Place) -> str:
    """Return how to name the daemon's database, where the path depends on the folder that the command is typed in."""
    if path.is_absolute():
        return ""
    return f". A daemon elsewhere has its own (the packaged unit: {UNIT_DATABASE}): name it by [store] path"


@contextmanager
def reading(config: Config) -> Iterator[Store]:
    """Open the store for reading, beside a running daemon or without one. Never migrates."""
    from daemon.store.migrations import require_current

    store = Store(there(config.store.place), readonly=True)
    try:
        require_current(store)
        yield store
    finally:
        store.close()


@contextmanager
def writing(config: Config) -> Iterator[Store]:
    """Open the store for one short transaction, safe beside a running daemon. Never migrates."""
    from daemon.store.migrations import require_current

    store = Store(there(config.store.place))
    try:
        require_current(store)
        yield store
    finally:
        store.close()


def print_json(value: Any) -> None:
    """Print one JSON document, two-space indented, to stdout."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def tell(text: str, document: Mapping[str, Any], *, as_json: bool) -> None:
    """Print what a command did: a sentence, or the same as JSON."""
    if as_json:
        print_json(document)
    else:
        typer.echo(text)


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    right: Sequence[str] = (),
    empty: str = "nothing yet",
) -> None:
    """Print a table for a person; `right` names the columns that are aligned right. Cells are text, never markup."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH)
    if not rows:
        console.print(f"{title}: {empty}", markup=False, highlight=False)
        return
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table, highlight=False)


def fields(pairs: Mapping[str, str]) -> None:
    """Print labelled values under each other, aligned."""
    width = max((len(label) for label in pairs), default=0)
    for label, value in pairs.items():
        typer.echo(f"{label:<{width}}  {value}")
