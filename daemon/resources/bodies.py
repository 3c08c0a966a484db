"""Bodies of objects: one normal form of what callers write, as it is kept, as the tables read it, and as it is shown.

Money is a decimal text, whichever way it came (a number, a text, TOML's own); a null is a key that is not there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from daemon.config.reading import keys_of
from daemon.config.schema import RULE_TABLES, AccountTable, Table, TopupTable, WebhookTable
from daemon.config.values import Text
from daemon.resources.model import Kind

HIDDEN = "(secret)"
"""What stands for a secret in an answer; written back, it leaves the secret as it is."""
CHANGED = "(changed)"
"""What stands for a secret in the audit."""
OWN_KEYS = ("owner", "email", "timezone")
"""What an account made by API says beyond the file's table."""
ADOPTED = "adopted"
"""Set in an object that `adopt` took over: the file may still name it, and is not asked."""
_READ_ONLY = frozenset(
    {"id", "status", "managed_by", "version", "created_at", "changed_at", "archived_at", "problem", ADOPTED}
)
_NOT_SHOWN = {Kind.ACCOUNT: frozenset({"api_key"}), Kind.SUBSCRIPTION: frozenset({"secret", "overlap_until"})}
_MONEY = frozenset({"below", "clear_above", "limit", "threshold", "min_usd_per_day"})
_NUMBER = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?", re.ASCII)
_HARMLESS = re.compile(r"accept(-.*)?|content-type|user-agent|.*-version|version", re.IGNORECASE)

_SECRET_NAME = re.compile(r"auth|key|token|secret|password", re.IGNORECASE)


class ApiAccountTable(AccountTable):
    """An account as the API takes it."""

    owner: Text = ""
    email: Text = ""
    timezone: Text = ""


class SubscriptionTable(WebhookTable):
    """A subscription: a webhook, as the API takes it. Its secrets are drawn, not given."""

    overlap_until: Text = ""
    label: Text = ""


_TABLES: dict[Kind, type[Table]] = {
    Kind.ACCOUNT: ApiAccountTable,
    Kind.TOPUP: TopupTable,
    Kind.SUBSCRIPTION: SubscriptionTable,
}


def table_of_kind(kind: Kind, body: Mapping[str, Any]) -> type[Table] | None:
    """Return the table that reads a body, None for a rule of no known kind."""
    if kind is Kind.RULE:
        said = body.get("kind", body.get("id"))
        return RULE_TABLES.get(said) if isinstance(said, str) else None
    return _TABLES[kind]


def is_secret_header(name: str) -> bool:
    """Whether the value of a request header may be a secret: all but a few that never are."""
    return not _HARMLESS.fullmatch(name)


def is_secret_param(name: str) -> bool:
    """Whether what stands in a place of the URL may be a secret, by the place's name."""
    return _SECRET_NAME.search(name) is not None


def is_money(key: str) -> bool:
    """Whether a key of a body holds an amount, or a volume: a decimal text."""
    return key in _MONEY or key.endswith(("_usd", "_gb"))


def normal(kind: Kind, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a body in its normal form: without nulls and read-only keys, numbers in one way, in the table's order."""
    said = {
        key: _money(value) if is_money(key) else _plain(value)
        for key, value in body.items()
        if value is not None and key not in _READ_ONLY
    }
    if kind is Kind.SUBSCRIPTION and "account" in said and "accounts" not in said:
        said["accounts"] = [said.pop("account")]
    table = table_of_kind(kind, said)
    order = keys_of(table) if table is not None else ()
    return {key: said[key] for key in (*(key for key in order if key in said), *(k for k in said if k not in order))}


def merged(before: Any, patch: Any) -> Any:
    """Return a body with a merge patch applied (RFC 7396)."""
    if not isinstance(patch, Mapping):
        return patch
    base = dict(before) if isinstance(before, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            base.pop(key, None)
        else:
            base[key] = merged(base.get(key), value)
    return base


def as_table(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a body in its normal form as TOML would give it: exact decimals for money and other numbers."""
    return {key: _decimal(value) if is_money(key) else _exact(value) for key, value in body.items() if key != ADOPTED}


def shown(kind: Kind, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a body as it may be answered: without what is only written, headers that may be secret hidden."""
    hidden = _NOT_SHOWN.get(kind, frozenset())
    found = {key: value for key, value in body.items() if key not in hidden and key != ADOPTED}
    if isinstance(headers := found.get("headers"), Mapping):
        found["headers"] = {name: HIDDEN if is_secret_header(name) else value for name, value in headers.items()}
    if isinstance(params := found.get("params"), Mapping):
        found["params"] = {name: HIDDEN if is_secret_param(name) else value for name, value in params.items()}
    return found


def differences(kind: Kind, before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return by key the old and the new value of what differs; of a secret no value is told."""
    old, new = shown(kind, before), shown(kind, after)
    secret = _NOT_SHOWN.get(kind, frozenset())
    found: dict[str, tuple[Any, Any]] = {}
    for key in (*after, *(key for key in before if key not in after)):
        if before.get(key) == after.get(key) or key == ADOPTED:
            continue
        if key in secret:
            found[key] = (None if key not in before else CHANGED, None if key not in after else CHANGED)
        else:
            found[key] = (old.get(key), new.get(key))
            if key == "headers" and found[key][0] == found[key][1]:
                found[key] = (CHANGED, CHANGED)
    return found


def in_json(value: Any, key: str = "") -> Any:
    """Return a document as TOML or JSON gave it in JSON's types, its money as decimal text."""
    if isinstance(value, Mapping):
        return {name: in_json(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [in_json(item) for item in value]
    return _money(value) if is_money(key) else _plain(value)


def _plain(value: Any) -> Any:
    """Return a value in JSON's types, as it is kept."""
    if isinstance(value, Decimal):
        whole = value == value.to_integral_value() if value.is_finite() else False
        return int(value) if whole else float(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _money(value: Any) -> Any:
    """Return an amount as a decimal text; what is none stays as it is, for the table to refuse."""
    if isinstance(value, bool):
        return value
    if isinstance(value, float):
        value = Decimal(repr(value))
    if isinstance(value, int | Decimal):
        return f"{Decimal(value):f}"
    return _plain(value)


def _decimal(value: Any) -> Any:
    return Decimal(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value


def _exact(value: Any) -> Any:
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, list):
        return [_exact(item) for item in value]
    return value
