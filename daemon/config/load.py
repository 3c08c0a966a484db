"""Load a TOML file: return `Config`, or all its problems at once."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import tomli
from pydantic import SecretStr

from alerts.model.patterns import is_glob
from daemon.config import build
from daemon.config.lint import LintFacts, lint
from daemon.config.lint.process import (
    master_key_paths,
    server_of,
    store_folder,
    store_of_unit,
    templates_folder,
    zone,
)
from daemon.config.lint.receivers import secret_paths
from daemon.config.model import Config
from daemon.config.problems import ConfigError as ConfigError
from daemon.config.problems import Problem, ProblemId, Problems
from daemon.config.problems import summary as summary
from daemon.config.reading import Tables, read
from daemon.config.secret import Composed, Secrets, in_json, percent_encoded
from daemon.limits import CONFIG_BYTES, INCLUDED_FILES, WARNINGS_LOGGED
from daemon.places import Place
from daemon.sources.preset import is_param, with_params

_WHERE = re.compile(r"^(?P<said>.*?) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$", re.DOTALL)
LITERAL_IN_QUERY = re.compile(r"[?&][^=&]*(?:auth|key|token|secret|password)[^=&]*=[^$&][^&]{7,}", re.IGNORECASE)
_SECRET_HEADER = re.compile(r"auth|key|token|secret|cookie|password", re.IGNORECASE)


Parse = Callable[..., dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Inspection:
    """The result of reading a configuration: `config` is None if it has an error, `facts` if it is not TOML.

    Further checks (of the database, of the usage APIs' answers) add to `problems`.
    """

    path: Path
    config: Config | None
    noted: Problems
    facts: LintFacts | None = None

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Every problem found so far, errors first."""
        return self.noted.sorted


@dataclass(frozen=True, slots=True)
class Outline:
    """The part of a configuration that is valid whatever else is wrong: the database's path, and the accounts."""

    store: Place
    accounts: frozenset[str]
    topups: frozenset[str]


def load(path: Path, *, secrets: bool = True, environ: Mapping[str, str] | None = None) -> Config:
    """Return the checked configuration at `path`; raises ConfigError with every problem.

    With `secrets=False` an unset secret is empty and only a warning: for `check` and commands that only read the
    database. Whatever polls, charges or delivers needs the secrets.
    """
    found = inspect(path, secrets=secrets, environ=environ)
    if found.config is None:
        raise ConfigError(path, found.problems)
    return found.config


def inspect(
    path: Path, *, secrets: bool = True, environ: Mapping[str, str] | None = None, parse: Parse = tomli.loads
) -> Inspection:
    """Return the configuration at `path` with all its problems. Does not raise for a bad one.

    `parse` reads TOML: tomli takes a quarter of the time; tomllib, in pure Python, lets other threads run.
    """
    environ = os.environ if environ is None else environ
    problems = Problems()
    document = _document(path, problems, parse)
    if document is None:
        return Inspection(path, None, problems)
    tables = read(document, problems, _included(document, path, problems, parse))
    references = Secrets(environ, path.parent, problems, required=secrets)
    secrets_read, texts = resolved(tables, references), composed(tables, references, problems)
    facts = LintFacts(tables, secrets_read, zone(tables.root.timezone, problems), problems, texts)
    lint(facts)
    store = _store(tables, environ, path, problems)
    templates = build.templates_at(tables.root.templates, path)
    if templates is not None:
        templates_folder(templates, problems)
    config = None
    if not problems.errors:
        config = build.build(facts, path, store, lines(problems))
    return Inspection(path, config, problems, facts)


def outline(path: Path, *, environ: Mapping[str, str] | None = None) -> Outline:
    """Return the outline of a configuration that may be half edited: for commands that must work all the same.

    Raises ConfigError only if the database's path is unknown: the text is not TOML, or the path is invalid.
    """
    problems = Problems()
    document = _document(path, problems, tomli.loads)
    if document is None:
        raise ConfigError(path, problems.sorted)
    tables = read(document, problems, _included(document, path, problems, tomli.loads))
    store = _store(tables, os.environ if environ is None else environ, path, problems)
    wrong = tuple(problem for problem in problems.errors if problem.key_path in ("store", "store.path", "store.url"))
    if wrong:
        raise ConfigError(path, wrong)
    return Outline(store, frozenset(tables.accounts), frozenset(tables.topups))


def _store(tables: Tables, environ: Mapping[str, str], path: Path, problems: Problems) -> Place:
    """Return where the store is. Every command needs its URL: a secret that is not there is an error for all."""
    table = tables.store.table
    if table.url:
        return server_of(table.url, table.path, Secrets(environ, path.parent, problems, required=True), problems)
    store = build.store_at(table.path, environ)
    store_folder(store, problems)
    store_of_unit(table.path, store, environ, problems)
    return store


def documents(path: Path) -> dict[Path, dict[str, Any]]:
    """Return the configuration and its included files as they are written, those that can be read."""
    problems = Problems()
    document = _document(path, problems, tomli.loads)
    if document is None:
        return {}
    included = _included(document, path, problems, tomli.loads)
    return {path: document, **{path.parent / name: there for name, there in included.items()}}


def lines(problems: Collection[Problem]) -> tuple[str, ...]:
    """Return the first problems, one line each, for a log; a last line counts them if there are more."""
    said = [
        f"{problem.id.value} {problem.key_path}: {problem.message}" for problem in islice(problems, WARNINGS_LOGGED)
    ]
    if len(problems) > len(said):
        said.append(f"{len(problems)} warnings in all: ask `brimful check`")
    return tuple(said)


def _included(document: Mapping[str, Any], path: Path, problems: Problems, parse: Parse) -> dict[str, dict[str, Any]]:
    """Return the files that `include` names, by their path relative to the configuration's folder, in order."""
    patterns = document.get("include")
    found: dict[str, dict[str, Any]] = {}
    for number, pattern in enumerate(patterns if isinstance(patterns, list) else ()):
        if not isinstance(pattern, str):
            continue  # `read` notes it
        where, folder = f"include[{number}]", path.parent
        try:
            whole = folder / Path(pattern).expanduser()
            root = Path(whole.anchor)
            files = sorted(root.glob(str(whole.relative_to(root))))
        except (OSError, ValueError, RuntimeError, IndexError) as error:  # IndexError: "/" leaves no pattern
            problems.add(ProblemId.VALUE_INVALID, where, f"this names no files: {error}", 'such as "accounts.d/*.toml"')
            continue
        if not files and not is_glob(pattern):
            problems.add(ProblemId.FILE_UNREADABLE, where, f"there is no file {pattern}", "a glob may name no file yet")
        for file in files:
            name = str(file.relative_to(folder)) if file.is_relative_to(folder) else str(file)
            if name in found or file.resolve() == path.resolve() or file.is_dir():
                continue
            if len(found) >= INCLUDED_FILES:
                problems.add(ProblemId.VALUE_RANGE, where, f"at most {INCLUDED_FILES} files are included")
                break
            if (there := _document(file, problems, parse, f"{name}: ")) is not None:
                found[name] = there
    return found


def _document(path: Path, problems: Problems, parse: Parse, where: str = "") -> dict[str, Any] | None:
    """Return the parsed file, or None with its problems noted; `where` is the prefix of their places."""
    try:
        with path.open("rb") as file:
            raw = file.read(CONFIG_BYTES + 1)
    except OSError as error:
        said = f"the file cannot be read: {(error.strerror or 'unknown reason').lower()}"
        problems.add(ProblemId.FILE_UNREADABLE, str(path), said, "" if where else "`brimful init` writes one")
        return None
    if len(raw) > CONFIG_BYTES:
        said = f"one file of a configuration has at most {CONFIG_BYTES // 1024**2} MiB"
        problems.add(ProblemId.FILE_TOO_LARGE, str(path), said, 'let include = ["accounts.d/*.toml"] name several')
        return None
    try:
        return parse(raw.decode("utf-8-sig"), parse_float=Decimal)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        problems.add(ProblemId.TOML_SYNTAX, f"{where}line {line}", "this is not UTF-8 text")
    except (tomli.TOMLDecodeError, tomllib.TOMLDecodeError) as error:
        _note_syntax(str(error), where, problems)
    except RecursionError:
        problems.add(ProblemId.TOML_SYNTAX, str(path), "it is nested too deeply")
    return None


def _note_syntax(text: str, place: str, problems: Problems) -> None:
    match = _WHERE.match(text)
    if match is None:
        problems.add(ProblemId.TOML_SYNTAX, f"{place}the file", text)
        return
    where = f"line {match['line']}, column {match['column']}" if match["line"] else "the end of the file"
    said = match["said"]
    hint = 'write text in "quotes", and each key once' if said == "Invalid value" else ""
    problems.add(ProblemId.TOML_SYNTAX, place + where, f"{said[:1].lower()}{said[1:]}", hint)


def composed(tables: Tables, secrets: Secrets, problems: Problems) -> dict[str, Composed]:
    """Return by key path what accounts say with secrets in it: URL, params, headers and body."""
    found: dict[str, Composed] = {}
    for account in tables.accounts.values():
        table = account.table
        if not table.by_account:
            continue
        params: dict[str, str] = {}
        for name, value in table.params.items():
            path = account.at(f"params.{name}")
            found[path] = secrets.compose(value, path)
            params[name] = found[path].text.get_secret_value()
        if url := table.effective("url"):
            filled = with_params(url, {name: value for name, value in params.items() if is_param(value)})
            found[account.at("url")] = secrets.compose(filled, account.at("url"), encode=percent_encoded)
            if LITERAL_IN_QUERY.search(url):
                hint = 'write auth = "query:NAME", or "${env:NAME}" in its place'
                problems.add(
                    ProblemId.SECRET_LITERAL, account.at("url"), "a secret is in the configuration itself", hint
                )
        if body := table.effective("body"):
            encode = in_json if body.lstrip()[:1] in ("{", "[") else str
            found[account.at("body")] = secrets.compose(body, account.at("body"), encode=encode)
        for name, value in table.effective_headers.items():
            path, is_plain = account.at(f"headers.{name}"), not _SECRET_HEADER.search(name)
            found[path] = secrets.compose(value, path, literal_is_ok=is_plain)
    return found


def resolved(tables: Tables, secrets: Secrets) -> dict[str, SecretStr]:
    """Return the secrets by key path, each read once; those that nothing uses are left out."""
    found: dict[str, SecretStr] = {}

    def take(reference: str | None, path: str, item: str = "", *, literal_is_ok: bool = False) -> None:
        if reference is not None:
            found[path] = secrets.resolve(reference, path, item, literal_is_ok=literal_is_ok)

    for account in tables.accounts.values():
        take(account.table.api_key, account.at("api_key"))
    if tables.stripe is not None:
        take(tables.stripe.table.api_key, "stripe.api_key")
    if tables.smtp is not None and tables.smtp.table.username:
        take(tables.smtp.table.password or None, "smtp.password")
    take(tables.http.table.token or None, "http.token")
    if tables.api.table.enabled:
        for reference, path in zip(tables.api.table.master_key or (), master_key_paths(tables.api), strict=True):
            take(reference, path)
    take(tables.heartbeat.table.url or None, "heartbeat.url", literal_is_ok=True)
    for webhook in tables.webhooks:
        take(webhook.table.url, webhook.at("url"), webhook.name, literal_is_ok=True)
        for reference, path in zip(webhook.table.secret or (), secret_paths(webhook), strict=True):
            take(reference, path, webhook.name)
    for chat in tables.chats:
        take(chat.table.url, chat.at("url"), chat.name)
    return found
