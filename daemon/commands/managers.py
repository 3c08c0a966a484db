"""Where a command changes what is managed as data: in the local store, or on a server by its API.

Beside a running daemon the local store is as good: the daemon takes the change within a second. The token of a server
comes from $BRIMFUL_TOKEN or a file, never from the command line, where others could read it.
"""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from daemon.commands.common import NO, USAGE, Options, fail
from daemon.resources.model import (
    Actor,
    AuditEntry,
    Change,
    ChangeOutcome,
    Filters,
    Kind,
    RequestRefused,
    Resource,
    Role,
    Token,
)

if TYPE_CHECKING:
    from daemon.resources.registry import Registry

ServerOption = Annotated[
    str | None, typer.Option("--server", metavar="URL", help="A daemon elsewhere; without it the local store.")
]
TokenFileOption = Annotated[
    Path | None, typer.Option("--token-file", help="A file with the server's token; else $BRIMFUL_TOKEN.")
]
_PATHS = {Kind.ACCOUNT: "/accounts/{}", Kind.TOPUP: "/accounts/{}/topup", Kind.RULE: "/rules/{}"}
ACCOUNTS = "An account; several with commas between, or by repeating this."
_PREFIX = "/api/v1"
_DEADLINE_S = 60.0
_PAGE = 500


