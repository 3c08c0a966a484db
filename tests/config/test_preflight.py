"""A configuration is also held against its own database: burn that was seen, top-ups that are open."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from alerts.model.readings import Known, Metrics
from daemon.compose import open_service
from daemon.config.load import ConfigError, Inspection
from daemon.config.problems import ProblemId
from daemon.store import Store, ledger, readings
from daemon.store.migrations import m0003_ledger, migrate
from daemon.store.topup_rows import State, Topup
from daemon.work.preflight import lint_past, load_to_run
from tests.helpers_config import ENVIRON, GOOD, PAID, STRIPE, changed, look

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
DATABASE = "brimful.db"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / DATABASE)
    migrate(store)
    return store


def spent(store: Store, usd_per_day: int, days: int = 3) -> None:
    """Record readings of an account that spends so much a day."""
    for hour in range(0, days * 24 + 1, 6):
        charged = usd_per_day * 1_000_000 * hour // 24
        metrics = Metrics(balance_microusd=50_000_000, uncharged_microusd=0, total_charged_microusd=charged)
        at = NOW - timedelta(days=days) + timedelta(hours=hour)
        with store.write(durable=False) as tx:
            readings.record(tx, [Known("clips", at, metrics)])


def topup(store: Store, *, account: str = "clips", customer: str = "cus_123", state: State = State.PLANNED) -> None:
    with store.write(durable=True) as tx:
        ledger.insert(
            tx,
            Topup(
                id=f"{account}-1",
                account=account,
                customer=customer,
                seq=1,
                own=True,
                state=state,
                amount_cents=5000,
                create_key="k",
                create_params="{}",
                planned_at=NOW,
                state_at=NOW,
            ),
            NOW,
        )


def looked_back(folder: Path, text: str) -> Inspection:
    found = look(folder, text)
    assert found.facts is not None
    lint_past(found.facts, folder / DATABASE)
    return found


def ids(found: Inspection) -> list[str]:
    return [problem.id.value for problem in found.problems]


def test_threshold_that_one_poll_burns_through_is_told_from_history(tmp_path: Path, store: Store) -> None:
    spent(store, usd_per_day=60)
    hourly = changed(GOOD, 'CS_KEY"', 'CS_KEY"\npoll = "0 */3 * * *"')
    found = looked_back(tmp_path, hourly)
    assert ids(found) == ["rule-threshold-below-poll"]
    assert "$60.00 a day" in found.problems[0].message
    assert ids(looked_back(tmp_path, GOOD)) == []


def test_cooldown_that_outlasts_the_threshold_is_told_from_history(tmp_path: Path, store: Store) -> None:
    spent(store, usd_per_day=480)
    found = looked_back(tmp_path, PAID)
    assert ids(found) == ["topup-cooldown-over-runway"]
    assert found.problems[0].key_path == "accounts.clips.topup.cooldown"


def test_schedule_counts_where_it_says_more_than_history(tmp_path: Path, store: Store) -> None:
    metrics = Metrics(balance_microusd=50_000_000, active_videos=1000, cost_per_snapshot_microusd=15_000)
    with store.write(durable=False) as tx:
        readings.record(tx, [Known("clips", NOW, metrics)])
    assert "$360.00 a day" in looked_back(tmp_path, PAID).problems[0].message


def test_changed_customer_is_refused_while_a_topup_is_open(tmp_path: Path, store: Store) -> None:
    topup(store, customer="cus_old")
    (problem,) = looked_back(tmp_path, PAID).problems
    assert problem.id is ProblemId.TOPUP_OPEN
    assert problem.key_path == "accounts.clips.topup.customer"
    assert "cus_old" in problem.message


def test_renamed_account_is_refused_while_a_topup_is_open(tmp_path: Path, store: Store) -> None:
    topup(store, account="before")
    (problem,) = looked_back(tmp_path, PAID).problems
    assert problem.id is ProblemId.TOPUP_OPEN
    assert problem.key_path == "accounts.before.topup"
    assert 'mode = "off"' in problem.hint


def test_stripe_that_is_taken_away_is_refused_while_a_topup_is_open(tmp_path: Path, store: Store) -> None:
    off = changed(PAID.replace(STRIPE, ""), "when_below_usd", 'mode = "off"\nwhen_below_usd')
    assert ids(looked_back(tmp_path, off)) == []
    topup(store, state=State.CREATING)
    (problem,) = looked_back(tmp_path, off).problems
    assert problem.id is ProblemId.TOPUP_OPEN
    assert problem.key_path == "stripe"
    assert "clips-1 is open" in problem.message
    assert problem.hint.startswith('put it back, with mode = "off"')
    assert "`brimful topups explain clips-1`" in problem.hint


@pytest.mark.parametrize(
    ("state", "refused"),
    [(State.PLANNED, False), (State.CREATING, True), (State.NEEDS_REVIEW, True), (State.ABANDONED, False)],
)
def test_shadow_mode_is_refused_while_a_topup_is_open_that_only_a_send_ends(
    tmp_path: Path, store: Store, state: State, refused: bool
) -> None:
    topup(store, state=state)
    for mode in ("shadow", "off"):
        found = looked_back(tmp_path, changed(PAID, "when_below_usd", f'mode = "{mode}"\nwhen_below_usd'))
        told = [problem for problem in found.problems if problem.id is ProblemId.TOPUP_OPEN]
        assert len(told) == (refused and mode == "shadow")
        for problem in told:
            assert problem.key_path == "accounts.clips.topup.mode"
            assert problem.hint.startswith('set mode = "off"')


def test_open_topup_of_its_own_customer_is_no_problem(tmp_path: Path, store: Store) -> None:
    topup(store)
    assert ids(looked_back(tmp_path, PAID)) == []


def test_file_that_is_no_database_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / DATABASE).write_bytes(b"this is not SQLite, though it is long enough to look at" * 40)
    (problem,) = looked_back(tmp_path, GOOD).problems
    assert problem.id is ProblemId.STORE_UNREADABLE


def test_database_without_tables_says_nothing_yet(tmp_path: Path) -> None:
    Store(tmp_path / DATABASE).close()
    assert ids(looked_back(tmp_path, PAID)) == []


def test_open_topup_keeps_its_customer_before_an_upgrade_has_migrated(tmp_path: Path) -> None:
    older = Store(tmp_path / DATABASE)
    with older.write(durable=True) as tx:
        for statement in m0003_ledger.STATEMENTS:
            tx.execute(statement)
        tx.execute(
            "INSERT INTO topups (id, account, customer, seq, own, state, amount_cents, create_key, create_params,"
            " planned_at, state_at) VALUES ('clips-1', 'clips', 'cus_old', 1, 1, 'planned', 5000, 'k', '{}', 1, 1)"
        )
    (problem,) = looked_back(tmp_path, PAID).problems
    assert problem.id is ProblemId.TOPUP_OPEN
    assert problem.key_path == "accounts.clips.topup.customer"


def test_ledger_that_only_a_migration_makes_readable_is_left_to_who_opens_it(tmp_path: Path) -> None:
    older = Store(tmp_path / DATABASE)
    with older.write(durable=True) as tx:
        tx.execute("CREATE TABLE topups (id TEXT PRIMARY KEY, account TEXT NOT NULL)")
    assert ids(looked_back(tmp_path, PAID)) == []


def test_daemon_starts_nothing_while_an_open_topup_would_lose_its_account(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**ENVIRON, "STATE_DIRECTORY": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    path = tmp_path / "config.toml"
    path.write_text(PAID)
    assert load_to_run(path).accounts["clips"].topup is not None
    topup(store, customer="cus_old")
    with pytest.raises(ConfigError, match="topup-open-changed"):
        load_to_run(path)


async def test_daemon_that_opens_its_database_starts_nothing_while_an_open_topup_would_lose_stripe(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**ENVIRON, "STATE_DIRECTORY": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    path = tmp_path / "config.toml"
    path.write_text(changed(PAID.replace(STRIPE, ""), "when_below_usd", 'mode = "off"\nwhen_below_usd'))
    config = load_to_run(path)
    topup(store)
    with pytest.raises(ConfigError, match="stripe: the top-up clips-1 is open"):
        async with open_service(config):
            pytest.fail("it has started")
