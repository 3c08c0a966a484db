"""Parsed TOML as tables: every unknown key, missing key and invalid value is noted, and the rest is kept."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from daemon.config.problems import ProblemId, Problems, listing, quoted, suggestion
from daemon.config.schema import (
    RULE_TABLES,
    AccountTable,
    ApiTable,
    ChatTable,
    EmailTable,
    HeartbeatTable,
    HttpTable,
    IncludedRoot,
    ReportTable,
    Root,
    RuleTable,
    SmtpTable,
    StoreTable,
    StripeTable,
    Table,
    TopupTable,
    WebhookTable,
)

DEFAULT_RULES = ("spike", "stale")
"""Rules that apply without configuration; their ids are their kinds."""

_ACCOUNT_ID = re.compile(r"[a-z0-9_-]{1,64}", re.ASCII)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)

_PLACES: dict[str, type[Table]] = {
    "to the top level, above the first table": Root,
    "into [accounts.NAME.topup]": TopupTable,
    "into [accounts.NAME]": AccountTable,
    "into [smtp]": SmtpTable,
    "into [http]": HttpTable,
    "into [api]": ApiTable,
    "into [store]": StoreTable,
    "into [stripe]": StripeTable,
}
"""Table each misplaced key belongs to."""

_NONE: Mapping[str, Mapping[str, Any]] = {}

T = TypeVar("T", bound=Table)


@dataclass(frozen=True, slots=True)
class Item(Generic[T]):
    """One table with its key path (`rules[2]`) and its name for a person (`rule "low"`)."""

    table: T
    path: str
    name: str = ""

    def at(self, key: str) -> str:
        return f"{self.path}.{key}"


@dataclass(frozen=True, slots=True)
class Tables:
    """All tables, with the values that are valid."""

    root: Root
    store: Item[StoreTable]
    http: Item[HttpTable]
    heartbeat: Item[HeartbeatTable]
    api: Item[ApiTable]
    stripe: Item[StripeTable] | None
    smtp: Item[SmtpTable] | None
    accounts: Mapping[str, Item[AccountTable]]
    topups: Mapping[str, Item[TopupTable]]
    rules: tuple[Item[RuleTable], ...]
    webhooks: tuple[Item[WebhookTable], ...]
    emails: tuple[Item[EmailTable], ...]
    chats: tuple[Item[ChatTable], ...]
    reports: tuple[Item[ReportTable], ...]


def read(document: Mapping[str, Any], problems: Problems, included: Mapping[str, Mapping[str, Any]] = _NONE) -> Tables:
    """Return the tables of the document and of its included files, and note their problems.

    `included`: by file name, which is the prefix of that file's key paths.
    """
    root = table_of(Root, document, "", "", problems)
    many: list[tuple[str, IncludedRoot]] = [("", root)]
    for file, there in included.items():
        many.append((f"{file}: ", table_of(IncludedRoot, there, f"{file}: ", "", problems)))
    accounts = _accounts(many, problems)
    return Tables(
        root=root,
        store=_single(StoreTable, "store", root.store, problems) or Item(StoreTable(), "store"),
        http=_single(HttpTable, "http", root.http, problems) or Item(HttpTable(), "http"),
        heartbeat=_single(HeartbeatTable, "heartbeat", root.heartbeat, problems) or Item(HeartbeatTable(), "heartbeat"),
        api=_single(ApiTable, "api", root.api, problems) or Item(ApiTable(), "api"),
        stripe=_single(StripeTable, "stripe", root.stripe, problems),
        smtp=_single(SmtpTable, "smtp", root.smtp, problems),
        accounts=accounts,
        topups={
            id: topup
            for id, account in accounts.items()
            if (topup := _single(TopupTable, account.at("topup"), account.table.topup, problems)) is not None
        },
        rules=tuple(item for where, one in many for item in _rules(where, one.rules, problems)),
        webhooks=_arrays(WebhookTable, "webhooks", "webhook", [(w, one.webhooks) for w, one in many], problems),
        emails=_arrays(EmailTable, "emails", "email", [(w, one.emails) for w, one in many], problems),
        chats=_arrays(ChatTable, "chat", "chat", [(w, one.chat) for w, one in many], problems),
        reports=_arrays(ReportTable, "reports", "report", [(w, one.reports) for w, one in many], problems),
    )


def _single(kind: type[T], path: str, value: Any, problems: Problems) -> Item[T] | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        hint = f"write [{path}] in single brackets, once"
        problems.add(ProblemId.VALUE_TYPE, path, "a table is expected", hint)
        return None
    return Item(table_of(kind, value, path, "", problems), path)


def _entries(path: str, value: Any, problems: Problems) -> list[tuple[int, dict[str, Any]]]:
    if value is None:
        return []
    if not isinstance(value, list):
        problems.add(
            ProblemId.VALUE_TYPE, path, "a list of tables is expected", f"write [[{path}]], in double brackets"
        )
        return []
    for index, entry in enumerate(value):
        if not isinstance(entry, dict):
            problems.add(ProblemId.VALUE_TYPE, f"{path}[{index}]", "a table is expected", f"write [[{path}]]")
    return [(index, entry) for index, entry in enumerate(value) if isinstance(entry, dict)]


def _arrays(
    kind: type[T], path: str, noun: str, values: Sequence[tuple[str, Any]], problems: Problems
) -> tuple[Item[T], ...]:
    items = []
    for where, value in values:
        for index, entry in _entries(where + path, value, problems):
            place, name = f"{where}{path}[{index}]", _name(noun, entry)
            items.append(Item(table_of(kind, entry, place, name, problems), place, name))
    return tuple(items)


def _rules(where: str, value: Any, problems: Problems) -> tuple[Item[RuleTable], ...]:
    items = []
    for index, entry in _entries(f"{where}rules", value, problems):
        place, name = f"{where}rules[{index}]", _name("rule", entry)
        kind = entry.get("kind", entry.get("id") if entry.get("id") in DEFAULT_RULES else None)
        table = RULE_TABLES.get(kind) if isinstance(kind, str) else None
        if table is None:
            _note_kind(kind, place, name, problems)
        else:
            items.append(Item(table_of(table, {**entry, "kind": kind}, place, name, problems), place, name))
    return tuple(items)


def _note_kind(kind: Any, place: str, name: str, problems: Problems) -> None:
    hint = suggestion(kind, RULE_TABLES) if isinstance(kind, str) else ""
    said = f"there is no kind of rule {word}" if (word := quoted(kind)) else "there is no such kind of rule"
    said = "a rule needs a kind" if kind is None else said
    problems.add(ProblemId.RULE_KIND, f"{place}.kind", said, hint or f"it is {listing(RULE_TABLES)}", item=name)


def _accounts(many: Sequence[tuple[str, IncludedRoot]], problems: Problems) -> dict[str, Item[AccountTable]]:
    accounts: dict[str, Item[AccountTable]] = {}
    for where, root in many:
        value = root.accounts
        if value is None:
            continue
        if not isinstance(value, dict):
            hint = "write [accounts.NAME] for each account"
            problems.add(ProblemId.VALUE_TYPE, f"{where}accounts", "a table of accounts is expected", hint)
            continue
        for id, entry in value.items():
            place = f"{where}accounts.{_key(id)}"
            if not _ACCOUNT_ID.fullmatch(id):
                said = "an account's id is small letters, digits, '-' and '_', at most 64 of them"
                problems.add(ProblemId.ID_INVALID, place, said, "the label may say anything")
            if not isinstance(entry, dict):
                hint = f"write [accounts.{_key(id)}]; a key of the top level belongs above the first table"
                problems.add(ProblemId.VALUE_TYPE, place, "a table is expected", hint)
            elif id in accounts:
                said = f"this account is at {accounts[id].path} already"
                problems.add(ProblemId.ID_DUPLICATE, place, said, "give it an id of its own")
            else:
                accounts[id] = Item(table_of(AccountTable, entry, place, "", problems), place)
    return accounts


def table_of(kind: type[T], data: Mapping[str, Any], path: str, name: str, problems: Problems) -> T:
    """Return the table without invalid values. A misspelt key counts as the key that it resembles."""
    values, meant = _spelt(kind, dict(data), path, name, problems)
    broken: set[str] = set()
    try:
        table = kind.model_validate(values)
    except ValidationError as error:
        for details in error.errors(include_url=False, include_input=False):
            _note(details, path, name, problems, meant)
            broken.add(str(details["loc"][0]))
        table = kind.model_validate({key: value for key, value in values.items() if key not in broken})
    table._broken = frozenset(broken)
    given = table.given
    for key in kind.required:
        if key not in given:
            problems.add(ProblemId.KEY_MISSING, _join(path, key), "this key is needed", item=name)
    return table


def _spelt(
    kind: type[Table], data: dict[str, Any], path: str, name: str, problems: Problems
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the data by known keys, and for each corrected key how it was written."""
    known = keys_of(kind)
    values = {key: value for key, value in data.items() if key in known}
    written: dict[str, str] = {}
    for key, value in data.items():
        if key in known:
            continue
        hint = suggestion(key, [k for k in known if k not in data]) or suggestion(key, known)
        problems.add(
            ProblemId.KEY_UNKNOWN,
            _join(path, _key(key)),
            "there is no such key here",
            hint or _elsewhere(key, known),
            item=name,
        )
        near = next((k for k in known if hint and f'"{k}"' in hint), None)
        if near is not None and near not in values:
            values[near] = value
            written[near] = key
    return values, written