class Manager(Protocol):
    """What the commands ask for; documents are those of the API, without the status of an account."""

    def find(self, kind: Kind, id: str) -> dict[str, Any] | None: ...
    def accounts(self, owner: str | None, tag: str | None, text: str) -> Iterator[dict[str, Any]]: ...
    def set(self, kind: Kind, id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Make an object, or change what the body names of it; return its document, with `created`."""
        ...

    def remove(self, kind: Kind, id: str) -> None: ...
    def subscribe(self, body: Mapping[str, Any]) -> dict[str, Any]: ...
    def new_token(self, body: Mapping[str, Any]) -> dict[str, Any]: ...
    def tokens(self) -> Iterator[dict[str, Any]]: ...
    def revoke(self, id: str) -> None: ...
    def audit(self, resource: str, by: str) -> Iterator[dict[str, Any]]: ...
    def export(self) -> dict[str, Any]: ...
    def apply(self, document: Mapping[str, Any], *, prune: bool, dry_run: bool) -> list[dict[str, Any]]: ...


@contextmanager
def manager(context: typer.Context, server: str | None, token_file: Path | None) -> Iterator[Manager]:
    """Yield the local store's manager, or a server's; a refusal is a sentence with every fault, and an exit code."""
    try:
        if server is not None:
            yield _remote(server, token_file)
        else:
            with registry(context) as opened:
                yield Local(opened)
    except RequestRefused as error:
        said = [f"{fault.id}  {fault.path}: {fault.said}" + _hint(fault.hint) for fault in error.faults]
        words = [error.type, *said] if said else [f"{error.type}: {error.detail}"]
        fail("\n".join(words), USAGE if error.status in (400, 422) else NO)


def _hint(hint: str) -> str:
    return f"\n         hint: {hint}" if hint else ""


@contextmanager
def registry(context: typer.Context) -> Iterator[Registry]:
    """Open the registry of the configured store; a store that is not there yet is made."""
    from daemon.clock import RandomIds, SystemClock
    from daemon.config.load import load
    from daemon.resources.registry import Registry
    from daemon.store import Store
    from daemon.store.migrations import migrate, require_current
    from daemon.store.outbox import Outbox, store_id

    options: Options = context.obj
    config = load(options.config_path())
    if config.api is None:
        fail(f"{config.path}: [api] is not enabled: write enabled = true there", USAGE)
    is_new = not config.store.place.exists()
    store = Store(config.store.place)
    try:
        if is_new:
            migrate(store)
        require_current(store)
        with store.write(durable=True) as tx:
            name = store_id(tx, RandomIds())
        outbox = Outbox(name, config.receivers, RandomIds())
        yield Registry(config, store=store, outbox=outbox, clock=SystemClock(), ids=RandomIds())
    finally:
        store.close()


def person() -> Actor:
    """Return who types a command: whoever may write the database may do everything."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = str(os.geteuid())
    return Actor(name=f"cli:{name}", source="cli", role=Role.ADMIN)


class Local:
    """The local store."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._actor = person()

    def find(self, kind: Kind, id: str) -> dict[str, Any] | None:
        try:
            return self._document(self._registry.find(self._actor, kind, id))
        except RequestRefused as error:
            if error.status != 404:
                raise
            return None

    def accounts(self, owner: str | None, tag: str | None, text: str) -> Iterator[dict[str, Any]]:
        after: str | None = ""
        while after is not None:
            filters = Filters(owner=owner, tag=tag, text=text)
            found = asyncio.run(self._registry.search(self._actor, Kind.ACCOUNT, filters, after, _PAGE))
            yield from map(self._document, found.resources)
            after = found.next

    def set(self, kind: Kind, id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        known = self.find(kind, id)
        version = None if known is None or known["managed_by"] == "file" else known["version"]
        change = Change(kind=kind, id=id, body=body, merge=version is not None, if_version=version)
        (outcome,) = self._changed([change])
        return {**self._document(outcome.resource), "created": outcome.created}

    def remove(self, kind: Kind, id: str) -> None:
        self._changed([Change(kind=kind, id=id, body=None)])

    def subscribe(self, body: Mapping[str, Any]) -> dict[str, Any]:
        (outcome,) = self._changed([Change(kind=Kind.SUBSCRIPTION, id="", body=body)])
        return {**self._document(outcome.resource), "secret": outcome.secret}

    def new_token(self, body: Mapping[str, Any]) -> dict[str, Any]:
        expires_at = _instant(body["expires_at"]) if body.get("expires_at") else None
        token, text = self._registry.new_token(
            self._actor,
            role=Role(body["role"]),
            name=body.get("name", ""),
            owner=body.get("owner", ""),
            accounts=body.get("accounts"),
            expires_at=expires_at,
        )
        return {**_token(token), "token": text}

    def tokens(self) -> Iterator[dict[str, Any]]:
        after: str | None = ""
        while after is not None:
            found, after = self._registry.tokens(self._actor, after, _PAGE)
            yield from map(_token, found)

    def revoke(self, id: str) -> None:
        self._registry.revoke_token(self._actor, id)

    def audit(self, resource: str, by: str) -> Iterator[dict[str, Any]]:
        after: int | None = 0
        while after is not None:
            found, after = self._registry.audit(self._actor, resource=resource, by=by, after=after, limit=_PAGE)
            yield from map(_entry, found)

    def export(self) -> dict[str, Any]:
        return self._registry.export(self._actor)

    def apply(self, document: Mapping[str, Any], *, prune: bool, dry_run: bool) -> list[dict[str, Any]]:
        outcomes = asyncio.run(self._registry.apply(self._actor, document, prune=prune, dry_run=dry_run))
        return [planned(outcome) for outcome in outcomes]

    def _changed(self, changes: Sequence[Change]) -> list[ChangeOutcome]:
        return asyncio.run(self._registry.change(self._actor, changes))

    def _document(self, resource: Resource) -> dict[str, Any]:
        head = {"id": resource.id} | ({"owner": resource.owner} if resource.owner else {})
        tail = {"managed_by": resource.managed_by.value, "version": resource.version}
        return {**head, **self._registry.shown(resource), **tail, "problem": resource.problem or None}


class Remote:
    """A server, by its API."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/") + _PREFIX
        self._token = token

    def find(self, kind: Kind, id: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self._ask("GET", _PATHS[kind].format(id))
        except RequestRefused as error:
            if error.status != 404:
                raise
            return None
        return found

    def accounts(self, owner: str | None, tag: str | None, text: str) -> Iterator[dict[str, Any]]:
        return self._all("/accounts", {"owner": owner, "tag": tag, "q": text or None})

    def set(self, kind: Kind, id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        known, path = self.find(kind, id), _PATHS[kind].format(id)
        if known is None or known["managed_by"] == "file":
            return {**self._ask("PUT", path, body), "created": True}
        headers = {"if-match": f'"{known["version"]}"'}
        if kind is Kind.ACCOUNT:
            return {**self._ask("PATCH", path, body, headers=headers), "created": False}
        kept = {key: value for key, value in known.items() if key not in ("problem", "managed_by", "version")}
        return {**self._ask("PUT", path, {**kept, **body}, headers=headers), "created": False}

    def remove(self, kind: Kind, id: str) -> None:
        self._ask("DELETE", _PATHS[kind].format(id))

    def subscribe(self, body: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = self._ask("POST", "/subscriptions", body)
        return found

    def new_token(self, body: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = self._ask("POST", "/tokens", body)
        return found

    def tokens(self) -> Iterator[dict[str, Any]]:
        return self._all("/tokens", {})

    def revoke(self, id: str) -> None:
        self._ask("DELETE", f"/tokens/{id}")

    def audit(self, resource: str, by: str) -> Iterator[dict[str, Any]]:
        return self._all("/audit", {"resource": resource or None, "actor": by or None})

    def export(self) -> dict[str, Any]:
        found: dict[str, Any] = self._ask("GET", "/config:export")
        return found

    def apply(self, document: Mapping[str, Any], *, prune: bool, dry_run: bool) -> list[dict[str, Any]]:
        asked = {"prune": "true"} if prune else {}
        path = "/config:plan" if dry_run else "/config:apply"
        found: list[dict[str, Any]] = self._ask("POST", path, document, asked)["changes"]
        return found

    def _all(self, path: str, asked: Mapping[str, str | None]) -> Iterator[dict[str, Any]]:
        after: str | None = ""
        while after is not None:
            given = {key: value for key, value in asked.items() if value is not None}
            page = self._ask("GET", path, None, {**given, "limit": str(_PAGE), **({"after": after} if after else {})})
            yield from page["data"]
            after = page["next"]

    def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        asked: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        import httpx

        from daemon.resources.bodies import in_json

        said = {"authorization": f"Bearer {self._token}", **(headers or {})}
        sent = None if body is None else in_json(body)
        try:
            answer = httpx.request(
                method,
                self._url + path,
                params=asked,
                json=sent,
                headers=said,
                timeout=_DEADLINE_S,
                trust_env=False,
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            fail(f"{self._url}: {str(error) or type(error).__name__}")
        document = _decoded(answer.content)
        if answer.is_success:
            return document
        raise _refusal(answer.status_code, document)


def _remote(server: str, token_file: Path | None) -> Remote:
    from daemon.config.urls import Plain, fault

    if (found := fault(server, Plain.OWN)) is not None:
        fail(f"--server: {found.message}{f' ({found.hint})' if found.hint else ''}", USAGE)
    try:
        token = token_file.read_text() if token_file is not None else os.environ.get("BRIMFUL_TOKEN", "")
    except (OSError, UnicodeDecodeError):
        fail(f"--token-file: {token_file} cannot be read", USAGE)
    if not token.strip():
        fail("a server needs a token: set BRIMFUL_TOKEN, or name a file by --token-file", USAGE)
    return Remote(server, token.strip())


def _refusal(status: int, document: Any) -> RequestRefused:
    from daemon.resources.model import BodyFault

    said = document if isinstance(document, dict) else {}
    faults = tuple(
        BodyFault(**{key: str(one.get(key) or "") for key in ("id", "path", "said", "hint")})
        for one in said.get("errors") or ()
    )
    return RequestRefused(status, str(said.get("type", status)), str(said.get("detail", "the server refused")), faults)


def _decoded(content: bytes) -> Any:
    try:
        return json.loads(content) if content else None
    except ValueError:
        return None


# ── what is printed and read ────────────────────────────────────────────────────────────────────────────────────────


def planned(outcome: ChangeOutcome) -> dict[str, Any]:
    """Return what became, or would become, of one object."""
    return {
        "kind": outcome.resource.kind.value,
        "id": outcome.resource.id,
        "created": outcome.created,
        "removed": outcome.gone,
        "changes": {name: list(pair) for name, pair in outcome.changes.items()},
    }


def _token(token: Token) -> dict[str, Any]:
    from alerts.model.instants import rfc3339

    instants = ("created_at", "expires_at", "last_used_at", "revoked_at")
    told = {name: getattr(token, name) for name in instants}
    return {
        "id": token.id,
        "name": token.name,
        "role": token.role.value,
        "owner": token.owner,
        "accounts": None if token.accounts is None else sorted(token.accounts),
        **{name: None if at is None else rfc3339(at) for name, at in told.items()},
    }


def _entry(entry: AuditEntry) -> dict[str, Any]:
    from alerts.model.instants import rfc3339

    return {
        "at": rfc3339(entry.at),
        "actor": entry.actor,
        "source": entry.source,
        "resource": entry.resource,
        "action": entry.action,
        "owner": entry.owner,
        "changes": {name: list(pair) for name, pair in entry.changes.items()},
        "request_id": entry.request_id,
    }


def _instant(text: str) -> Any:
    from datetime import UTC, datetime

    found = datetime.fromisoformat(text)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def as_text(value: Any) -> str:
    """Return a value of a body for a person."""
    if value is None:
        return "nothing"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def split(names: Sequence[str] | None) -> list[str]:
    """Return names that were given one by one, or with commas between."""
    return [name.strip() for said in names or () for name in said.split(",") if name.strip()]


def read_document(path: Path) -> dict[str, Any]:
    """Return a JSON or TOML document: of a file, or of what comes in where it is `-`."""
    try:
        text = typer.get_text_stream("stdin").read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        fail(f"{path} cannot be read", USAGE)
    try:
        found = json.loads(text, parse_float=Decimal) if text.lstrip().startswith("{") else _toml(text)
    except ValueError as error:
        fail(f"{path} is neither JSON nor TOML: {error}", USAGE)
    return dict(found)


def _toml(text: str) -> dict[str, Any]:
    return tomllib.loads(text, parse_float=Decimal)
