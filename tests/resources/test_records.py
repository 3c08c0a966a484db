"""Money by API, tokens, the audit, and POSTs that come twice."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from alerts.channels.secrets import signing_secrets
from alerts.model.instants import to_ms
from alerts.model.receivers import WebhookReceiver
from daemon.resources import tokens
from daemon.resources.model import (
    Actor,
    AnsweredBefore,
    Change,
    Filters,
    Idempotency,
    Kind,
    RequestRefused,
    Role,
)
from daemon.store import ledger
from daemon.store.topup_rows import State, Topup
from tests.helpers_registry import ACCOUNT, ADMIN, RULE, START, SUBSCRIPTION, TOPUP, World, put, token, world


def refused(there: World, actor: Actor, *changes: Change) -> tuple[int, str]:
    with pytest.raises(RequestRefused) as caught:
        asyncio.run(there.open().change(actor, changes))
    return caught.value.status, caught.value.type


def open_topup(there: World, account: str, customer: str) -> None:
    opened = Topup(
        id=f"{account}-1", account=account, customer=customer, seq=1, own=True, state=State.PLANNED, amount_cents=5000,
        create_key="key", create_params="{}", planned_at=START, state_at=START,
    )  # fmt: skip
    with there.store.write(durable=True) as tx:
        ledger.insert(tx, opened, START)


def test_open_topup_keeps_its_account_and_its_customer(tmp_path: Path) -> None:
    with world(tmp_path) as there:
        asyncio.run(there.open().change(ADMIN, [put("acme"), put("acme", TOPUP, Kind.TOPUP)]))
        open_topup(there, "acme", "cus_acme")
        open_is = (409, "topup-open")
        assert refused(there, ADMIN, Change(kind=Kind.ACCOUNT, id="acme", body=None)) == open_is
        assert refused(there, ADMIN, Change(kind=Kind.TOPUP, id="acme", body=None)) == open_is
        other = {**TOPUP, "customer": "cus_other"}
        assert refused(there, ADMIN, put("acme", other, Kind.TOPUP, if_version=1)) == open_is
        off = put("acme", {**TOPUP, "mode": "off"}, Kind.TOPUP, if_version=1)
        assert asyncio.run(there.open().change(ADMIN, [off]))[0].resource.version == 2


def test_topup_is_changed_by_its_version_and_never_beyond_the_ceiling(tmp_path: Path) -> None:
    with world(tmp_path) as there:
        registry = there.open()
        asyncio.run(registry.change(ADMIN, [put("acme", {**ACCOUNT, "owner": "acme"})]))
        assert refused(there, token(Role.WRITE), put("acme", TOPUP, Kind.TOPUP)) == (403, "role-needed")
        over = {**TOPUP, "max_charge_usd": "200.01", "max_per_day_usd": "300"}
        assert refused(there, ADMIN, put("acme", over, Kind.TOPUP)) == (422, "over-the-ceiling")
        (made,) = asyncio.run(registry.change(token(Role.MONEY, "acme"), [put("acme", TOPUP, Kind.TOPUP)]))
        assert made.resource.body["mode"] == "shadow"
        assert refused(there, ADMIN, put("acme", TOPUP, Kind.TOPUP)) == (412, "if-match-needed")
        assert refused(there, ADMIN, put("acme", TOPUP, Kind.TOPUP, if_version=7)) == (412, "version-differs")
        assert refused(there, ADMIN, put("acme", TOPUP, Kind.TOPUP, only_create=True)) == (412, "exists")
        (same,) = asyncio.run(registry.change(ADMIN, [put("acme", TOPUP, Kind.TOPUP, if_version=1)]))
        assert (same.resource.version, same.resource.body["mode"]) == (1, "shadow")
        told = there.store.reader.execute("SELECT type, account FROM event").fetchall()
        assert told == [("topup.limits_changed", "acme")]
        # who may write, but not charge, does not say where the balance comes from
        patch = Change(kind=Kind.ACCOUNT, id="acme", body={"base_url": "https://other.example"}, merge=True)
        assert refused(there, token(Role.WRITE), patch) == (403, "role-needed")
        label = Change(kind=Kind.ACCOUNT, id="acme", body={"label": "Acme"}, merge=True)
        asyncio.run(registry.change(token(Role.WRITE), [label]))


def test_two_accounts_have_no_key_in_common(tmp_path: Path) -> None:
    with world(tmp_path) as there:
        taken = (409, "provider-key-taken")
        asyncio.run(there.open().change(ADMIN, [put("acme", ACCOUNT)]))
        assert refused(there, token(Role.WRITE, "other"), put("copy", ACCOUNT)) == taken
        assert refused(there, ADMIN, put("copy", {**ACCOUNT, "api_key": "cs_test_1"})) == taken  # the file's
        assert (
            refused(there, ADMIN, put("one", {**ACCOUNT, "api_key": "x"}), put("two", {**ACCOUNT, "api_key": "x"}))
            == taken
        )
        asyncio.run(there.open().change(ADMIN, [put("torn", {**ACCOUNT, "provider": "tornado"})]))


def test_owner_has_twenty_subscriptions_to_accounts_of_its_own(tmp_path: Path) -> None:
    with world(tmp_path) as there:
        registry, acme = there.open(), token(Role.SUBSCRIBE, "acme")
        asyncio.run(registry.change(ADMIN, [put("acme", {**ACCOUNT, "owner": "acme"}), put("beta")]))
        for accounts in (["beta"], ["*"], ["acme", "nobody"]):
            body = {**SUBSCRIPTION, "accounts": accounts}
            assert refused(there, acme, put("", body, Kind.SUBSCRIPTION)) == (422, "invalid")
        shortest = [put("", SUBSCRIPTION, Kind.SUBSCRIPTION) for _ in range(20)]
        made = asyncio.run(registry.change(acme, shortest))
        assert {tuple(outcome.resource.body["accounts"]) for outcome in made} == {("acme",)}
        assert refused(there, acme, put("", SUBSCRIPTION, Kind.SUBSCRIPTION)) == (422, "too-many-subscriptions")
        ends = Change(kind=Kind.SUBSCRIPTION, id=made[0].resource.id, body=None)
        asyncio.run(registry.change(acme, [ends]))
        asyncio.run(registry.change(acme, shortest[:1]))
        assert len(asyncio.run(registry.search(acme, Kind.SUBSCRIPTION, Filters(), limit=500)).resources) == 20
        assert refused(there, ADMIN, put("", SUBSCRIPTION, Kind.SUBSCRIPTION)) == (422, "invalid")  # sees several
        given = {**SUBSCRIPTION, "secret": "whsec_mine", "allow_http": True}
        with pytest.raises(RequestRefused) as caught:
            asyncio.run(registry.change(acme, [put("", given, Kind.SUBSCRIPTION)]))
        assert {fault.path for fault in caught.value.faults} == {"secret"}


def test_secret_is_rotated_and_the_old_one_signs_for_a_while(tmp_path: Path) -> None:
    with world(tmp_path) as there:
        registry = there.open()
        asyncio.run(registry.change(ADMIN, [put("acme")]))
        body = {**SUBSCRIPTION, "account": "acme"}
        (made,) = asyncio.run(registry.change(ADMIN, [put("", body, Kind.SUBSCRIPTION)]))
        id = made.resource.id
        rotated = asyncio.run(registry.rotate(ADMIN, id, timedelta(hours=24)))

        def secrets(at: datetime) -> list[str]:
            (receiver,) = (one for one in registry.config.receivers.all if one.key == f"webhook:{id}")
            assert isinstance(receiver, WebhookReceiver)
            return [secret.get_secret_value() for secret in signing_secrets(receiver, at)]

        end = START + timedelta(hours=24)
        assert secrets(end - timedelta(seconds=1)) == [rotated.secret, made.secret]
        assert secrets(end) == [rotated.secret]
        assert dict(rotated.changes) == {"secret": ("(changed)", "(changed)")}
        asyncio.run(registry.rotate(ADMIN, id, timedelta()))
        assert len(secrets(START)) == 1
        with pytest.raises(RequestRefused):
            asyncio.run(registry.rotate(token(Role.ADMIN, "other"), id, timedelta()))


def test_token_is_shown_once_and_found_by_its_digest(tmp_path: Path) -> None:
    with world(tmp_path) as there:
        registry = there.open()
        made, text = registry.new_token(
            ADMIN, role=Role.SUBSCRIBE, owner="acme", accounts=["acme"], expires_at=START + timedelta(days=1)
        )
        assert text.startswith("brim_")
        found = registry.authenticate(text)
        assert found is not None
        assert (found.id, found.role, found.owner, found.accounts) == (
            made.id,
            Role.SUBSCRIBE,
            "acme",
            frozenset({"acme"}),
        )
        assert registry.authenticate(text[:-1]) is None
        assert registry.authenticate("brim_" + "x" * 43) is None
        commits = there.store.commits
        there.clock.advance(30)
        assert registry.authenticate(text) is not None
        assert there.store.commits == commits  # it is marked as used once a minute
        there.clock.advance(31)
        assert registry.authenticate(text) is not None
        assert there.store.commits == commits + 1
        assert registry.find_token(ADMIN, made.id).last_used_at == START + timedelta(seconds=61)
        for file in tmp_path.glob("brimful.db*"):
            assert text.encode() not in file.read_bytes()
        there.clock.set(START + timedelta(days=1))
        assert registry.authenticate(text) is None
        _, text = registry.new_token(ADMIN, role=Role.READ)
        actor = tokens.actor_of(registry.authenticate(text) or made)
        with pytest.raises(RequestRefused) as caught:
            registry.tokens(actor)
        assert caught.value.status == 403
        registry.revoke_token(ADMIN, actor.name.removeprefix("token:"))
        assert registry.authenticate(text) is None
        owners, _ = registry.new_token(token(Role.ADMIN, "acme"), role=Role.READ)
        assert owners.owner == "acme"
        assert [one.id for one in registry.tokens(token(Role.ADMIN, "acme"))[0]] == sorted([made.id, owners.id])


def test_audit_is_written_with_the_change_and_only_added_to(tmp_path: Path) -> None:
    with world(tmp_path) as there:
        registry = there.open()
        actor = Actor(name="token:tok_1", source="api", role=Role.WRITE, owner="acme", request_id="req-1")
        asyncio.run(registry.change(actor, [put("acme")]))
        asyncio.run(registry.change(ADMIN, [put("beta")]))
        asyncio.run(registry.change(ADMIN, [put("beta", {"label": "B"}, merge=True)]))
        asyncio.run(registry.change(ADMIN, [put("beta", {"label": "B"}, merge=True)]))  # nothing changed
        asyncio.run(registry.change(ADMIN, [Change(kind=Kind.ACCOUNT, id="beta", body=None)]))
        entries, after = registry.audit(ADMIN)
        assert [(one.actor, one.action, one.resource) for one in entries] == [
            ("token:tok_1", "create", "account/acme"),
            ("cli:root", "create", "account/beta"),
            ("cli:root", "change", "account/beta"),
            ("cli:root", "archive", "account/beta"),
        ]
        assert (after, entries[0].request_id, entries[2].changes) == (None, "req-1", {"label": (None, "B")})
        page, after = registry.audit(ADMIN, limit=2)
        rest, _ = registry.audit(ADMIN, after=after or 0)
        assert (*page, *rest) == entries
        assert [one.resource for one in registry.audit(actor)[0]] == ["account/acme"]
        assert [one.action for one in registry.audit(ADMIN, resource="account/beta", by="cli:root")[0]] == [
            "create", "change", "archive",
        ]  # fmt: skip
        for statement in ("UPDATE audit SET actor = 'nobody'", "DELETE FROM audit"):
            with pytest.raises(sqlite3.IntegrityError, match="only added to"), there.store.write(durable=True) as tx:
                tx.execute(statement)


def test_post_that_comes_twice_is_done_once(tmp_path: Path) -> None:
    with world(tmp_path) as there:
        registry = there.open()
        asyncio.run(registry.change(ADMIN, [put("acme")]))
        change = put("", {**SUBSCRIPTION, "account": "acme"}, Kind.SUBSCRIPTION)

        def once(key: str, digest: str) -> Idempotency:
            return Idempotency(key=key, digest=digest, answer=lambda outcomes: (201, {"id": outcomes[0].resource.id}))

        (made,) = asyncio.run(registry.change(ADMIN, [change], idempotency=once("k", "d")))
        with pytest.raises(AnsweredBefore) as before:
            asyncio.run(registry.change(ADMIN, [change], idempotency=once("k", "d")))
        assert (before.value.status, before.value.answer) == (201, {"id": made.resource.id})
        with pytest.raises(RequestRefused) as refused:
            asyncio.run(registry.change(ADMIN, [change], idempotency=once("k", "other")))
        assert (refused.value.status, refused.value.type) == (422, "idempotency-key-reused")
        asyncio.run(registry.change(token(Role.ADMIN), [change], idempotency=once("k", "d")))  # another token's
        there.clock.set(START + timedelta(hours=24, seconds=1))
        asyncio.run(registry.change(ADMIN, [change], idempotency=once("k", "d")))
        kept = there.store.reader.execute("SELECT min(at_ms) FROM idempotency").fetchone()
        assert kept == (to_ms(there.clock.now()),)


def test_dry_run_checks_everything_and_writes_nothing(tmp_path: Path) -> None:
    with world(tmp_path) as there:
        registry = there.open()
        before = there.store.commits
        changes = [put("acme"), put("acme", TOPUP, Kind.TOPUP), put("low2", {**RULE, "accounts": ["acme"]}, Kind.RULE)]
        outcomes = asyncio.run(registry.change(ADMIN, changes, dry_run=True))
        assert [outcome.created for outcome in outcomes] == [True] * 3
        assert there.store.commits == before
        assert "acme" not in registry.config.accounts
