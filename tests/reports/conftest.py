"""A store with a month of readings, a configuration with a report, and a mail server that keeps what it is sent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from alerts.model.readings import Known
from daemon.config.load import load
from daemon.config.model import Config
from daemon.demo.standins.mailbox import MailboxStandin
from daemon.reports.reporter import Reporter
from daemon.store import Store, readings
from daemon.store.migrations import migrate
from daemon.work.smtp import SmtpMailer
from tests.helpers_statements import OCTOBER, level

CONFIG = """
timezone = "Europe/Berlin"
[store]
path = "{folder}/brimful.db"
[smtp]
host = "127.0.0.1"
port = {port}
sender = "Brimful <brimful@example.com>"
[accounts.clips]
provider = "contentstats"
base_url = "http://127.0.0.1:9"
api_key = "cs_test_123"
poll = "*/15 * * * *"
label = "Video tracking"
[[reports]]
id = "finance"
period = "{period}"
cron = "{cron}"
to = ["{to}"]
"""


def month_of_readings(every: timedelta = timedelta(hours=1)) -> list[Known]:
    """October and a day around it: a dollar a day from 50 dollars, charged at once."""
    at, known = OCTOBER.start - timedelta(days=1), []
    while at < OCTOBER.end + timedelta(days=1):
        days = (at - OCTOBER.start) // timedelta(days=1)
        known.append(level(at, str(50 - days), str(1000 + days), "0.25"))
        at += every
    return known


@pytest.fixture
async def mailbox() -> AsyncIterator[MailboxStandin]:
    async with MailboxStandin() as mailbox:
        yield mailbox


@pytest.fixture
def configure(tmp_path: Path) -> Callable[..., Config]:
    """Make a configuration file and load it."""

    def make(
        port: int = 25,
        *,
        period: str = "month",
        cron: str = "0 8 1 * *",
        to: str = "finance@example.com",
        more: str = "",
        before: str = "",
    ) -> Config:
        path = tmp_path / "config.toml"
        written = CONFIG.format(folder=tmp_path, port=port, period=period, cron=cron, to=to)
        path.write_text(f"{before}\n{written}{more}\n")
        return load(path)

    return make


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "brimful.db")
    migrate(store)
    yield store
    store.close()


@pytest.fixture
def october(store: Store) -> Store:
    """The store with October in it."""
    with store.write(durable=False) as tx:
        readings.record(tx, month_of_readings())
    return store


@pytest.fixture
def make_reporter(configure: Callable[..., Config], october: Store, mailbox: MailboxStandin) -> Callable[..., Reporter]:
    def make(**wishes: str) -> Reporter:
        config = configure(mailbox.port, **wishes)
        assert config.smtp is not None
        return Reporter(config, store=october, mailer=SmtpMailer(config.smtp), name="store_1")

    return make
