"""Whatever touches the store runs over both databases: each test of these rooms that takes a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.places import Place, ServerUrl
from daemon.store import connection
from daemon.store.dialects import Dialect, open_dialect
from tests.postgres import MISSING, PostgresServer, programs, serving

OVER_BOTH = ("store", "topups", "delivery", "service")
BOTH = {"sqlite", "postgresql"}
HERE = Path(__file__).parent


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test over both databases, unless it is marked as one of either alone."""
    room = metafunc.definition.path.relative_to(HERE).parts[0]
    if "engine" in metafunc.fixturenames and room in OVER_BOTH and "tmp_path" in metafunc.fixturenames:
        marks = {mark.name for mark in metafunc.definition.iter_markers()}
        metafunc.parametrize("engine", sorted(marks & BOTH) or sorted(BOTH), indirect=True)


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

    def opened(place: Place, *, readonly: bool) -> Dialect:
        if not isinstance(place, Path):
            return open_dialect(place, readonly=readonly)
        if place.absolute() not in databases:
            databases[place.absolute()] = server.database()
            place.touch()
        left.append(open_dialect(databases[place.absolute()], readonly=readonly))
        return left[-1]

    monkeypatch.setattr(connection, "open_dialect", opened)
    yield engine
    for one in left:
        one.close()
    for url in databases.values():
        server.drop(url)
