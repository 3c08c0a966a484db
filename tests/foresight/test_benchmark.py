"""The forecast keeps what it promises on generated accounts, also on families that its constants were not chosen on."""

from benchmarks.foresight import run, table
from benchmarks.traces import TUNED, UNSEEN, generate


def test_the_forecast_is_at_most_half_as_wrong_as_the_straight_line_and_its_range_is_honest() -> None:
    rows = {row.name: row for row in table(run(range(4), 10, [*TUNED, *UNSEEN]))}
    assert rows["all"].ratio <= 0.5
    assert rows["unseen families"].ratio <= 0.6
    assert 0.72 <= rows["all"].inside <= 0.88
    assert rows["unseen families"].count > 150


def test_a_generated_account_is_the_same_for_the_same_seed_and_never_unspends() -> None:
    trace = generate("everything", 3)
    assert trace == generate("everything", 3)
    assert trace.accrued != generate("everything", 4).accrued
    assert all(before <= after for before, after in zip(trace.accrued, trace.accrued[1:], strict=False))
