"""What is stored and the file together: two owners, a key that is missing, a file that forbids, other processes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from alerts.model.readings import Reason, Unavailable
from daemon.clock import ManualClock
from daemon.config.load import ConfigError, load
from daemon.config.model import Config, ManagedBy, TopupMode
from daemon.net.http import HttpClient
from daemon.resources.loading import combined
from daemon.resources.model import Change, Kind, RequestRefused
from daemon.sources.fetcher import Fetcher
from daemon.store import Store
from daemon.work.preflight import load_to_run
from tests.helpers_registry import (
    ACCOUNT,
    ADMIN,
    API,
    FILE,
    KEYS,
    OTHER_KEY,
    RULE,
    START,
    SUBSCRIPTION,
    TOPUP,
    World,
    put,
    world,
)

STRIPE_TABLE = '[stripe]\napi_key = "env:STRIPE_KEY"\nmode = "test"\n'


def filled(there: World) -> None:
    changes = [put("acme", {**ACCOUNT, "owner": "acme"}), put("acme", TOPUP, Kind.TOPUP)]
    changes.append(put("acme-low", {**RULE, "accounts": ["acme"]}, Kind.RULE))
    changes.append(put("", {**SUBSCRIPTION, "account": "acme", "owner": "acme"}, Kind.SUBSCRIPTION))
    asyncio.run(there.open().change(ADMIN, changes))


def start(there: World, monkeypatch: pytest.MonkeyPatch) -> ConfigError | None:
    for name, value in there.environ.items():
        monkeypatch.setenv(name, value)
    try:
        load_to_run(there.path)
    except ConfigError as error:
        return error
    return None


def test_file_that_names_an_object_of_the_api_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with world(tmp_path) as there:
        filled(there)
        assert start(there, monkeypatch) is None
        there.write(FILE + '[accounts.acme]\nprovider = "tornado"\napi_key = "env:TORNADO_KEY"\n')
        refused = start(there, monkeypatch)
        assert refused is not None
        twice = [problem for problem in refused.problems if problem.id.value == "managed-twice"]
        assert [problem.key_path for problem in twice] == ["accounts.acme"]
        # who reads the database before that is noticed takes the file's word, and tells it
        held = combined(load(there.path, environ=there.environ), there.store.reader, environ=there.environ)
        assert held.config.accounts["acme"].managed_by is ManagedBy.FILE
        assert "take it out of the file" in held.problems["account", "acme"]


def test_archived_id_is_not_given_to_the_file_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with world(tmp_path) as there:
        filled(there)
        asyncio.run(there.open().change(ADMIN, [Change(kind=Kind.ACCOUNT, id="acme", body=None)]))
        there.write(FILE + '[accounts.acme]\nprovider = "tornado"\napi_key = "env:TORNADO_KEY"\n')
        refused = start(there, monkeypatch)
        assert refused is not None
        assert "until it was archived" in str(refused)


def test_adopted_object_is_the_apis_while_the_file_still_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with world(tmp_path) as there:
        registry = there.open()
        body = {"provider": "contentstats", "api_key": "env:CS_KEY", "label": "Adopted"}
        (outcome,) = asyncio.run(registry.adopt(ADMIN, [put("clips", body)]))
        assert outcome.created
        for opened in (registry, there.open()):
            account = opened.config.accounts["clips"]
            assert (account.managed_by, account.info.label) == (ManagedBy.API, "Adopted")
            assert opened.find(ADMIN, Kind.ACCOUNT, "clips").managed_by is ManagedBy.API
        asyncio.run(registry.change(ADMIN, [Change(kind=Kind.ACCOUNT, id="clips", body={"label": "On"}, merge=True)]))
        asyncio.run(registry.change(ADMIN, [put("clips", TOPUP, Kind.TOPUP)]))
        assert there.open().config == registry.config
        assert start(there, monkeypatch) is None
        warnings = load_to_run(there.path).warnings
        assert any("managed-twice accounts.clips: it was adopted" in warning for warning in warnings)
        with pytest.raises(RequestRefused) as refused:
            asyncio.run(registry.adopt(ADMIN, [put("clips", body, only_create=True)]))
        assert refused.value.status == 412


def test_without_its_master_key_an_account_is_not_asked_and_says_why(tmp_path: Path) -> None:
    with world(tmp_path) as there:
        filled(there)
        there.environ["MASTER_KEY"] = OTHER_KEY
        told: list[str] = []
        registry = there.open(told=lambda resource, problem: told.append(f"{resource}: {problem}"))
        account = registry.config.accounts["acme"]
        assert "it is sealed by the master key" in account.unavailable
        assert account.topup is not None  # what is open goes on to be read back
        assert next(line.partition(":")[0] for line in told) == "account/acme"
        assert registry.find(ADMIN, Kind.ACCOUNT, "acme").problem == account.unavailable

        async def read() -> object:
            http = HttpClient()
            try:
                return await Fetcher(http, ManualClock(START)).fetch(account)
            finally:
                await http.aclose()

        reading = asyncio.run(read())
        assert isinstance(reading, Unavailable)
        assert (reading.reason, reading.detail) == (Reason.UNAUTHORIZED, account.unavailable)
        with pytest.raises(RequestRefused) as refused:  # nor can keys be compared
            asyncio.run(registry.change(ADMIN, [put("other")]))
        assert (refused.value.status, refused.value.type) == (503, "master-key-missing")


def test_what_a_new_file_forbids_is_kept_and_told(tmp_path: Path) -> None:
    with world(tmp_path) as there:
        filled(there)
        there.write(FILE.replace(STRIPE_TABLE, ""))
        registry = there.open()
        assert registry.config.accounts["acme"].topup is None
        assert "there is no [stripe]" in registry.problems["topup", "acme"]
        there.write(FILE)
        assert there.open().problems == {}


def test_other_processes_changes_are_caught_up_with(tmp_path: Path) -> None:
    with world(tmp_path) as there:
        registry = there.open()
        seen: list[Config] = []
        registry.taken = seen.append
        assert not asyncio.run(registry.catch_up())
        other = Store(there.store.path)
        try:
            filled_by = there.open(other)
            before = registry.config
            asyncio.run(filled_by.change(ADMIN, [put("acme"), put("acme", TOPUP, Kind.TOPUP)]))
            assert asyncio.run(registry.catch_up())
            (config,) = seen
            assert config is registry.config
            assert config == filled_by.config
            assert config.accounts["clips"] is before.accounts["clips"]
            assert config.rules is before.rules
            assert config.receivers is before.receivers
            # both at once: the second sees the first's before it writes
            asyncio.run(filled_by.change(ADMIN, [put("beta")]))
            asyncio.run(registry.change(ADMIN, [put("gamma")]))
            assert {"beta", "gamma"} <= registry.config.accounts.keys()
            assert seen[-1] is registry.config
            asyncio.run(filled_by.catch_up())
            assert filled_by.config == registry.config
        finally:
            other.close()


def test_promotion_is_seen_by_whoever_loads(tmp_path: Path) -> None:
    with world(tmp_path) as there:
        filled(there)
        registry = there.open()
        body = {**TOPUP, "mode": "charge"}
        asyncio.run(registry.change(ADMIN, [put("acme", body, Kind.TOPUP, if_version=1)]))
        for opened in (registry, there.open()):
            topup = opened.config.accounts["acme"].topup
            assert topup is not None
            assert topup.mode is TopupMode.CHARGE


def test_without_api_nothing_stored_is_loaded(tmp_path: Path) -> None:
    with world(tmp_path) as there:
        filled(there)
        there.write(FILE.replace(API, ""))
        file = load(there.path, environ=KEYS | there.environ)
        assert combined(file, there.store.reader).config is file