def _elsewhere(key: str, known: tuple[str, ...]) -> str:
    if known == keys_of(IncludedRoot) and key in keys_of(Root):
        return "it belongs into the main configuration: an included file holds accounts, rules, receivers and reports"
    kinds = [kind for kind, table in RULE_TABLES.items() if key in keys_of(table)]
    if kinds and "remind_every" in known:
        return f"it belongs to a rule of the kind {listing(kinds)}"
    for place, table in _PLACES.items():
        if key in keys_of(table):
            return f"it belongs {place}"
    return f"known here: {', '.join(known)}"


@cache
def keys_of(kind: type[Table]) -> tuple[str, ...]:
    """Return the keys of a table as they are written."""
    return tuple(info.alias or key for key, info in kind.model_fields.items())


def _note(details: ErrorDetails, path: str, name: str, problems: Problems, written: Mapping[str, str]) -> None:
    place = path
    for depth, part in enumerate(details["loc"]):
        key = written.get(str(part), str(part)) if depth == 0 else part
        place = f"{place}[{key}]" if isinstance(key, int) else _join(place, _key(key))
    context = details.get("ctx", {})
    if "said" in context:
        problems.add(ProblemId(details["type"]), place, str(context["said"]), str(context.get("hint", "")), item=name)
    else:
        said = "a table is expected" if details["type"] in ("dict_type", "model_type") else "a list is expected"
        problems.add(ProblemId.VALUE_TYPE, place, said, item=name)


def _name(noun: str, entry: Mapping[str, Any]) -> str:
    id = entry.get("id")
    return f'{noun} "{id[:64]}"' if isinstance(id, str) and id.isprintable() else ""


def _key(key: str) -> str:
    if _BARE_KEY.fullmatch(key):
        return key
    shown = key[:64].encode("unicode_escape").decode().replace('"', '\\"')
    return f'"{shown}"'


def _join(path: str, key: str) -> str:
    return f"{path}{key}" if not path or path.endswith(": ") else f"{path}.{key}"
