"""Secrets given by API: sealed for their place, rotated, never sent elsewhere; and who may name the daemon's own."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from daemon.resources.keyring import Keyring, SealError
from daemon.resources.model import Change, Kind, RequestRefused, Role
from daemon.resources.registry import Registry
from daemon.store import resources
from tests.helpers_registry import (
    ACCOUNT,
    ADMIN,
    API,
    FILE,
    MASTER_KEY,
    OTHER_KEY,
    SUBSCRIPTION,
    put,
    token,
    world,
)

JSON = {
    "provider": "json",
    "url": "https://api.example.com/v1/usage",
    "fields": {"balance": "data.balance"},
    "api_key": "very-secret",
    "headers": {"Accept": "application/json", "X-Team": "team-secret"},
}


def refused(registry: Registry, actor: Any, *changes: Change) -> RequestRefused:
    with pytest.raises(RequestRefused) as caught:
        asyncio.run(registry.change(actor, changes))
    return caught.value


def faults(error: RequestRefused) -> set[tuple[str, str]]:
    return {(fault.id, fault.path) for fault in error.faults}


def test_sealed_secret_opens_for_its_place_alone() -> None:
    first, both = Keyring((SecretStr(MASTER_KEY),)), Keyring((SecretStr(OTHER_KEY), SecretStr(MASTER_KEY)))
    sealed = first.seal("geheim ✓", "account/acme.api_key")
    assert "geheim" not in sealed
    assert both.open(sealed, "account/acme.api_key") == "geheim ✓"
    assert (first.is_current(sealed), both.is_current(sealed)) == (True, False)
    for place, text in (("account/other.api_key", sealed), ("account/acme.api_key", sealed[:-8] + "AAAAAAA=")):
        with pytest.raises(SealError, match="another place, or changed"):
            first.open(text, place)
    with pytest.raises(SealError, match="sealed by the master key"):
        Keyring((SecretStr(OTHER_KEY),)).open(sealed, "account/acme.api_key")
    with pytest.raises(SealError, match="has no master_key"):
        Keyring().open(sealed, "account/acme.api_key")


def test_no_secret_is_kept_shown_or_recorded_in_clear(tmp_path: Path) -> None:
    with world(tmp_path) as there:
        registry = there.open()
        asyncio.run(registry.change(ADMIN, [put("j", JSON)]))
        resource = registry.find(ADMIN, Kind.ACCOUNT, "j")
        assert registry.shown(resource)["headers"] == {"Accept": "application/json", "X-Team": "(secret)"}
        assert "api_key" not in registry.shown(resource)
        entries, _ = registry.audit(ADMIN)
        assert entries[-1].changes["api_key"] == (None, "(changed)")
        assert "team-secret" not in str(entries)
        mapping = registry.config.accounts["j"].json
        assert mapping is not None
        assert mapping.headers["X-Team"].get_secret_value() == "team-secret"
        # what is read may be written back: a hidden header and an unnamed key stay
        asyncio.run(registry.change(ADMIN, [put("j", {**registry.shown(resource), "label": "J"})]))
        account = registry.config.accounts["j"]
        assert account.api_key.get_secret_value() == "very-secret"
        assert account.json is not None
        assert account.json.headers["X-Team"].get_secret_value() == "team-secret"
        for file in tmp_path.glob("brimful.db*"):
            assert b"very-secret" not in file.read_bytes()
            assert b"team-secret" not in file.read_bytes()


def test_secret_in_a_place_of_the_url_is_sealed_and_one_in_its_query_refused(tmp_path: Path) -> None:
    body = {**JSON, "url": "https://api.example.com/{team}/{api_key}/usage"}
    body["params"] = {"team": "acme", "api_key": "key-in-the-path"}
    with world(tmp_path) as there:
        registry = there.open()
        asyncio.run(registry.change(ADMIN, [put("p", body)]))
        shown = registry.shown(registry.find(ADMIN, Kind.ACCOUNT, "p"))
        assert shown["params"] == {"team": "acme", "api_key": "(secret)"}
        mapping = registry.config.accounts["p"].json
        assert mapping is not None
        assert mapping.url is not None
        assert mapping.url.get_secret_value() == "https://api.example.com/acme/key-in-the-path/usage"
        asyncio.run(registry.change(ADMIN, [put("p", {**shown, "label": "P"})]))
        mapping = registry.config.accounts["p"].json
        assert mapping is not None
        assert mapping.url is not None
        assert "key-in-the-path" in mapping.url.get_secret_value()
        in_clear = {**JSON, "url": "https://api.example.com/usage?api_key=in-the-query"}
        assert ("secret-literal", "url") in faults(refused(registry, ADMIN, put("q", in_clear)))
        for file in tmp_path.glob("brimful.db*"):
            assert b"key-in-the-path" not in file.read_bytes()
            assert b"in-the-query" not in file.read_bytes()


@pytest.mark.parametrize(
    "moved",
    [
        {"url": "https://evil.example.net/v1/usage"},
        {"url": "http://api.example.com/v1/usage"},
        {"provider": "openrouter", "url": None, "fields": None, "headers": None},
    ],
)
def test_kept_secret_is_not_sent_to_another_address(tmp_path: Path, moved: dict[str, Any]) -> None:
    with world(tmp_path) as there:
        registry = there.open()
        asyncio.run(registry.change(ADMIN, [put("j", JSON)]))
        patch = Change(kind=Kind.ACCOUNT, id="j", body=moved, merge=True)
        assert ("secret-needed-again", "api_key") in faults(refused(registry, token(Role.WRITE), patch))
        whole = {key: value for key, value in {**JSON, **moved}.items() if key not in ("api_key", "headers") and value}
        error = refused(registry, token(Role.WRITE), put("j", whole))
        assert ("secret-needed-again", "api_key") in faults(error)
    # another path of the same host is no other address
    with world(tmp_path) as there:
        patch = Change(kind=Kind.ACCOUNT, id="j", body={"url": "https://api.example.com/v2/usage"}, merge=True)
        asyncio.run(there.open().change(ADMIN, [patch]))


def test_references_are_the_operators_and_never_what_the_file_uses_itself(tmp_path: Path) -> None:
    with world(tmp_path) as there:
        registry = there.open()
        reference = {"provider": "contentstats", "api_key": "env:ACME_KEY"}
        for actor in (token(Role.WRITE, "acme"), token(Role.WRITE, accounts=frozenset({"acme"}))):
            error = refused(registry, actor, put("acme", reference))
            assert (error.status, error.type, faults(error)) == (
                422,
                "reference-refused",
                {("reference-refused", "api_key")},
            )
        asyncio.run(registry.change(token(Role.WRITE), [put("acme", reference)]))
        assert registry.config.accounts["acme"].api_key.get_secret_value() == "cs_acme"
        for name in ("STRIPE_KEY", "MASTER_KEY", "WEBHOOK_SECRET"):
            error = refused(registry, ADMIN, put("thief", {**reference, "api_key": f"env:{name}"}))
            assert ("secret-invalid", "api_key") in faults(error)
        inside = {**JSON, "api_key": "x-1", "headers": {"X-Key": "Bearer ${env:STRIPE_KEY}"}}
        assert ("secret-invalid", "headers.X-Key") in faults(refused(registry, ADMIN, put("thief", inside)))
        error = refused(registry, ADMIN, put("unset", {**reference, "api_key": "env:NOT_SET"}))
        assert ("secret-unset", "api_key") in faults(error)


def test_sealed_text_is_taken_from_an_export_alone(tmp_path: Path) -> None:
    with world(tmp_path) as there:
        registry = there.open()
        asyncio.run(registry.change(ADMIN, [put("acme", {**ACCOUNT, "owner": "acme"})]))
        sealed = registry.export(ADMIN)["accounts"]["acme"]["api_key"]
        assert sealed.startswith("sealed:")
        mine = put("mine", {**ACCOUNT, "api_key": sealed})
        assert ("secret-invalid", "api_key") in faults(refused(registry, token(Role.MONEY, "other"), mine))
        assert ("secret-invalid", "api_key") in faults(refused(registry, ADMIN, mine))  # it opens for acme alone


def test_without_a_master_key_references_are_all_that_is_taken(tmp_path: Path) -> None:
    with world(tmp_path, FILE.replace('master_key = "env:MASTER_KEY"\n', "")) as there:
        assert API.replace('master_key = "env:MASTER_KEY"\n', "") in there.path.read_text()
        registry = there.open()
        error = refused(registry, ADMIN, put("acme"))
        assert (error.type, faults(error)) == ("master-key-missing", {("master-key-missing", "api_key")})
        asyncio.run(registry.change(ADMIN, [put("acme", {**ACCOUNT, "api_key": "env:ACME_KEY"})]))
        error = refused(registry, ADMIN, put("", {**SUBSCRIPTION, "account": "acme"}, Kind.SUBSCRIPTION))
        assert error.type == "master-key-missing"
    with world(tmp_path) as there:  # with one, what was drawn without is sealed
        before = resources.meta(there.store.reader, "provider_key")
        registry = there.open()
        assert before not in resources.meta(there.store.reader, "provider_key")
        error = refused(registry, ADMIN, put("again", {**ACCOUNT, "api_key": "cs_acme"}))
        assert (error.status, error.type) == (409, "provider-key-taken")


def test_rotation_of_the_master_key(tmp_path: Path) -> None:
    with world(tmp_path) as there:
        registry = there.open()
        there_is = asyncio.run(
            registry.change(ADMIN, [put("j", JSON), put("", {**SUBSCRIPTION, "account": "j"}, Kind.SUBSCRIPTION)])
        )
        there.write(FILE.replace('master_key = "env:MASTER_KEY"', 'master_key = ["env:OTHER_KEY", "env:MASTER_KEY"]'))
        both = there.open()
        assert both.problems == {}
        assert both.reseal() == 2
        assert both.reseal() == 0
        assert asyncio.run(registry.catch_up())
        assert "j" in registry.config.accounts
        assert registry.problems.keys() == {("account", "j"), ("subscription", there_is[1].resource.id)}
        there.write(FILE.replace("env:MASTER_KEY", "env:OTHER_KEY"))
        last = there.open()
        assert last.problems == {}
        assert last.config.accounts["j"].api_key.get_secret_value() == "very-secret"
        assert last.find(ADMIN, Kind.ACCOUNT, "j").version == 1
        asyncio.run(last.change(ADMIN, [put("more")]))


def test_archived_account_keeps_no_secret(tmp_path: Path) -> None:
    with world(tmp_path) as there:
        registry = there.open()
        asyncio.run(registry.change(ADMIN, [put("j", JSON)]))
        asyncio.run(registry.change(ADMIN, [Change(kind=Kind.ACCOUNT, id="j", body=None)]))
        assert "sealed:" not in str(registry.find(ADMIN, Kind.ACCOUNT, "j", archived=True).body)
        asyncio.run(registry.change(ADMIN, [put("k", JSON)]))  # its key is free again
