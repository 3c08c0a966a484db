"""A PostgreSQL that a test may stop, and a usage API that counts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.process import Server, server
from tests.fleet.machines import Machines
from tests.postgres import MISSING, PostgresServer, programs, serving

ACCOUNTS = 120


@pytest.fixture
def postgres() -> Iterator[PostgresServer]:
    where = programs()
    if where is None:
        pytest.skip(MISSING)
    with serving(where) as running:
        yield running


@pytest.fixture
def served() -> Iterator[Server]:
    with server() as running:
        yield running


@pytest.fixture
def machines(tmp_path: Path, postgres: PostgresServer, served: Server) -> Iterator[Machines]:
    found = Machines(tmp_path, postgres, served, ACCOUNTS, poll="0 0 1 1 *")
    yield found
    found.stop()
