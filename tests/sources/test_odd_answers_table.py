"""One hundred and twenty-seven odd answers: what each is read as, to the millionth, or that it is no reading."""

from __future__ import annotations

import pytest

from alerts.model.readings import Known, Reason, Unavailable
from daemon.net.http import HttpAnswer
from tests.helpers_sources import NOW, read_mapped

NO = None
"""No reading: bad_payload."""

# What stands after `{"b": `, and the balance that it is in millionths.
BALANCES: list[tuple[str, int | None]] = [
    ("0", 0), ("-0", 0), ("0.0", 0), ("-0.0", 0), ("0e0", 0), ("5", 5_000_000), ("-5", -5_000_000),
    ("12.45", 12_450_000),
    ("12.449999", 12_449_999), ("0.1", 100_000), ("0.30000000000000004", 300_000), ("1e-6", 1), ("0.0000005", 0),
    ("0.0000015", 2), ("0.0000025", 2), ("4.9999995", 5_000_000), ("4.9999994", 4_999_999), ("1E2", 100_000_000),
    ("1e+2", 100_000_000), ("1.5e3", 1_500_000_000), ("1e9", 10**15), ("1e10", NO), ("-1e10", NO), ("1e999", NO),
    ("-1e999", NO), ("1e9999999999999999999", NO), ("999999999.999999", 999_999_999_999_999), ("9" * 400, NO),
    ("9" * 5000, NO), ("0." + "0" * 5000 + "1", 0), ("0." + "3" * 400, 333_333), ("NaN", NO), ("Infinity", NO),
    ("-Infinity", NO), ("null", NO), ("true", NO), ("false", NO), ("[]", NO), ("{}", NO), ("[5]", NO),
    ('{"b": 5}', NO), ('""', NO), ('" "', NO), ('"5"', 5_000_000), ('" 5 "', 5_000_000), ('"-5.25"', -5_250_000),
    ('"+5"', 5_000_000), ('"05"', 5_000_000), ('"5."', 5_000_000), ('".5"', NO), ('"5e1"', 50_000_000), ('"1e999"', NO),
    ('"5,000"', NO), ('"5.000,00"', NO), ('"5 000"', NO), ('"5_000"', NO), ('"$5"', NO), ('"5 USD"', NO), ('"5%"', NO),
    ('"0x10"', NO), ('"NaN"', NO), ('"nan"', NO), ('"inf"', NO), ('"Infinity"', NO), ('"five"', NO), ('"null"', NO),
    ('"true"', NO), ('"\\u0035"', 5_000_000), ('"१२"', NO), ('"５"', NO), ('"−5"', NO), ('"5\\u0000"', NO),
    ('"5\\n"', 5_000_000), ('"' + "1" * 100 + '"', NO), ('"0.1234567"', 123_457),
    ("100.5500000000000000001", 100_550_000),
    ("123456789.123456", 123_456_789_123_456), ("-123456789.123456", -123_456_789_123_456),
]  # fmt: skip

# Whole bodies, of which `b` is the balance.
BODIES: list[tuple[bytes, int | None]] = [
    (b"", NO), (b" \n", NO), (b"{}", NO), (b"[]", NO), (b"null", NO), (b"5", NO), (b'"5"', NO), (b"true", NO),
    (b'[{"b": 5}]', NO), (b'{"B": 5}', NO), (b'{"b ": 5}', NO), (b'{"a": {"b": 5}}', NO), (b"{'b': 5}", NO),
    (b"{b: 5}", NO),
    (b'{"b": 5,}', NO), (b'{"b": 5', NO), (b'{"b": 5}}', NO), (b'{"b": 5} {"b": 6}', NO), (b'{"b": 05}', NO),
    (b'{"b": .5}', NO), (b'{"b": 5.}', NO), (b'{"b": +5}', NO), (b'{"b": 5 /* dollars */}', NO),
    (b'{"b": 5}\n', 5_000_000),
    (b'\xef\xbb\xbf{"b": 5}', 5_000_000), (b'\xff\xfe{\x00"\x00b\x00"\x00', NO), (b'{"b": "\xff"}', NO),
    (b'{"b": 5, "b": 5}', NO), (b'{"b": 5, "b": 6}', NO), (b'{"b": 5, "\\u0062": 6}', NO),
    (b'{"b": 5, "x": {"y": 1, "y": 1}}', NO),
    (b'{"b": 5, "x": [{"y": 1}, {"y": 1}]}', 5_000_000), (b'{"b": 5, "x": NaN}', 5_000_000),
    (b'{"b": 5, "x": 1e999}', 5_000_000),
    (b"<!DOCTYPE html><html></html>", NO), (b"<b>5</b>", NO), (b"b=5", NO), (b"5.00", NO), (b"OK 5", NO),
    (b'{"error": "no", "b": null}', NO), (b"[" * 100_000, NO), (b'{"b":' * 50_000, NO),
    (b'{"b": 5, "x": ' + b"[" * 400 + b"]" * 400 + b"}", 5_000_000),
    (b'{"\\ud800": 1, "b": 5}', 5_000_000), (b'{"b": 5, "x": "\\u0000"}', 5_000_000), (b'data: {"b": 5}\n\n', NO),
    (b'{"b": 5, "currency": "US dollars"}', 5_000_000), (b')]}\'\n{"b": 5}', NO), (b'callback({"b": 5})', NO),
]  # fmt: skip


def test_there_are_a_hundred_and_twenty_seven() -> None:
    assert len(BALANCES) + len(BODIES) == 127


@pytest.mark.parametrize(
    ("body", "micro"),
    [(f'{{"b": {text}}}'.encode(), micro) for text, micro in BALANCES] + BODIES,
    ids=lambda value: value[:40].decode("latin-1") if isinstance(value, bytes) else str(value),
)
@pytest.mark.parametrize("field", ["balance", "balance_usd"])
def test_an_odd_answer_is_read_exactly_or_not_at_all(body: bytes, micro: int | None, field: str) -> None:
    reading = read_mapped({field: "b", "client_name": "x"})("one", NOW, HttpAnswer(200, {}, body, 1))
    if micro is None:
        assert isinstance(reading, Unavailable), reading
        assert reading.reason is Reason.BAD_PAYLOAD
        assert len(reading.detail) <= 160
        assert "\n" not in reading.detail
    else:
        assert isinstance(reading, Known), reading
        assert reading.metrics.balance_microusd == micro
