"""All stored objects as one document, and what a document asks to be changed: `export`, `plan` and `apply`.

    {"accounts": {ID: {…, "topup": {…}}}, "rules": [{"id": …}], "subscriptions": [{"id": …}]}

Secrets are references, or sealed: they open with the same master key, and for the same object alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from daemon.resources.bodies import ADOPTED, is_money
from daemon.resources.held import body_of
from daemon.resources.model import BodyFault, Change, Kind, RequestRefused
from daemon.store import resources
from daemon.store.connection import Connection
from daemon.store.resources import Row

_ARRAYS = {"rules": Kind.RULE, "subscriptions": Kind.SUBSCRIPTION}
_AT_ONCE = 500
_BARE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


def exported(conn: Connection) -> dict[str, Any]:
    """Return the document of what is stored. Each part is left out where it is empty."""
    accounts: dict[str, Any] = {row.id: _said(row) for row in _rows(conn, Kind.ACCOUNT)}
    for row in _rows(conn, Kind.TOPUP):
        if row.id in accounts:
            accounts[row.id]["topup"] = _said(row, owner=False)
    found: dict[str, Any] = {"accounts": accounts} if accounts else {}
    for name, kind in _ARRAYS.items():
        items = [{"id": row.id, **_said(row)} for row in _rows(conn, kind)]
        found |= {name: items} if items else {}
    return found


def _said(row: Row, *, owner: bool = True) -> dict[str, Any]:
    body = {key: value for key, value in body_of(row).items() if key != ADOPTED}
    return {"owner": row.owner, **body} if owner and row.owner else body


def _rows(conn: Connection, kind: Kind) -> Iterator[Row]:
    after = ""
    while rows := resources.page(conn, kind.value, owner=None, after=after, limit=_AT_ONCE):
        yield from rows
        after = rows[-1].id


def changes_to(conn: Connection, document: Mapping[str, Any], *, prune: bool) -> list[Change]:
    """Return a change for each object that the document names, and with `prune` for each that it does not."""
    wanted = _wanted(document)
    stored = {(kind, row.id): row for kind in Kind for row in _rows(conn, kind)}
    changes = []
    for (kind, id), (path, body) in wanted.items():
        row = stored.get((kind, id))
        version = row.version if row is not None and kind is Kind.TOPUP else None
        changes.append(Change(kind=kind, id=id, body=body, path=path, if_version=version))
    if prune:
        gone = [key for key in stored if key not in wanted]
        changes += [Change(kind=kind, id=id, body=None) for kind, id in gone]
    return changes


def _wanted(document: Mapping[str, Any]) -> dict[tuple[Kind, str], tuple[str, Mapping[str, Any]]]:
    found: dict[tuple[Kind, str], tuple[str, Mapping[str, Any]]] = {}
    faults = [
        BodyFault(
            id="key-unknown", path=str(key), said="there is no such key here", hint="accounts, rules, subscriptions"
        )
        for key in document
        if key not in ("accounts", *_ARRAYS)
    ]
    accounts = document.get("accounts", {})
    if not isinstance(accounts, Mapping):
        faults.append(BodyFault(id="value-type", path="accounts", said="a table of accounts by their ids is expected"))
        accounts = {}
    for id, body in accounts.items():
        path = f"accounts.{id}"
        if not isinstance(body, Mapping):
            faults.append(BodyFault(id="value-type", path=path, said="a table is expected"))
            continue
        found[Kind.ACCOUNT, id] = path, {key: value for key, value in body.items() if key != "topup"}
        if isinstance(topup := body.get("topup"), Mapping):
            found[Kind.TOPUP, id] = f"{path}.topup", topup
        elif topup is not None:
            faults.append(BodyFault(id="value-type", path=f"{path}.topup", said="a table is expected"))
    for name, kind in _ARRAYS.items():
        items = document.get(name, [])
        for number, item in enumerate(items if isinstance(items, list) else [items]):
            path = f"{name}[{number}]"
            id = item.get("id") if isinstance(item, Mapping) else None
            if not isinstance(id, str) or not id:
                faults.append(BodyFault(id="key-missing", path=f"{path}.id", said="each has an id of its own"))
            elif (kind, id) in found:
                faults.append(BodyFault(id="id-duplicate", path=f"{path}.id", said=f"{id} occurs twice"))
            else:
                found[kind, id] = path, item
    if faults:
        raise RequestRefused(422, "invalid", f"{faults[0].path}: {faults[0].said}", tuple(faults))
    return found


# ── as TOML ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def to_toml(document: Mapping[str, Any]) -> str:
    """Return a document as TOML, money as the configuration file writes it."""
    parts = []
    for id, body in document.get("accounts", {}).items():
        parts.append(_table(f"[accounts.{id}]", {key: value for key, value in body.items() if key != "topup"}))
        if "topup" in body:
            parts.append(_table(f"[accounts.{id}.topup]", body["topup"]))
    for name in _ARRAYS:
        parts += [_table(f"[[{name}]]", item) for item in document.get(name, ())]
    return "\n".join(parts)


def _table(head: str, body: Mapping[str, Any]) -> str:
    lines = [f"{_key(key)} = {value if is_money(key) else _value(value)}" for key, value in body.items()]
    return "\n".join([head, *lines, ""])


def _key(text: str) -> str:
    return text if _BARE.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return str(value)
