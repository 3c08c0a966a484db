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
BOTH = {"sqlite", "postgresql"}
HERE = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    for engine in sorted(BOTH):
        parser.addoption(f"--{engine}", action="store_true", help=f"run every test of the store on {engine} alone")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test over both databases, unless it is marked as one of either alone."""
    path = metafunc.definition.path.relative_to(HERE)
    if path.parts[0] not in OVER_BOTH or not {"engine", "tmp_path"} <= set(metafunc.fixturenames):
        return
    engines = {mark.name for mark in metafunc.definition.iter_markers()} & BOTH or BOTH
    if "postgresql" in engines:
        metafunc.parametrize("engine", sorted(engines), indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave to the options what takes long: on PostgreSQL what is marked so, on SQLite what starts many processes."""
    wanted = [engine for engine in sorted(BOTH) if config.getoption(f"--{engine}")]

    def is_left_out(item: pytest.Item) -> bool:
        engine = next((one for one in BOTH if one in item.name.partition("[")[2] or item.get_closest_marker(one)), "")
        if wanted:
            return engine not in wanted
        is_long = item.get_closest_marker("long") is not None
        return (engine == "postgresql" and is_long) or (engine == "sqlite" and item.path.parent.name == "outside")

    items[:] = [item for item in items if not is_left_out(item)]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    where = programs()
    if where is None:
        pytest.skip(MISSING)
    with serving(where) as server:
        yield server


@pytest.fixture
def server(postgres_server: PostgresServer) -> Iterator[ServerUrl]:
    """A database of the tests' server, with Brimful's tables and nothing in them."""
    url = postgres_server.database()
    yield url
    postgres_server.drop(url)


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
