"""Changes: all or nothing, versions, what stays, what is refused, and what is recorded in the same transaction."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from alerts.model.units import USD
from daemon.config.model import ManagedBy, TopupMode
from daemon.resources.model import Change, Filters, Kind, RequestRefused, Role
from tests.helpers_registry import ACCOUNT, ADMIN, RULE, SUBSCRIPTION, TOPUP, put, token, world


def test_account_is_made_changed_and_archived(tmp_path: Path) -> None:
    with world(tmp_path) as there:
        registry = there.open()
        (made,) = asyncio.run(registry.change(ADMIN, [put("acme", {**ACCOUNT, "label": "Acme", "owner": "acme"})]))
        assert (made.created, made.resource.version, made.resource.owner) == (True, 1, "acme")
        account = registry.config.accounts["acme"]
        assert (account.managed_by, account.info.owner, account.info.unit) == (ManagedBy.API, "acme", USD)
        assert account.api_key.get_secret_value() == "cs_key_of_acme"
        (changed,) = asyncio.run(
            registry.change(ADMIN, [Change(kind=Kind.ACCOUNT, id="acme", body={"label": "ACME"}, merge=True)])
        )
        assert (changed.created, changed.resource.version, dict(changed.changes)) == (
            False,
            2,
            {"label": ("Acme", "ACME")},
        )
        assert registry.config.accounts["acme"].api_key.get_secret_value() == "cs_key_of_acme"
        (same,) = asyncio.run(registry.change(ADMIN, [put("acme", {**ACCOUNT, "label": "ACME"})]))
        assert (same.resource.version, dict(same.changes)) == (2, {})
        (gone,) = asyncio.run(registry.change(ADMIN, [Change(kind=Kind.ACCOUNT, id="acme", body=None)]))
        assert gone.gone
        assert "acme" not in registry.config.accounts
        with pytest.raises(RequestRefused) as refused:
            asyncio.run(registry.change(ADMIN, [put("acme")]))
        assert (refused.value.status, refused.value.type) == (409, "id-archived")
        assert registry.find(ADMIN, Kind.ACCOUNT, "acme", archived=True).archived_at is not None


def test_everything_loads_again_as_it_was(tmp_path: Path) -> None:
    with world(tmp_path) as there:
        registry = there.open()
        changes = [
            put("acme", {**ACCOUNT, "email": "ops@acme.example", "timezone": "Europe/Berlin", "owner": "acme"}),
            put("acme", TOPUP, Kind.TOPUP),
            put("acme-low", {**RULE, "accounts": ["acme"]}, Kind.RULE),
            put("", {**SUBSCRIPTION, "account": "acme", "owner": "acme"}, Kind.SUBSCRIPTION),
        ]
        outcomes = asyncio.run(registry.change(ADMIN, changes))
        assert [outcome.created for outcome in outcomes] == [True] * 4
        secret = outcomes[3].secret
        assert secret is not None
        assert secret.startswith("whsec_")
        again = there.open()
        assert again.config == registry.config
        assert again.problems == {}
        account = again.config.accounts["acme"]
        assert account.topup is not None
        assert account.topup.mode is TopupMode.SHADOW
        assert account.timezone is not None
        assert account.timezone.key == "Europe/Berlin"
        keys = [receiver.key for receiver in again.config.receivers.all]
        assert keys == ["webhook:app", "email:account:acme", f"webhook:{outcomes[3].resource.id}"]
        assert there.store.path.read_bytes().find(b"cs_key_of_acme") == -1
        assert there.store.path.read_bytes().find(secret[8:].encode()) == -1


def test_all_or_nothing_and_every_fault_at_once(tmp_path: Path) -> None:
    with world(tmp_path) as there:
        registry = there.open()
        wrong = [
            put("good", path="accounts[0]"),
            put("bad", {**ACCOUNT, "pol": "* * * * *", "poll": "x"}, path="accounts[1]"),
            put("worse", {"provider": "tornadoo"}, path="accounts[2]"),
        ]
        with pytest.raises(RequestRefused) as refused:
            asyncio.run(registry.change(ADMIN, wrong))
        assert refused.value.status == 422
        said = {(fault.id, fault.path) for fault in refused.value.faults}
        assert ("key-unknown", "accounts[1].pol") in said
        assert ("value-invalid", "accounts[2].provider") in said
        assert asyncio.run(registry.search(ADMIN, Kind.ACCOUNT, Filters(managed_by=ManagedBy.API))).resources == ()


def test_roles_and_owners(tmp_path: Path) -> None:
    with world(tmp_path) as there:
        registry = there.open()
        acme, other = token(Role.MONEY, "acme"), token(Role.MONEY, "other")
        asyncio.run(registry.change(acme, [put("acme")]))
        assert registry.find(acme, Kind.ACCOUNT, "acme").owner == "acme"
        for attempt in (
            lambda: registry.find(other, Kind.ACCOUNT, "acme"),
            lambda: asyncio.run(registry.change(other, [put("acme")])),
            lambda: asyncio.run(registry.change(other, [put("acme", TOPUP, Kind.TOPUP)])),
            lambda: registry.find(other, Kind.ACCOUNT, "clips"),
        ):
            with pytest.raises(RequestRefused) as refused:
                attempt()
            assert (refused.value.status, refused.value.type) == (404, "not-found")
        with pytest.raises(RequestRefused) as refused:
            asyncio.run(registry.change(token(Role.READ, "acme"), [put("acme")]))
        assert refused.value.status == 403
        assert "write" in refused.value.detail
        with pytest.raises(RequestRefused) as refused:
            asyncio.run(registry.change(ADMIN, [put("acme", {**ACCOUNT, "owner": "other"})]))
        assert (refused.value.status, refused.value.type) == (409, "owner-fixed")
        assert asyncio.run(registry.search(other, Kind.ACCOUNT, Filters())).resources == ()
        seen = asyncio.run(registry.search(ADMIN, Kind.ACCOUNT, Filters()))
        assert [r.id for r in seen.resources] == ["acme", "clips"]


def test_file_is_read_only_with_its_line(tmp_path: Path) -> None:
    with world(tmp_path) as there:
        registry = there.open()
        with pytest.raises(RequestRefused) as refused:
            asyncio.run(registry.change(ADMIN, [put("clips")]))
        assert (refused.value.status, refused.value.type) == (409, "managed-by-file")
        line = there.path.read_text().splitlines().index("[accounts.clips]") + 1
        assert f"{there.path}, line {line}" in refused.value.detail
        assert registry.find(ADMIN, Kind.ACCOUNT, "clips").managed_by is ManagedBy.FILE
