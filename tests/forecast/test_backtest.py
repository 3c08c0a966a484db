"""Replays: the same history under the same rules tells the same; credits give way to simulated charges."""

import json
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from alerts.model.readings import Metrics, Reading, Reason, Unavailable
from daemon.backtest.comparison import AdviceRequest, Comparison, compare
from daemon.backtest.replay import Replay, expand, is_false_alarm
from daemon.cli import app
from daemon.clock import SystemClock
from daemon.config.model import Config
from daemon.store import Store
from daemon.store.readings import history
from tests.helpers_forecast import POLL, known, live, metrics, spending, write_config

BEGIN = datetime(2026, 9, 1, tzinfo=UTC)
DOLLAR = 1_000_000


def _compared(
    folder: Path, configs: dict[str, Config], since: datetime, until: datetime, asked: AdviceRequest | None = None
) -> Comparison:
    store = Store(folder / "brimful.db", readonly=True)
    parts: list[Decimal] = []
    found = compare(store.reader, "clips", configs, since, until, asked, lambda what, part: parts.append(part))
    store.close()
    assert found is not None
    assert parts
    assert all(0 <= part <= 1 for part in parts)
    return found


def test_the_same_rules_tell_again_what_was_really_told(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    # Four dollars a day of twenty, credited by hand two days after it is low: low and recovered, four times.
    live(tmp_path, config, spending(BEGIN, 20, 4 * DOLLAR, lambda at, spent: 20 + 16 * ((at - BEGIN).days // 4)))
    found = _compared(tmp_path, {"this": config}, BEGIN, BEGIN + timedelta(days=21))
    replayed = found.outcomes["this"]
    assert found.happened.events["balance.low"] >= 4
    assert dict(replayed.events) == dict(found.happened.events)
    assert replayed.reminders == found.happened.reminders
    assert replayed.episodes == found.happened.episodes
    assert replayed.readings == 20 * 48 + 1
    assert [credit.amount_microusd for credit in found.happened.credits] == [16 * DOLLAR] * 5
    assert not replayed.charges


def test_recorded_credits_are_replaced_by_the_charges_that_would_have_been_made(tmp_path: Path) -> None:
    plain = write_config(tmp_path)
    live(tmp_path, plain, spending(BEGIN, 20, 4 * DOLLAR, lambda at, spent: 20 + 100 * (at - BEGIN).days))
    config = write_config(tmp_path, when_below="10.00", amount="25.00")
    replayed = _compared(tmp_path, {"this": config}, BEGIN, BEGIN + timedelta(days=21)).outcomes["this"]
    # Eighty dollars are spent of twenty: three charges of 25, each when under ten is left.
    assert [charge.amount_microusd for charge in replayed.charges] == [25 * DOLLAR] * 3
    assert replayed.balance.lowest_microusd is not None
    assert 9 * DOLLAR < replayed.balance.lowest_microusd < 10 * DOLLAR
    assert not replayed.balance.below_zero
    assert replayed.recorded.lowest_microusd == 20 * DOLLAR - 4 * DOLLAR * 47 // 48


def test_a_cap_that_holds_charges_back_leaves_the_account_below_zero(tmp_path: Path) -> None:
    plain = write_config(tmp_path)
    live(tmp_path, plain, spending(BEGIN, 20, 4 * DOLLAR, lambda at, spent: 20 + 100 * (at - BEGIN).days))
    config = write_config(tmp_path, when_below="10.00", amount="25.00", month="30.00")
    replayed = _compared(tmp_path, {"this": config}, BEGIN, BEGIN + timedelta(days=21)).outcomes["this"]
    assert len(replayed.charges) == 1
    assert replayed.refusals == {"cap_month": 1}
    # 45 dollars last for 11¼ days of 20.
    assert abs(replayed.balance.below_zero - timedelta(days=8.75)) <= POLL
    assert replayed.events["balance.depleted"] == 1


def test_the_burn_brake_holds_a_charge_until_a_person_comes(tmp_path: Path) -> None:
    plain = write_config(tmp_path)
    calm = list(spending(BEGIN, 12, 4 * DOLLAR, lambda at, spent: 100))
    spent = 48 * DOLLAR
    for _ in range(59):
        spent += 8 * DOLLAR
        calm.append(known(calm[-1].at + POLL, metrics(1000, spent)))
    live(tmp_path, plain, calm)
    config = write_config(tmp_path, when_below="30.00", amount="25.00")
    replayed = _compared(tmp_path, {"this": config}, BEGIN, BEGIN + timedelta(days=20)).outcomes["this"]
    assert replayed.refusals["brake"] == 1
    first = next(charge.at for charge in replayed.charges if charge.at > BEGIN + timedelta(days=12))
    assert first - BEGIN >= timedelta(days=12, hours=12)
    assert replayed.balance.below_zero > timedelta(hours=6)


def test_an_account_without_a_balance_is_replayed_too(tmp_path: Path) -> None:
    config = write_config(tmp_path, when_below="30.00")
    live(tmp_path, config, [known(BEGIN + POLL * poll, Metrics(used_microgb=poll)) for poll in range(100)])
    replayed = _compared(tmp_path, {"this": config}, BEGIN, BEGIN + timedelta(days=3)).outcomes["this"]
    assert replayed.readings == 100
    assert replayed.balance.lowest_microusd is None


def test_a_credit_without_a_running_total_is_a_rise_of_the_balance(tmp_path: Path) -> None:
    plain = write_config(tmp_path)
    said = [20 * DOLLAR - poll * DOLLAR // 10 + (50 * DOLLAR if poll > 60 else 0) for poll in range(190)]
    live(
        tmp_path,
        plain,
        [known(BEGIN + POLL * poll, Metrics(balance_microusd=left)) for poll, left in enumerate(said)],
    )
    config = write_config(tmp_path, when_below="10.00", amount="25.00")
    replayed = _compared(tmp_path, {"this": config}, BEGIN, BEGIN + timedelta(days=5)).outcomes["this"]
    assert [credit.amount_microusd for credit in replayed.credits] == [50 * DOLLAR - DOLLAR // 10]
    assert [charge.amount_microusd for charge in replayed.charges] == [25 * DOLLAR]


def test_two_configurations_stand_side_by_side(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    live(tmp_path, config, spending(BEGIN, 10, 4 * DOLLAR, lambda at, spent: 42))
    other = write_config(tmp_path, name="other.toml", below="30.00")
    found = _compared(tmp_path, {"this": config, "other": other}, BEGIN, BEGIN + timedelta(days=11))
    assert list(found.outcomes) == ["this", "other"]
    assert found.outcomes["this"].events["balance.low"] == found.happened.events["balance.low"] == 1
    assert found.outcomes["other"].events["balance.low"] == 1
    assert found.outcomes["other"].reminders > found.outcomes["this"].reminders


def test_an_episode_that_ends_by_itself_at_the_next_poll_is_a_false_alarm(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    said = {50: 45 * 100_000, 51: 65 * 100_000}
    readings: list[Reading] = []
    for poll in range(100):
        left = said.get(poll, 7 * DOLLAR)
        readings.append(
            known(BEGIN + POLL * poll, metrics(10, 10 * DOLLAR - left if left != 7 * DOLLAR else 3 * DOLLAR))
        )
    # The provider's pending charges wobble: 2.50 more for one poll.
    wobble = [
        known(reading.at, metrics(10, 3 * DOLLAR)) if index != 50 else _pending(reading.at, 2_500_000)
        for index, reading in enumerate(readings)
    ]
    live(tmp_path, config, wobble)
    found = _compared(tmp_path, {"this": config}, BEGIN, BEGIN + timedelta(days=3))
    assert [alarm.rule for alarm in found.happened.false_alarms] == ["low"]
    assert found.outcomes["this"].false_alarms == list(found.happened.false_alarms)


def _pending(at: datetime, pending: int) -> Reading:
    said = metrics(10, 3 * DOLLAR)
    return known(
        at, type(said)(**{**{f: getattr(said, f) for f in said.__struct_fields__}, "uncharged_microusd": pending})
    )


def test_an_episode_that_a_credit_ended_is_no_false_alarm() -> None:
    from daemon.backtest.balance import SimulatedCharge

    assert is_false_alarm(BEGIN, BEGIN + POLL, POLL, [])
    assert not is_false_alarm(BEGIN, BEGIN + 3 * POLL, POLL, [])
    assert not is_false_alarm(BEGIN, BEGIN + POLL, POLL, [SimulatedCharge(BEGIN, 5)])


def test_outages_are_lived_through_too(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    readings = list(spending(BEGIN, 4, DOLLAR, lambda at, spent: 20))
    for poll in range(40, 60):
        readings[poll] = Unavailable("clips", readings[poll].at, Reason.UNAUTHORIZED, "no", status=401)
    live(tmp_path, config, readings)
    found = _compared(tmp_path, {"this": config}, BEGIN, BEGIN + timedelta(days=5))
    assert found.outcomes["this"].events == {"reading.unavailable": 1, "reading.restored": 1}
    assert dict(found.happened.events) == found.outcomes["this"].events


def test_history_before_the_stretch_teaches_but_is_not_counted(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    live(tmp_path, config, spending(BEGIN, 20, 4 * DOLLAR, lambda at, spent: 20))
    since = BEGIN + timedelta(days=10)
    found = _compared(tmp_path, {"this": config}, since, BEGIN + timedelta(days=21))
    assert found.outcomes["this"].readings == 10 * 48 + 1
    assert "balance.low" not in found.outcomes["this"].events
    assert not found.partial
    whole = _compared(tmp_path, {"this": config}, BEGIN - timedelta(days=5), BEGIN + timedelta(days=21))
    assert whole.partial
    assert whole.since == BEGIN


def test_a_run_of_equal_readings_is_every_poll_of_it(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    live(tmp_path, config, [known(BEGIN + POLL * poll, metrics(20, 0)) for poll in range(10)])
    store = Store(tmp_path / "brimful.db", readonly=True)
    polls = list(expand(history(store.reader, "clips", BEGIN, BEGIN + timedelta(days=1))))
    store.close()
    assert [poll.at for poll in polls] == [BEGIN + POLL * number for number in range(10)]
    assert [poll.ends_run for poll in polls] == [False] * 9 + [True]


@pytest.mark.parametrize("seed", range(4))
def test_polls_that_are_passed_over_would_have_changed_nothing(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spend in steps of some polls, with outages and credits: the shortcut finds what judging every poll finds."""
    chance, spent, funded = random.Random(seed), 0, 40
    readings: list[Reading] = []
    for poll in range(1500):
        at = BEGIN + timedelta(minutes=10) * poll
        spent += chance.choice((0, 0, 0, 0, 0, chance.randrange(2 * DOLLAR)))
        funded += 60 if funded * DOLLAR - spent < chance.randrange(4 * DOLLAR) else 0
        if chance.random() < 0.01:
            readings.append(Unavailable("clips", at, Reason.UNAUTHORIZED, "no", status=401))
        else:
            readings.append(known(at, metrics(funded, spent)))
    live(tmp_path, write_config(tmp_path), readings)
    config = write_config(tmp_path, below="9.00", when_below="7.00" if seed % 2 else None, extra=MORE_RULES)
    end = BEGIN + timedelta(days=12)
    short = _compared(tmp_path, {"this": config}, BEGIN, end).outcomes["this"]
    monkeypatch.setattr(Replay, "_is_quiet", lambda *_: False)
    assert _compared(tmp_path, {"this": config}, BEGIN, end).outcomes["this"] == short
    assert len(short.events) >= 5


MORE_RULES = """
[[rules]]
id = "runway"
kind = "runway"
below_days = 2
for_readings = 3
remind_every = "1h"

[[rules]]
id = "budget"
kind = "budget"
period = "week"
limit_usd = 90.00
"""


def test_advice_is_tried_on_the_recorded_stretch(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    live(tmp_path, config, spending(BEGIN, 20, 24 * DOLLAR, lambda at, spent: 100 + 100 * ((at - BEGIN).days // 4)))
    asked = AdviceRequest(Decimal("0.01"), 4, timedelta(hours=2))
    found = _compared(tmp_path, {"this": config}, BEGIN, BEGIN + timedelta(days=21), asked)
    assert found.advised is not None
    advice, outcome = found.advised.advice, found.advised.outcome
    assert 2 * DOLLAR <= advice.threshold_microusd <= 6 * DOLLAR
    assert 175 * DOLLAR <= advice.amount_microusd <= 185 * DOLLAR
    assert not outcome.balance.below_zero
    assert 1 <= len(outcome.charges) <= 4


# ── the commands ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def lived(tmp_path: Path) -> Path:
    """Ten days up to now, four dollars a day of 42, with a top-up table in `topup.toml`."""
    config = write_config(tmp_path)
    begin = SystemClock().now() - timedelta(days=10, minutes=10)
    live(tmp_path, config, spending(begin, 10, 4 * DOLLAR, lambda at, spent: 42))
    write_config(tmp_path, name="topup.toml", when_below="10.00")
    return tmp_path


def _run(folder: Path, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["--config", str(folder / "config.toml"), *arguments])
    return result.exit_code, result.output


def test_backtest_prints_what_happened_beside_both_configurations(lived: Path) -> None:
    code, said = _run(lived, "backtest", "--since", "30d", "--against", str(lived / "topup.toml"), "--advise")
    assert code == 0
    assert "really" in said
    assert "topup.toml" in said
    assert "as advised" in said
    assert "1 · $50.00" in said
    assert "when_below_usd" in said
    assert "readings begin there" in said


def test_backtest_as_json_holds_the_same(lived: Path) -> None:
    code, said = _run(lived, "backtest", "--json", "--advise", "--against", str(lived / "topup.toml"))
    assert code == 0
    (one,) = json.loads(said)
    assert one["account"] == "clips"
    assert one["really"]["events"]["balance.low"] == 1
    assert [replay["configuration"] for replay in one["replays"]] == ["this configuration", "topup.toml"]
    assert one["replays"][1]["charged_usd"] == 50
    assert one["advice"]["replay"]["below_zero_s"] == 0


def test_backtest_writes_nothing(lived: Path) -> None:
    before = (lived / "brimful.db").read_bytes()
    assert _run(lived, "backtest")[0] == 0
    assert (lived / "brimful.db").read_bytes() == before


def test_backtest_refuses_what_it_does_not_understand(lived: Path) -> None:
    assert _run(lived, "backtest", "--risk", "many", "--advise")[0] == 2
    assert _run(lived, "backtest", "--risk", "100%", "--advise")[0] == 2
    assert _run(lived, "backtest", "--delay", "soon", "--advise")[0] == 2
    assert _run(lived, "backtest", "--since", "yesterday")[0] == 2
    assert _run(lived, "backtest", "--account", "other*")[0] == 2


def test_backtest_without_readings_says_so(lived: Path) -> None:
    code, said = _run(lived, "backtest", "--since", "1s")
    assert code == 1
    assert "no readings" in said


def test_backtest_of_a_day_gives_no_advice(lived: Path) -> None:
    code, said = _run(lived, "backtest", "--since", "1d", "--advise", "--account", "cl*")
    assert code == 0
    assert "no advice" in said


def test_afford_says_yes_and_by_how_much(lived: Path) -> None:
    # Two dollars are left; a video costs 0.36 a day.
    code, said = _run(lived, "afford", "clips", "--days", "2", "--videos", "2")
    assert code == 0
    assert "yes, $0.56 would be left" in said
    assert "does not fit" in said
    assert _run(lived, "afford", "clips", "--days", "2", "--videos", "2", "--beside")[0] == 1


def test_a_person_reads_instants_in_the_configured_zone(lived: Path) -> None:
    config = lived / "config.toml"
    config.write_text('timezone = "Asia/Kolkata"\n' + config.read_text())
    for asked in (("afford", "clips", "--days", "2", "--videos", "2"), ("backtest",)):
        said = _run(lived, *asked)[1]
        assert " IST" in said
        assert "UTC" not in said


def test_afford_says_no_and_by_how_much(lived: Path) -> None:
    code, said = _run(lived, "afford", "clips", "--days", "7", "--videos", "3", "--json")
    assert code == 1
    answer = json.loads(said)
    assert answer["affordable"] is False
    assert answer["cost_usd"] == 7.56
    assert answer["left_usd"] == -5.56
    assert answer["fits_beside"] is False


def test_afford_gives_no_answer_from_an_old_or_missing_reading(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    readings: list[Reading] = [known(BEGIN, metrics(42, 0))]
    readings.append(Unavailable("clips", BEGIN + POLL, Reason.UNAUTHORIZED, "no", status=401))
    live(tmp_path, config, readings)
    code, said = _run(tmp_path, "afford", "clips", "--days", "1", "--videos", "1")
    assert code == 1
    assert "too old to say" in said
    assert "unauthorized" in said
    code, said = _run(tmp_path, "afford", "clips", "--days", "1", "--videos", "1", "--json")
    assert code == 1
    assert json.loads(said)["affordable"] is None


def test_afford_of_an_account_that_was_never_read_is_unknown(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    live(tmp_path, config, [Unavailable("clips", BEGIN, Reason.TIMEOUT, "no")])
    code, said = _run(tmp_path, "afford", "clips", "--days", "1", "--videos", "1")
    assert code == 1
    assert "no reading" in said


def test_afford_refuses_wrong_usage(lived: Path) -> None:
    assert _run(lived, "afford", "other", "--days", "1", "--videos", "1")[0] == 2
    assert _run(lived, "afford", "clips", "--days", "0", "--videos", "1")[0] == 2
    assert _run(lived, "afford", "clips", "--days", "x", "--videos", "1")[0] == 2
    assert _run(lived, "afford", "clips", "--days", "1", "--videos", "-1")[0] == 2
