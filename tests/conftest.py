"""Whatever touches the store runs over both databases: each test of these rooms that takes a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.places import Place, ServerUrl
from daemon.store import connection
from daemon.store.dialects import Dialect, open_dialect
from tests import postgres
from tests.postgres import MISSING, PostgresServer, programs, serving

OVER_BOTH = ("store", "topups", "delivery", "service", "outside")
QUICK = (
    "store",
    "delivery/test_many_receivers.py",
    "delivery/test_results.py",
    "service/test_one_pass.py",
    "service/test_on_postgresql.py",
    "outside",
    "topups/test_tables.py",
    "topups/test_two_daemons.py",
)
"""What always runs over PostgreSQL, too. With `--postgresql` (`make test-postgresql`) all runs there alone."""
BOTH = {"sqlite", "postgresql"}
HERE = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--postgresql", action="store_true", help="run every test of the store on PostgreSQL alone")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test over both databases, unless it is marked as one of either alone."""
    path = metafunc.definition.path.relative_to(HERE)
    if path.parts[0] not in OVER_BOTH or not {"engine", "tmp_path"} <= set(metafunc.fixturenames):
        return
    quick = metafunc.config.getoption("--postgresql") or any(path.is_relative_to(one) for one in QUICK)
    engines = {mark.name for mark in metafunc.definition.iter_markers()} & BOTH or (BOTH if quick else {"sqlite"})
    if "postgresql" in engines:
        metafunc.parametrize("engine", sorted(engines), indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--postgresql"):
        items[:] = [item for item in items if "postgresql" in item.name.partition("[")[2]]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    where = programs()
    if where is None:
        pytest.skip(MISSING)
    with serving(where) as server:
        yield server


@pytest.fixture(autouse=True)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The database of this test. With PostgreSQL each path stands for a database of the tests' own server."""
    engine = getattr(request, "param", "sqlite")
    if engine == "sqlite":
        yield engine
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    databases: dict[Path, ServerUrl] = {}
    left: list[Dialect] = []

    def place_of(path: Path) -> ServerUrl:
        if path.absolute() not in databases:
            databases[path.absolute()] = server.database()
            path.touch()
        return databases[path.absolute()]

    def opened(place: Place, *, readonly: bool) -> Dialect:
        if not isinstance(place, Path):
            return open_dialect(place, readonly=readonly)
        left.append(open_dialect(place_of(place), readonly=readonly))
        return left[-1]

    monkeypatch.setattr(connection, "open_dialect", opened)
    monkeypatch.setattr(postgres, "place_of", place_of)
    yield engine
    for one in left:
        one.close()
    for url in databases.values():
        server.give_back(url)
