"""`poll = "auto"`: its bounds, what a preset says of them, and what is said of a word that is none."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from alerts.model.polling import AutoPoll, Poll
from daemon.config.cron import gap_when_near, gaps
from tests.helpers_config import ACCOUNT, LOW, STRIPE, TOPUP, WEBHOOK, look

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
XAI = """
[accounts.clips]
provider = "xai"
api_key = "env:CS_KEY"
params = { team = "t1" }
"""


def polled(folder: Path, lines: str, account: str = ACCOUNT) -> Poll:
    found = look(folder, account + lines + LOW + WEBHOOK)
    assert found.config is not None, [str(problem) for problem in found.problems]
    return found.config.accounts["clips"].poll


@pytest.mark.parametrize(
    ("lines", "poll"),
    [
        ('poll = "auto"', AutoPoll(MINUTE, HOUR)),
        ('poll = " auto "', AutoPoll(MINUTE, HOUR)),
        ('poll = "auto"\npoll_fastest = "10s"\npoll_slowest = "1d"', AutoPoll(MINUTE / 6, 24 * HOUR)),
        ('poll = "auto"\npoll_fastest = "2h"', AutoPoll(2 * HOUR, 2 * HOUR)),
        ('poll = "auto"\npoll_slowest = "30s"', AutoPoll(MINUTE / 2, MINUTE / 2)),
        ('poll = "*/7 * * * *"', "*/7 * * * *"),
    ],
)
def test_bounds_have_sensible_defaults(tmp_path: Path, lines: str, poll: Poll) -> None:
    assert polled(tmp_path, lines) == poll


def test_by_default_an_api_is_asked_no_faster_than_its_preset_finds_sensible(tmp_path: Path) -> None:
    xai = polled(tmp_path, "", XAI)
    assert xai == "0 * * * *"
    assert polled(tmp_path, 'poll = "auto"', XAI) == AutoPoll(HOUR, HOUR)
    assert polled(tmp_path, 'poll = "auto"\npoll_slowest = "6h"', XAI) == AutoPoll(HOUR, 6 * HOUR)
    assert polled(tmp_path, 'poll = "auto"\npoll_fastest = "5m"', XAI) == AutoPoll(5 * MINUTE, HOUR)


@pytest.mark.parametrize("word", ["Auto", "automatic", "aut", "hourly", "@daily"])
def test_another_word_is_told_what_was_meant(tmp_path: Path, word: str) -> None:
    problem = look(tmp_path, ACCOUNT + f'poll = "{word}"' + LOW + WEBHOOK).problems[0]
    assert (problem.id, problem.key_path) == ("cron-invalid", "accounts.clips.poll")
    assert 'a cron expression or "auto"' in problem.message
    assert ('did you mean "auto"?' in problem.hint) is word.lower().startswith("aut")


def test_a_bound_beside_a_cron_is_refused_with_what_to_do(tmp_path: Path) -> None:
    problem = look(tmp_path, ACCOUNT + 'poll_fastest = "1m"' + LOW + WEBHOOK).problems[0]
    assert (problem.id, problem.key_path) == ("account-keys", "accounts.clips.poll_fastest")
    assert problem.hint == 'write poll = "auto", or leave it out'


def test_an_account_is_checked_by_how_often_it_is_asked_near_a_threshold(tmp_path: Path) -> None:
    quick = TOPUP.replace("max_per_day_usd = 100", "max_per_day_usd = 5000").replace(
        "_month_usd = 500", "_month_usd = 9000"
    )
    slow = look(tmp_path, ACCOUNT + 'poll = "0 * * * *"' + quick + STRIPE + LOW + WEBHOOK, secrets=True)
    auto = look(tmp_path, ACCOUNT + 'poll = "auto"' + quick + STRIPE + LOW + WEBHOOK, secrets=True)
    ids = [{one.id for one in found.problems} for found in (slow, auto)]
    assert {"topup-threshold-below-poll", "rule-threshold-below-poll"} <= ids[0]
    assert {"topup-threshold-below-poll", "rule-threshold-below-poll"}.isdisjoint(ids[1])


def test_gaps_of_both_ways_to_poll() -> None:
    utc, auto = ZoneInfo("UTC"), AutoPoll(MINUTE, HOUR)
    assert gaps(auto, utc) == (MINUTE, HOUR)
    assert (gap_when_near(auto, utc), gap_when_near("*/5 * * * *", utc)) == (MINUTE, 5 * MINUTE)
