"""`alerts`: what is open and why, what was sent to whom, what was not; muting beside a running daemon."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from alerts.model.instants import from_ms
from alerts.model.money import to_micro
from alerts.model.receivers import EmailReceiver, Receivers
from alerts.model.specs import LowBalance
from daemon.cli import app
from daemon.clock import SeededIds, SystemClock
from daemon.store import Store, states
from daemon.store.migrations import migrate
from daemon.store.outbox import Outbox, store_id
from tests.helpers_alerts import Watched

CONFIG = """
[store]
path = "{folder}/brimful.db"

[accounts.clips]
provider = "contentstats"
api_key = "env:CLIPS_KEY"
poll = "*/5 * * * *"

[[rules]]
id = "low"
kind = "low_balance"
below_usd = 5.00
"""


class Site:
    """A folder with a configuration and a database in which an account was judged an hour ago."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "config.toml"
        self.config.write_text(CONFIG.format(folder=folder))
        self.path = folder / "brimful.db"
        self.account = Watched(
            LowBalance(id="low", below_microusd=to_micro(5), clear_above_microusd=to_micro(6)),
            start=SystemClock().now() - timedelta(hours=1),
        )

    def prepare(self) -> None:
        store = Store(self.path)
        migrate(store)
        ids = SeededIds(1)
        with store.write(durable=True) as tx:
            outbox = Outbox(store_id(tx, ids), Receivers((EmailReceiver(id="ops", to=("ops@example.com",)),)), ids)
            for balance in (4, 4, 7, 3):
                self.account.read(balance=balance)
                assert self.account.evaluation is not None
                states.save(tx, self.account.evaluation, None)
                for draft in self.account.evaluation.drafts:
                    outbox.append(tx, draft, self.account.now)
        store.close()

    def run(self, *args: str) -> Result:
        return CliRunner().invoke(app, ["--config", str(self.config), "alerts", *args])

    def mutes(self) -> dict[str, object]:
        store = Store(self.path, readonly=True)
        try:
            return dict(states.mutes(store.reader, from_ms(0)))
        finally:
            store.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    found = Site(tmp_path)
    found.prepare()
    return found  # type: ignore[return-value]


def test_json_tells_what_is_open_why_since_when_and_to_whom(site: Site) -> None:
    result = site.run("--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    (open_episode,) = document["open"]
    assert open_episode["rule"] == "low"
    assert open_episode["why"] == "available $3.00 is below $5.00"
    assert open_episode["configured"] is True
    (told,) = open_episode["told"]
    assert told["type"] == "balance.low"
    assert told["to"] == [{"receiver": "email:ops", "state": "pending", "at": None}]
    (ended,) = document["recent"]
    assert ended["closed_why"] == "available $7.00 is above $6.00"
    assert [one["type"] for one in ended["told"]] == ["balance.low", "balance.recovered"]
    assert ("low", "already notified in this episode") in [(one["rule"], one["reason"]) for one in document["not_told"]]


def test_a_person_reads_the_same(site: Site) -> None:
    result = site.run()
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0] == "Open"
    assert lines[1].startswith("  clips · low · warning · since ")
    assert lines[2] == "    available $3.00 is below $5.00"
    assert lines[3].endswith(": balance.low to email:ops (pending)")
    assert "    available $4.00 is below $5.00; ended: available $7.00 is above $6.00" in lines
    assert any(line.startswith("  clips · low: already notified in this episode (once, last ") for line in lines)


def test_one_account_can_be_asked_for_and_a_wrong_one_is_named(site: Site) -> None:
    assert site.run("--account", "clips", "--all", "--json").exit_code == 0
    wrong = site.run("--account", "clip")
    assert wrong.exit_code == 2
    assert "did you mean 'clips'?" in wrong.output


def test_a_rule_is_muted_for_a_while_and_shown_so(site: Site) -> None:
    result = site.run("mute", "low", "--for", "4h")
    assert result.exit_code == 0, result.output
    assert result.output.startswith("low is muted until ")
    assert list(site.mutes()) == ["low"]
    document = json.loads(site.run("--json").stdout)
    assert document["mutes"][0]["rule"] == "low"
    assert document["open"][0]["muted_until"] is not None
    assert "Muted: low until " in site.run().output
    assert site.run("mute", "account:reading", "--for", "30m").exit_code == 0


def test_a_mute_works_beside_a_daemon_that_has_the_database_open(site: Site) -> None:
    daemon = Store(site.path)
    try:
        assert site.run("mute", "low", "--for", "4h").exit_code == 0
        assert list(states.mutes(daemon.reader, SystemClock().now())) == ["low"]
    finally:
        daemon.close()


def test_unmute_ends_it_and_says_where_there_is_none(site: Site) -> None:
    site.run("mute", "low", "--for", "4h")
    assert site.run("unmute", "low").exit_code == 0
    assert site.mutes() == {}
    again = site.run("unmute", "low")
    assert again.exit_code == 1
    assert "low is not muted" in again.output


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("mute", "lwo", "--for", "4h"), "did you mean 'low'?"),
        (("mute", "something-else", "--for", "4h"), "there are account:balance"),
        (("mute", "low", "--for", "soon"), "--for 'soon'"),
        (("mute", "low", "--for", "400d"), "a mute lasts up to 90d"),
    ],
)
def test_what_cannot_be_muted_is_a_sentence_and_exit_code_2(site: Site, args: tuple[str, ...], said: str) -> None:
    result = site.run(*args)
    assert result.exit_code == 2
    assert said in result.output


def test_without_a_database_it_says_what_makes_one(tmp_path: Path) -> None:
    result = Site(tmp_path).run("mute", "low", "--for", "4h")
    assert result.exit_code == 1
    assert "there is no database" in str(result.output) + str(result.exception)


def test_an_episode_of_a_rule_that_is_gone_is_shown_as_such(site: Site) -> None:
    site.config.write_text(site.config.read_text().replace('id = "low"', 'id = "other"'))
    assert json.loads(site.run("--json").stdout)["open"][0]["configured"] is False
    assert "low (not configured any more)" in site.run().output
