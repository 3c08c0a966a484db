"""Money by API: what an open top-up keeps as it is, the ceiling, what the operator is told, and how one begins."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from alerts.model.values import replace
from daemon.resources.model import Change, Kind, RequestRefused
from daemon.resources.registry import Registry
from daemon.store import ledger
from daemon.store.topup_rows import State, Topup
from daemon.work.preflight import refuse_lost
from tests.helpers_registry import ACCOUNT, ADMIN, START, TOPUP, World, put, world

OPEN = Topup(
    id="acme-1",
    account="acme",
    customer="cus_acme",
    seq=1,
    own=True,
    state=State.CONFIRMING,
    amount_cents=5000,
    create_key="key",
    create_params="{}",
    planned_at=START,
    state_at=START,
    payment_intent="pi_1",
)


@pytest.fixture
def there(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as found:
        yield found


def charging(there: World) -> Registry:
    """A registry with an account that charges, promoted in a second step."""
    registry = there.open()
    asyncio.run(registry.change(ADMIN, [put("acme"), put("acme", TOPUP, Kind.TOPUP)]))
    asyncio.run(registry.change(ADMIN, [patch(Kind.TOPUP, mode="charge", version=1)]))
    return registry


def patch(kind: Kind, version: int | None = None, **body: Any) -> Change:
    return Change(kind=kind, id="acme", body=body, merge=True, if_version=version)


def refused(registry: Registry, change: Change) -> RequestRefused:
    with pytest.raises(RequestRefused) as found:
        asyncio.run(registry.change(ADMIN, [change]))
    return found.value


def told(there: World) -> list[dict[str, Any]]:
    rows = there.store.reader.execute("SELECT body FROM event WHERE type = 'topup.limits_changed' ORDER BY number")
    return [json.loads(bytes(body))["data"] for (body,) in rows.fetchall()]


def begin(there: World, state: State = State.CONFIRMING) -> None:
    paid = {"paid_at": START} if state is State.PAID else {}
    with there.store.write(durable=True) as tx:
        ledger.insert(tx, replace(OPEN, state=state, **paid), START)


KEPT = [
    Change(kind=Kind.ACCOUNT, id="acme", body=None),
    Change(kind=Kind.TOPUP, id="acme", body=None, if_version=2),
    patch(Kind.TOPUP, version=2, customer="cus_other"),
    patch(Kind.TOPUP, version=2, mode="shadow"),
    patch(Kind.ACCOUNT, api_key="cs_another_key"),
    patch(Kind.ACCOUNT, base_url="http://127.0.0.1:9", api_key="cs_key_of_acme"),
]


@pytest.mark.parametrize("change", KEPT, ids=["archive", "delete", "customer", "shadow", "key", "url"])
def test_an_open_top_up_keeps_what_ends_it(there: World, change: Change) -> None:
    registry = charging(there)
    begin(there)
    found = refused(registry, change)
    assert (found.status, found.type) == (409, "topup-open")
    assert "acme-1 is open" in str(found)
    assert registry.config.accounts["acme"].topup is not None


@pytest.mark.parametrize(
    "change",
    [
        patch(Kind.TOPUP, version=2, mode="off"),
        patch(Kind.TOPUP, version=2, max_per_day_usd="60.00"),
        patch(Kind.ACCOUNT, label="Acme"),
    ],
    ids=["off", "cap", "label"],
)
def test_beside_an_open_top_up_limits_and_labels_change(there: World, change: Change) -> None:
    registry = charging(there)
    begin(there)
    assert asyncio.run(registry.change(ADMIN, [change]))[0].changes


def test_what_is_paid_may_end_in_shadow(there: World) -> None:
    registry = charging(there)
    begin(there, State.PAID)
    assert asyncio.run(registry.change(ADMIN, [patch(Kind.TOPUP, version=2, mode="shadow")]))[0].changes


def test_beyond_the_ceiling_is_refused_with_the_number(there: World) -> None:
    registry = charging(there)
    found = refused(registry, patch(Kind.TOPUP, version=2, max_per_day_usd="200.01"))
    assert (found.status, found.type) == (422, "over-the-ceiling")
    assert [(one.id, one.path) for one in found.faults] == [("over-the-ceiling", "max_per_day_usd")]
    assert "$200.01 is beyond the ceiling of $200.00" in str(found)


def test_what_is_added_or_raised_is_told_in_the_transaction_and_what_is_lowered_is_not(there: World) -> None:
    registry = charging(there)
    asyncio.run(registry.change(ADMIN, [patch(Kind.TOPUP, version=2, max_per_day_usd="150.00")]))
    asyncio.run(registry.change(ADMIN, [patch(Kind.TOPUP, version=3, max_per_day_usd="120.00")]))
    refused(registry, patch(Kind.TOPUP, version=1, max_per_day_usd="180.00"))
    asyncio.run(registry.change(ADMIN, [patch(Kind.TOPUP, version=4, max_per_day_usd="180.00")], dry_run=True))
    said = told(there)
    assert [(one["account"], one["actor"], one["added"]) for one in said] == [
        ("acme", "cli:root", True),
        ("acme", "cli:root", False),
        ("acme", "cli:root", False),
    ]
    assert {"limit": "mode", "old": None, "new": "shadow"} in said[0]["changes"]
    assert said[1]["changes"] == [{"limit": "mode", "old": "shadow", "new": "charge"}]
    assert said[2]["changes"] == [{"limit": "max_per_day_usd", "old": 100, "new": 150}]


def test_what_is_open_of_an_account_of_the_api_lets_the_daemon_start(there: World) -> None:
    registry = charging(there)
    asyncio.run(registry.change(ADMIN, [Change(kind=Kind.ACCOUNT, id="acme", body=None)]))
    begin(there)
    refuse_lost(registry.config, there.store.reader)


def test_who_has_not_taken_in_what_is_stored_knows_it(there: World) -> None:
    registry, other = charging(there), there.open()
    before = registry.config
    assert registry.is_current(there.store.reader, before)
    asyncio.run(other.change(ADMIN, [put("more", {**ACCOUNT, "api_key": "cs_more"})]))
    assert not registry.is_current(there.store.reader, before)
    assert asyncio.run(registry.catch_up())
    assert registry.is_current(there.store.reader, registry.config)
    assert not registry.is_current(there.store.reader, before), "who acts on one of a moment ago"
