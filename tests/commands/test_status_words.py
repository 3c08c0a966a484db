"""What `status` and the page say of an account never shows more than is left, nor a line that is not reached."""

from __future__ import annotations

from decimal import Decimal

import pytest

from daemon.status.text import days_words, left


@pytest.mark.parametrize(("microusd", "said"), [(4_999_999, "$4.99"), (5_000_000, "$5.00"), (None, "–")])
def test_what_is_left_is_rounded_down(microusd: int | None, said: str) -> None:
    assert left(microusd, "USD") == said


@pytest.mark.parametrize(("days", "said"), [("2.99", "2.9"), ("3.00", "3.0"), ("0.05", "0.0")])
def test_days_left_are_rounded_down(days: str, said: str) -> None:
    assert days_words(Decimal(days)) == said
    assert days_words(None) == "–"
