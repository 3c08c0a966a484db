"""On a server a registry's reads and commits run beside the event loop, and changes follow one another."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from daemon.config.model import Config
from daemon.places import ServerUrl
from daemon.resources.model import AnsweredBefore, Change, Filters, Idempotency, Kind, RequestRefused
from daemon.resources.registry import Registry
from daemon.store import Store, resources
from tests.helpers_registry import ADMIN, RULE, World, put, world


@pytest.fixture
def there(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as found:
        yield found


@pytest.fixture
def registry(there: World, server: ServerUrl) -> Iterator[Registry]:
    with closing(Store(server)) as store:
        lane = store.lane("api")
        yield there.open(lane)
        lane.close_lane()


def label(said: str, version: int) -> Change:
    return Change(kind=Kind.ACCOUNT, id="acme", body={"label": said}, merge=True, if_version=version)


async def test_a_change_whose_caller_is_gone_is_taken_with_what_others_committed(
    registry: Registry, server: ServerUrl
) -> None:
    taken: list[Config] = []
    registry.taken = taken.append
    with closing(Store(server)) as other:
        with other.write(durable=True) as tx:
            tx.execute("SELECT 1 FROM resource_last FOR UPDATE")
            changing = asyncio.ensure_future(registry.change(ADMIN, [put("acme")]))
            waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            while tx.execute(waits).fetchone() is None:
                await asyncio.sleep(0.01)
            catching_up = asyncio.ensure_future(registry.catch_up())
            changing.cancel()
            await asyncio.sleep(0.05)
            assert {changing.done(), catching_up.done()} == {False}, "it ends with its commit, and the next begins then"
        with pytest.raises(asyncio.CancelledError):
            await changing
        assert await catching_up
        assert "acme" in registry.config.accounts
        assert taken == [registry.config]
        assert registry.is_current(other.reader, registry.config)


async def test_changes_at_once_follow_one_another(registry: Registry, there: World, server: ServerUrl) -> None:
    taken: list[Config] = []
    registry.taken = taken.append
    await registry.change(ADMIN, [put("acme")])
    with closing(Store(server)) as store:
        other = there.open(store)
        names = [f"a{number}" for number in range(8)]
        made = [(registry if number % 2 else other).change(ADMIN, [put(id)]) for number, id in enumerate(names)]
        labels = [registry.change(ADMIN, [label(said, 1)]) for said in ("one", "two")]
        rule = registry.change(ADMIN, [put("mine", RULE, Kind.RULE)])
        done = await asyncio.gather(rule, *labels, *made, registry.catch_up(), return_exceptions=True)
        refused = [one for one in done if isinstance(one, BaseException)]
        assert [one.status for one in refused if isinstance(one, RequestRefused)] == [412], refused
        while await registry.catch_up():
            pass
        assert {"acme", *names} <= registry.config.accounts.keys()
        assert taken[-1] is registry.config
        versions = [row.change for row in resources.since(store.reader, 0)]
        assert len(versions) == len(set(versions)) == 10
        found = await registry.search(ADMIN, Kind.ACCOUNT, Filters())
        assert [one.id for one in found.resources if one.id != "clips"] == sorted(["acme", *names])
        rules = await registry.search(ADMIN, Kind.RULE, Filters())
        assert "mine" in {one.id for one in rules.resources}


async def test_one_key_on_two_daemons_at_once_is_answered_by_one_and_asked_again_of_the_other(
    registry: Registry, there: World, server: ServerUrl
) -> None:
    key = Idempotency(key="once", digest="digest", answer=lambda outcomes: (201, {"id": outcomes[0].resource.id}))
    with closing(Store(server)) as store, closing(Store(server)) as held:
        lane = store.lane("api")
        other = there.open(lane)
        with held.write(durable=True) as tx:
            tx.execute("SELECT 1 FROM resource_last FOR UPDATE")
            asked = [one.change(ADMIN, [put(id)], idempotency=key) for one, id in ((registry, "a"), (other, "b"))]
            running = [asyncio.ensure_future(one) for one in asked]
            waits = "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            while tx.execute(waits).fetchone() != (2,):
                await asyncio.sleep(0.01)
        done = await asyncio.gather(*running, return_exceptions=True)
        [refused] = [one for one in done if isinstance(one, BaseException)]
        assert isinstance(refused, RequestRefused)
        assert (refused.status, refused.type) == (409, "idempotency-key-in-use")
        with pytest.raises(AnsweredBefore):
            await other.change(ADMIN, [put("b")], idempotency=key)
        lane.close_lane()
