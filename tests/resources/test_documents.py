"""All that the API manages as one document: out, in again, and nothing to do."""

from __future__ import annotations

import asyncio
import json
import tomllib
from decimal import Decimal
from pathlib import Path

import pytest

from daemon.resources.documents import changes_to, to_toml
from daemon.resources.drafting import Manner
from daemon.resources.model import Change, Kind, RequestRefused, Role
from daemon.resources.registry import Registry
from tests.helpers_registry import ACCOUNT, ADMIN, RULE, SUBSCRIPTION, TOPUP, World, put, token, world


def filled(there: World) -> None:
    registry = there.open()
    odd = {"provider": "json", "url": "https://a.example/v1", "fields": {"balance": '"a b".c'}, "api_key": "k-1"}
    changes = [
        put("acme", {**ACCOUNT, "owner": "acme", "label": 'Say "hi" \\ ü', "tags": ["a", "b"]}),
        put("acme", {**TOPUP, "cooldown": "90m"}, Kind.TOPUP),
        put("odd", {**odd, "headers": {"X-Key": "h-1", "Accept": "text/json"}, "method": "POST", "body": "{}"}),
        put("low2", {**RULE, "accounts": ["acme"]}, Kind.RULE),
        put("run", {"kind": "runway", "below_days": Decimal("2.5"), "accounts": ["acme"]}, Kind.RULE),
        put("quota2", {"kind": "quota", "at_percent": [80, 92.5]}, Kind.RULE),
        put("", {**SUBSCRIPTION, "account": "acme", "owner": "acme"}, Kind.SUBSCRIPTION),
    ]
    asyncio.run(registry.change(ADMIN, changes))
    asyncio.run(registry.change(ADMIN, [put("acme", {**TOPUP, "mode": "charge"}, Kind.TOPUP, if_version=1)]))


@pytest.mark.parametrize("form", ["toml", "json"])
def test_export_applied_to_an_empty_store_gives_an_equal_export(tmp_path: Path, form: str) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    with world(first) as there:
        filled(there)
        document = there.open().export(ADMIN)
    text = to_toml(document) if form == "toml" else json.dumps(document)
    read = tomllib.loads(text, parse_float=Decimal) if form == "toml" else json.loads(text)
    with world(second) as there:
        registry = there.open()
        plan = asyncio.run(registry.apply(ADMIN, read, dry_run=True))
        assert len(plan) == 7
        assert registry.export(ADMIN) == {}
        asyncio.run(registry.apply(ADMIN, read))
        assert registry.export(ADMIN) == document
        assert asyncio.run(registry.apply(ADMIN, read, prune=True, dry_run=True)) == []
        assert asyncio.run(registry.apply(ADMIN, read, prune=True)) == []
        topup = registry.config.accounts["acme"].topup
        assert topup is not None
        assert topup.mode.value == "charge"  # what is restored goes on as it was


def test_prune_removes_what_is_not_named(tmp_path: Path) -> None:
    with world(tmp_path) as there:
        filled(there)
        registry = there.open()
        document = registry.export(ADMIN)
        del document["accounts"]["odd"], document["rules"][1:], document["accounts"]["acme"]["topup"]
        assert asyncio.run(registry.apply(ADMIN, document)) == []
        gone = asyncio.run(registry.apply(ADMIN, document, prune=True))
        assert {(one.resource.kind.value, one.resource.id) for one in gone} == {
            ("account", "odd"), ("topup", "acme"), ("rule", "quota2"), ("rule", "run"),
        }  # fmt: skip
        assert registry.export(ADMIN) == document


def test_wrong_documents_are_refused_with_every_fault(tmp_path: Path) -> None:
    with world(tmp_path) as there:
        registry = there.open()
        wrong = {"acounts": {}, "accounts": {"x": 1, "y": {"topup": 2}}, "rules": [{"kind": "quota"}, "z"]}
        with pytest.raises(RequestRefused) as refused:
            asyncio.run(registry.apply(ADMIN, wrong))
        assert [fault.path for fault in refused.value.faults] == [
            "acounts", "accounts.x", "accounts.y.topup", "rules[0].id", "rules[1].id",
        ]  # fmt: skip
        over = {"accounts": {"acme": {**ACCOUNT, "topup": {**TOPUP, "max_per_day_usd": 900}}}}
        with pytest.raises(RequestRefused) as refused:
            asyncio.run(registry.apply(ADMIN, over))
        assert [(fault.id, fault.path) for fault in refused.value.faults] == [
            ("over-the-ceiling", "accounts.acme.topup.max_per_day_usd")
        ]
        with pytest.raises(RequestRefused) as refused:
            asyncio.run(registry.apply(token(Role.MONEY), {}))
        assert refused.value.status == 403


def test_archived_account_takes_its_topup_along(tmp_path: Path) -> None:
    with world(tmp_path) as there:
        filled(there)
        registry = there.open()
        asyncio.run(registry.change(ADMIN, [Change(kind=Kind.ACCOUNT, id="acme", body=None)]))
        assert "topup" not in str(registry.export(ADMIN).get("accounts"))
        assert there.open().config == registry.config
        assert [entry.resource for entry in registry.audit(ADMIN)[0]][-2:] == ["account/acme", "topup/acme"]


def test_polls_go_on_while_a_large_document_is_planned(tmp_path: Path) -> None:
    document = {"accounts": {f"a{number}": {**ACCOUNT, "api_key": f"key-{number}"} for number in range(300)}}
    turns = 0

    async def plan(registry: Registry) -> int:
        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.ensure_future(count())
        changes, changing = changes_to(registry.store.reader, document, prune=False), registry._changing
        drafts = await changing.drafted(ADMIN, changes, changing.rows(changes), Manner.APPLY)
        counting.cancel()
        return len(drafts)

    with world(tmp_path) as there:
        assert asyncio.run(plan(there.open())) == 300
    assert turns >= 5
