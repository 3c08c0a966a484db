"""The demo passes its checks, reports them truthfully, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import io
import os
import re
import subprocess
import sys
import threading
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from alerts.model.events import EventType
from alerts.model.values import replace
from daemon.cli import app
from daemon.demo.checks import DemoCheck, Evidence, check_all
from daemon.demo.drive import DemoObserver, Month, run_month
from daemon.demo.scenario import START, ZONE
from daemon.demo.show import NotEmptyError, logging_to, run_demo
from daemon.demo.timeline import Timeline
from daemon.store import Store
from tests.helpers_events import bodies, wrong
from tests.postgres import PostgresServer

CARD_PAID_AT = datetime(2026, 10, 7, 11, tzinfo=ZONE)
"""By then a low balance was topped up, a card was declined, replaced and charged."""


def run_to(folder: Path, end: datetime) -> tuple[Month, Timeline]:
    timeline = Timeline()
    with logging_to(folder / "daemon.log"):
        observer = DemoObserver(timeline.add_event, timeline.add_mail, timeline.add_scripted)
        month = asyncio.run(run_month(folder, observer=observer, end=end))
    return month, timeline


def run_checks(folder: Path, month: Month, timeline: Timeline) -> dict[str, DemoCheck]:
    store = Store(folder / "brimful.db", readonly=True)
    try:
        return {check.says: check for check in check_all(Evidence(month, timeline, store.reader, None))}
    finally:
        store.close()


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Month, Timeline]:
    """The first week, lived once for all tests."""
    folder = tmp_path_factory.mktemp("week")
    month, timeline = run_to(folder, CARD_PAID_AT)
    return folder, month, timeline


def test_a_week_charges_each_need_once_and_survives_a_declined_card(week: tuple[Path, Month, Timeline]) -> None:
    folder, month, timeline = week
    passed = {says for says, check in run_checks(folder, month, timeline).items() if check.passed}
    assert {
        "clips: one card charge for each need, never a second",
        "search: one card charge for each need, never a second",
        "every charge was seen in the balance, and notified",
        "a declined card is tried once, a person is notified, its replacement is charged",
        "every webhook verifies with the standardwebhooks library",
        "every event arrived, at the receiver and by mail",
        "each account's events are numbered without gap or repeat",
        "each low balance and each spike is notified once, and its end once",
    } <= passed
    assert [charge.amount for charge in month.world.stripe.successes()] == [5000, 2500]


def test_every_event_of_the_week_is_what_the_catalogue_says(week: tuple[Path, Month, Timeline]) -> None:
    folder, _, timeline = week
    told = bodies(folder / "brimful.db")
    assert len(told) == len(timeline.payloads) > 10
    assert [found for body in told for found in wrong(body)] == []


def test_what_has_not_happened_is_not_claimed(week: tuple[Path, Month, Timeline]) -> None:
    folder, month, timeline = week
    checks = run_checks(folder, month, timeline)
    assert not checks["the filling storage is notified at 80, 90 and 100 %, each once"].passed


def test_a_webhook_that_went_missing_is_noticed(week: tuple[Path, Month, Timeline]) -> None:
    folder, month, timeline = week
    tampered = Timeline()
    tampered.__dict__ |= timeline.__dict__ | {"payloads": timeline.payloads[1:], "verified": timeline.verified - 1}
    checks = run_checks(folder, month, tampered)
    assert not checks["every event arrived, at the receiver and by mail"].passed
    assert not checks["every webhook verifies with the standardwebhooks library"].passed


def test_a_low_balance_notified_twice_is_noticed(week: tuple[Path, Month, Timeline]) -> None:
    folder, month, timeline = week
    twice = [one for one in timeline.payloads for _ in range(2 if one[1] is EventType.BALANCE_LOW else 1)]
    tampered = Timeline()
    tampered.__dict__ |= timeline.__dict__ | {"payloads": twice}
    checks = run_checks(folder, month, tampered)
    assert not checks["each low balance and each spike is notified once, and its end once"].passed


def test_a_charge_that_the_ledger_does_not_know_is_noticed(week: tuple[Path, Month, Timeline]) -> None:
    folder, month, timeline = week
    charges = month.world.stripe.books.charges
    charges.append(replace(month.world.stripe.successes("clips")[0], intent="pi_stranger"))
    try:
        assert not run_checks(folder, month, timeline)["clips: one card charge for each need, never a second"].passed
    finally:
        charges.pop()


def test_two_runs_tell_the_same_story(week: tuple[Path, Month, Timeline], tmp_path: Path) -> None:
    _, _, timeline = week
    _, again = run_to(tmp_path, CARD_PAID_AT)

    def sorted_lines(one: Timeline) -> list[tuple[datetime, str, str]]:
        return sorted((line.at, line.account, line.says) for line in one.lines)

    assert sorted_lines(again) == sorted_lines(timeline)


def test_the_live_view_draws_every_account(tmp_path: Path) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100, highlight=False)
    assert run_demo(tmp_path / "out", console=console, end=START + timedelta(hours=12), live=True) is False
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    for shown in ("Video tracking", "$38.08", "Media storage", "64.5 %", "Thu  1 October 2026", "Checks", "To open"):
        assert shown in text


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(NotEmptyError):
        run_demo(tmp_path)
    result = CliRunner().invoke(app, ["demo", "--out", str(tmp_path)])
    assert result.exit_code == 1
    assert "is not empty" in result.output


@pytest.mark.long
@pytest.mark.postgresql
@pytest.mark.timeout(240)
def test_the_whole_month_on_postgresql(tmp_path: Path, postgres_server: PostgresServer) -> None:
    screen = io.StringIO()
    url = postgres_server.empty()
    assert run_demo(tmp_path / "out", console=Console(file=screen, width=120), place=url), screen.getvalue()
    assert screen.getvalue().count("✓") == 12
    assert not (tmp_path / "out" / "brimful.db").exists()
    postgres_server.drop(url)


@pytest.mark.timeout(240)
def test_the_whole_month_from_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    here, out = tmp_path / "here", tmp_path / "out"
    here.mkdir(mode=0o500)
    root = str(Path(__file__).resolve().parents[2])
    environment = {"PATH": os.defpath, "PYTHONPATH": root, "HOME": str(here), "PYTHONWARNINGS": "error"}
    process = subprocess.Popen(
        [sys.executable, "-m", "daemon", "demo", "--out", str(out)],
        cwd=here,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    assert "✗" not in output
    assert output.count("✓") == 12
    assert list(here.iterdir()) == []
    names = {path.name for path in out.iterdir()}
    assert {"brimful.db", "config.toml", "daemon.log", "finance-2026-10-statement.csv", "mails"} <= names
    [finance] = (out / "mails").glob("*-usage-statement-october-2026*.html")
    html = finance.read_text()
    assert "to the cent" in html
    assert "data:image/png;base64," in html
    assert "cid:" not in html
    assert "sk_test" not in (out / "daemon.log").read_text()
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    assert threading.active_count() < 10
