"""Bodies are decoded exactly, and what is not exactly JSON is refused with a sentence."""

from __future__ import annotations

from decimal import Decimal

import pytest
from pydantic import BaseModel

from daemon.api import shapes
from daemon.api.access import Pace
from daemon.api.answers import money, money_as_text
from daemon.api.bodies import decode
from daemon.api.instants import parse
from daemon.config.reading import keys_of
from daemon.config.schema import RULE_TABLES, TopupTable
from daemon.limits import API_BODY_DEPTH, API_BURST, API_PER_S
from daemon.resources.bodies import ApiAccountTable, SubscriptionTable
from daemon.resources.model import RequestRefused


def test_numbers_are_exact_and_text_is_whole() -> None:
    found = decode('{"threshold": 0.1, "count": 10000000000000000000000001, "label": "Élan 😀", "none": null}'.encode())
    assert found == {"threshold": Decimal("0.1"), "count": 10**25 + 1, "label": "Élan 😀", "none": None}
    assert isinstance(found["threshold"], Decimal)


def test_depth_is_bounded() -> None:
    assert decode(b"[" * API_BODY_DEPTH + b"]" * API_BODY_DEPTH)
    for depth in (API_BODY_DEPTH + 1, 100_000):
        with pytest.raises(RequestRefused, match="nested deeper"):
            decode(b"[" * depth + b"]" * depth)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b'{"a": 1, "a": 2}', "a key stands twice"),
        (b'{"a": NaN}', "no number"),
        (b'{"a": -Infinity}', "no number"),
        (b'{"a": 1e400}', "more digits"),
        (b'{"a": ' + b"9" * 31 + b"}", "more digits"),
        (b'{"a": 0.' + b"1" * 100 + b"}", "more digits"),
        (b'{"a": "\\ud800"}', "half a character"),
        (b'{"\\ud800": 1}', "half a character"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b'{"a": 1', "line 1, column 8"),
        (b"\xef\xbb\xbf{}", "BOM"),
    ],
)
def test_what_is_not_exactly_json_is_refused(raw: bytes, said: str) -> None:
    with pytest.raises(RequestRefused, match=said) as refused:
        decode(raw)
    assert (refused.value.status, refused.value.type) == (422, "json-syntax")


@pytest.mark.parametrize("said", ["2026-11-01T08:00:00Z", "2026-11-01t10:00:00.0009+02:00"])
def test_instants_are_rfc_3339(said: str) -> None:
    assert parse(said).isoformat() == "2026-11-01T08:00:00+00:00"


@pytest.mark.parametrize("said", ["2026-11-01", "1700000000", "2026-11-01 08:00:00Z", "9999-12-31T23:59:59-01:00", 17])
def test_what_is_no_instant_is_refused(said: object) -> None:
    with pytest.raises(ValueError, match="instant"):
        parse(said)


def test_money_goes_out_as_decimal_text() -> None:
    assert [money(micro) for micro in (5_000_000, 12_450_000, 1, -750_000, None)] == [
        *("5.00", "12.45", "0.000001", "-0.75"),
        None,
    ]
    told = money_as_text({"spent_usd": 12.45, "rows": [{"used_gb": 300}], "partial": False, "count": 3})
    assert told == {"spent_usd": "12.45", "rows": [{"used_gb": "300.00"}], "partial": False, "count": 3}


def test_a_token_that_asks_for_long_waits_and_no_other_does() -> None:
    pace = Pace()
    assert all(pace.wait_s("one", 0.0) == 0 for _ in range(API_BURST))
    assert pace.wait_s("one", 0.0) == pytest.approx(1 / API_PER_S)
    assert pace.wait_s("other", 0.0) == 0
    assert pace.wait_s("one", 1.0) == 0


READ_ONLY = set(shapes.Described.model_fields)


@pytest.mark.parametrize(
    ("model", "keys"),
    [
        (shapes.AccountBody, {*keys_of(ApiAccountTable), "owner"} - {"topup"}),
        (shapes.TopupBody, set(keys_of(TopupTable))),
        (shapes.RuleBody, {key for table in RULE_TABLES.values() for key in keys_of(table)} - {"id"}),
        (
            shapes.SubscriptionBody,
            {*keys_of(SubscriptionTable), "account"} - {"id", "secret", "allow_http", "overlap_until"},
        ),
    ],
)
def test_bodies_are_described_by_the_keys_of_the_file(model: type[BaseModel], keys: set[str]) -> None:
    """The document says which keys there are; the tables of the file say which are read."""
    assert set(model.model_fields) - READ_ONLY == keys
