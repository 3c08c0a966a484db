"""What an answer of each provider becomes."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.model.readings import Known, Metrics, Reading, Reason, Unavailable
from daemon.net.http import HttpAnswer
from daemon.sources.registry import PROVIDERS
from tests.helpers_sources import CONTENTSTATS_PAGE, NOW, TORNADO_PAGE, read_mapped, read_prepaid, read_storage


def answer(document: Any, status: int = 200) -> HttpAnswer:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return HttpAnswer(status, {}, body, 1)


def prepaid(**changed: Any) -> Reading:
    return read_prepaid("clips", NOW, answer({**CONTENTSTATS_PAGE, **changed}))


def storage(**changed: Any) -> Reading:
    return read_storage("media", NOW, answer({**TORNADO_PAGE, **changed}))


def metrics(reading: Reading) -> Metrics:
    assert isinstance(reading, Known), reading
    return reading.metrics


def refusal(reading: Reading) -> str:
    assert isinstance(reading, Unavailable), reading
    assert reading.reason is Reason.BAD_PAYLOAD
    return reading.detail


def test_the_prepaid_page_reads_to_the_microdollar() -> None:
    said = metrics(prepaid())
    assert said.available_microusd == 11_700_000
    assert said.accrued_microusd == 7_500_000
    assert said.funded_microusd == 19_200_000
    assert said.scheduled_burn_microusd_per_day == 1_080_000
    assert (said.estimated_snapshots_remaining, said.total_snapshots) == (830, 450)


def test_the_storage_page_has_an_effective_volume() -> None:
    assert metrics(storage()).effective_microgb == 46_190_000


def test_an_older_deployment_has_an_effective_volume_too() -> None:
    said = metrics(
        read_storage("media", NOW, answer({"client_name": "x", "usage_count": 1, "storage_usage_gb": 45.67}))
    )
    assert said.effective_microgb == 45_670_000
    assert said.effective_said_microgb is None


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"),
        ("2026-11-01T01:00:00+01:00", "2026-12-01T00:00:00.000Z"),
        ("2026-11-01", "2026-12-01"),
        (1793491200, 1796083200),
        (1793491200.0, 1796083200.9),
        ("1793491200", "1796083200"),
        (1793491200000, 1796083200000),
    ],
)
def test_a_stripe_key_has_a_billing_period_in_iso_or_epoch(start: Any, end: Any) -> None:
    said = metrics(storage(billing_period_start=start, billing_period_end=end, current_period_usage_gb=12.5))
    assert said.period_start_at == datetime(2026, 11, 1, tzinfo=UTC)
    assert said.period_end_at is not None
    assert said.period_end_at.date() == datetime(2026, 12, 1, tzinfo=UTC).date()
    assert said.period_used_microgb == 12_500_000


def test_a_stripe_key_with_a_billing_error_is_read_with_it() -> None:
    assert metrics(storage(billing_error="Failed to retrieve\nsubscription")).billing_error == (
        "Failed to retrieve subscription"
    )


def test_a_trial_key_has_its_quota_and_limits() -> None:
    said = metrics(
        storage(
            storage_limit_gb="1024.00",
            storage_limit_bytes=1099511627776,
            storage_remaining_gb=977.81,
            max_resolution_limit="720",
            max_duration_limit_seconds=600,
            max_filesize_limit_bytes=104857600,
            max_filesize_limit_mb=100.0,
        )
    )
    assert (said.limit_microgb, said.limit_bytes, said.remaining_microgb) == (1_024_000_000, 1 << 40, 977_810_000)
    assert (said.max_resolution, said.max_duration_s) == ("720", 600)
    assert (said.max_filesize_bytes, said.max_filesize_microunits_mb) == (104_857_600, 100_000_000)


def test_a_limit_in_bytes_alone_is_a_limit() -> None:
    assert metrics(storage(storage_limit_bytes=1 << 40)).limit_microgb == 1_024_000_000


@pytest.mark.parametrize(
    "missing", [{}, {"storage_limit_gb": None, "billing_period_start": None, "billing_error": None}]
)
def test_absent_and_null_are_the_same_nothing(missing: dict[str, Any]) -> None:
    said = metrics(storage(**missing))
    assert (said.limit_microgb, said.period_start_at, said.billing_error, said.extra) == (None, None, None, "{}")


@given(st.decimals(min_value=0, max_value=10**8, places=6), st.booleans())
def test_numbers_are_exact_as_numbers_and_as_texts(number: Any, as_text: bool) -> None:
    body = json.dumps({**CONTENTSTATS_PAGE, "balance_usd": "@"}).replace(
        '"@"', f'"{number}"' if as_text else str(number)
    )
    said = metrics(read_prepaid("clips", NOW, answer(body.encode())))
    assert said.balance_microusd == int(number * 1_000_000)


def test_a_balance_may_be_a_debt() -> None:
    assert metrics(prepaid(balance_usd=-0.25)).available_microusd == -1_000_000


def test_unknown_fields_are_kept_as_they_were_written() -> None:
    body = (
        b'{"z": 1, "plan": {"b": 1.50, "a": [null, true, "\\u00e9"]}, '
        + json.dumps(dict(CONTENTSTATS_PAGE)).encode()[1:]
    )
    assert metrics(read_prepaid("clips", NOW, answer(body))).extra == (
        '{"plan":{"a":[null,true,"\\u00e9"],"b":1.50},"z":1}'
    )


def test_unknown_fields_are_kept_up_to_a_size() -> None:
    extra = metrics(prepaid(a=1, padding="x" * 50_000)).extra
    assert extra == '{"a":1}'


WRONG = [True, [], {}, "", "twelve", "1_000", "0x10", "NaN", "Infinity", "१२", 10**16, -(10**16), "1" * 100]


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
@pytest.mark.parametrize("field", ["balance_usd", "uncharged_usage_usd", "total_charged_usd"])
def test_money_of_a_wrong_type_is_a_bad_payload_that_names_the_field(field: str, wrong: Any) -> None:
    assert refusal(prepaid(**{field: wrong})).startswith(field)


PREPAID_FIELDS = {
    "total_snapshots": "total_snapshots",
    "active_videos": "active_videos",
    "cost_per_snapshot": "cost_per_snapshot_microusd",
}


@pytest.mark.parametrize("wrong", [*WRONG, -1, float("nan"), float("-inf")], ids=repr)
@pytest.mark.parametrize("field", PREPAID_FIELDS)
def test_what_money_does_not_rest_on_is_unknown_where_it_cannot_be_used(field: str, wrong: Any) -> None:
    said = metrics(prepaid(**{field: wrong}))
    assert (said.available_microusd, said.accrued_microusd) == (11_700_000, 7_500_000)
    assert getattr(said, PREPAID_FIELDS[field]) is None
    assert said.scheduled_burn_microusd_per_day == (1_080_000 if field == "total_snapshots" else None)
    ((metric, why),) = said.unusable
    assert metric == PREPAID_FIELDS[field]
    assert why.startswith(f"{field} is ")


def test_a_number_beyond_all_bounds_is_a_fault_of_its_field_alone() -> None:
    for number in ("1e9999999999999999999", "9" * 5000, "1e999"):
        body = json.dumps({**CONTENTSTATS_PAGE, "cost_per_snapshot": 0}).replace(": 0}", f": {number}}}")
        said = metrics(read_prepaid("clips", NOW, answer(body.encode())))
        assert said.available_microusd == 11_700_000
        assert said.unusable == (("cost_per_snapshot_microusd", "cost_per_snapshot is out of range"),)


@pytest.mark.parametrize("field", ["balance_usd", "uncharged_usage_usd", "total_charged_usd"])
def test_without_a_field_that_money_rests_on_there_is_no_reading(field: str) -> None:
    without = {name: value for name, value in CONTENTSTATS_PAGE.items() if name != field}
    assert refusal(read_prepaid("clips", NOW, answer(without))) == f"{field} is missing"
    assert refusal(prepaid(**{field: None})) == f"{field} is null"


@pytest.mark.parametrize(
    ("field", "value"),
    [("uncharged_usage_usd", -0.01), ("total_charged_usd", -1)],
)
def test_a_negative_number_that_cannot_be_is_a_bad_payload(field: str, value: Any) -> None:
    assert refusal(prepaid(**{field: value})) == f"{field} is negative"


@pytest.mark.parametrize("volume", [None, -1, "lots", float("nan"), 10**12])
def test_a_storage_answer_without_its_volume_is_a_bad_payload(volume: Any) -> None:
    assert refusal(storage(storage_usage_gb=volume)).startswith("storage_usage_gb is ")


@pytest.mark.parametrize(
    ("changed", "metric", "why"),
    [
        ({"storage_limit_gb": -1}, "limit_microgb", "storage_limit_gb is negative"),
        ({"storage_limit_gb": 0}, "limit_microgb", "storage_limit_gb is zero"),
        ({"storage_limit_gb": "0.0000001"}, "limit_microgb", "storage_limit_gb is zero"),
        ({"storage_limit_gb": float("nan")}, "limit_microgb", "storage_limit_gb is NaN, not a number"),
        ({"storage_limit_gb": "unlimited"}, "limit_microgb", "storage_limit_gb is a text, not a number"),
        ({"storage_limit_gb": 0, "storage_limit_bytes": 0}, "limit_microgb", "storage_limit_gb is zero"),
        ({"storage_limit_bytes": 0}, "limit_microgb", "storage_limit_bytes is zero"),
        ({"storage_limit_bytes": 1.5}, "limit_microgb", "storage_limit_bytes is not a whole number"),
        ({"storage_remaining_gb": []}, "remaining_microgb", "storage_remaining_gb is a list, not a number"),
        ({"current_period_usage_gb": -1}, "period_used_microgb", "current_period_usage_gb is negative"),
        ({"billing_period_start": "soon"}, "period_start_at", "billing_period_start is neither an ISO date nor a"),
        ({"billing_period_start": "1066-10-14"}, "period_start_at", "billing_period_start is 1066, which cannot be"),
        ({"billing_period_start": 10**14}, "period_start_at", "billing_period_start is neither an ISO date nor a"),
        ({"billing_period_start": True}, "period_start_at", "billing_period_start is true or false, not a date"),
        ({"billing_period_end": []}, "period_end_at", "billing_period_end is a list, not a date"),
        (
            {"billing_period_start": "2026-12-01", "billing_period_end": "2026-11-01"},
            "period_start_at",
            "the period ends before it starts",
        ),
        ({"client_name": 7}, "client_name", "client_name is a number, not a text"),
        ({"max_resolution_limit": []}, "max_resolution", "max_resolution_limit is a list, not a text"),
        ({"max_duration_limit_seconds": -1}, "max_duration_s", "max_duration_limit_seconds is negative"),
    ],
    ids=repr,
)
def test_a_storage_answer_with_a_field_that_cannot_be_used_is_read_without_it(
    changed: dict[str, Any], metric: str, why: str
) -> None:
    said = metrics(storage(**changed))
    assert (said.used_microgb, said.effective_microgb) == (45_670_000, 46_190_000)
    assert getattr(said, metric) is None
    ((unusable, words),) = said.unusable
    assert unusable == metric
    assert words.startswith(why)


def test_a_limit_that_cannot_be_used_is_taken_from_its_bytes() -> None:
    said = metrics(storage(storage_limit_gb=0, storage_limit_bytes=1 << 40))
    assert said.limit_microgb == 1_024_000_000
    assert said.unusable == (("limit_microgb", "storage_limit_gb is zero"),)


def test_an_effective_volume_is_not_reckoned_from_a_part() -> None:
    only_used = {"storage_effective_usage_gb": None, "storage_reserved_gb": "lots"}
    assert metrics(storage(**only_used)).effective_microgb is None
    assert metrics(storage(storage_effective_usage_gb=-1, storage_reserved_gb=None)).effective_microgb is None
    assert metrics(storage(storage_effective_usage_gb=-1)).effective_microgb == 46_190_000
    assert metrics(storage(storage_reserved_gb=-1)).effective_microgb == 46_190_000


@pytest.mark.parametrize(
    ("error", "words"),
    [({"code": 1}, '{"code":1}'), (["declined"], '["declined"]'), (7, "7"), (True, "true")],
)
def test_a_billing_error_of_any_shape_is_one(error: Any, words: str) -> None:
    assert metrics(storage(billing_error=error)).billing_error == words


@pytest.mark.parametrize("none", [None, "", " ", False, 0, {}, []], ids=repr)
def test_an_empty_billing_error_is_none(none: Any) -> None:
    assert metrics(storage(billing_error=none)).billing_error is None


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"<!DOCTYPE html><html>", "HTML"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[]", "a list"),
        (b"null", "null"),
        (b'"text"', "a text"),
        (b"[" * 100_000, "deep"),
        (b'{"balance_usd": NaN}', "NaN"),
        (b'{"balance_usd": -Infinity}', "Infinity"),
        (b'{"balance_usd": 1e999}', "range"),
        (b'{"balance_usd": 1e9999999999999999999}', "range"),
        (b'{"balance_usd": ' + b"9" * 5000 + b"}", "range"),
    ],
    ids=lambda value: value[:24].decode("latin-1") if isinstance(value, bytes) else value,
)
def test_a_body_that_is_no_answer_is_a_bad_payload_with_a_reason(body: bytes, words: str) -> None:
    assert words in refusal(read_prepaid("clips", NOW, answer(body)))


def test_a_byte_order_mark_does_no_harm() -> None:
    body = b"\xef\xbb\xbf" + json.dumps(dict(CONTENTSTATS_PAGE)).encode()
    assert metrics(read_prepaid("clips", NOW, answer(body))).balance_microusd == 12_450_000


@given(st.binary(max_size=200))
def test_any_bytes_give_a_reading_and_never_an_exception(body: bytes) -> None:
    for parse in (read_prepaid, read_storage, read_mapped({"balance_usd": "balance"})):
        assert isinstance(parse("clips", NOW, answer(body)), Known | Unavailable)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(sorted(CONTENTSTATS_PAGE)), JSON_VALUES)
def test_any_value_in_any_prepaid_field_gives_a_reading_and_never_an_exception(field: str, value: Any) -> None:
    reading = prepaid(**{field: value})
    if isinstance(reading, Unavailable):
        assert "\n" not in reading.detail
        assert len(reading.detail) <= 160


@given(st.sampled_from(sorted(PROVIDERS["tornado"].table)), JSON_VALUES)
def test_any_value_in_any_storage_field_gives_a_reading_and_never_an_exception(field: str, value: Any) -> None:
    reading = storage(**{field: value})
    if isinstance(reading, Known):
        reading.metrics.extra.encode()
        (reading.metrics.client_name or "").encode()  # it can be stored


def test_a_third_api_needs_only_expressions() -> None:
    parse = read_mapped(
        {
            "balance_usd": "data.credits[?type=='paid'] | [0].amount",
            "used_gb": "sum(data.volumes[].gb)",
            "limit_gb": "data.plan.limit",
            "period_end": "data.plan.renews",
            "billing_error": "data.error",
        }
    )
    reading = parse(
        "third",
        NOW,
        answer(
            {
                "data": {
                    "credits": [{"type": "free", "amount": 1}, {"type": "paid", "amount": "19.90"}],
                    "volumes": [{"gb": 0.1}, {"gb": 0.2}],
                    "plan": {"limit": 100, "renews": "2026-12-01"},
                }
            }
        ),
    )
    said = metrics(reading)
    assert (said.balance_microusd, said.used_microgb, said.limit_microgb) == (19_900_000, 300_000, 100_000_000)
    assert said.period_end_at == datetime(2026, 12, 1, tzinfo=UTC)
    assert said.billing_error is None


def test_an_expression_that_finds_no_balance_leaves_no_reading() -> None:
    parse = read_mapped({"balance_usd": "balance", "limit_gb": "limit"})
    assert refusal(parse("third", NOW, answer({"other": 1}))) == "balance_usd is missing"


WHOLE = {"balance_usd": 15, "uncharged_usage_usd": 9, "total_charged_usd": 100, "used_gb": 3}


@pytest.mark.parametrize("field", ["balance_usd", "uncharged_usage_usd", "total_charged_usd"])
@pytest.mark.parametrize("missing", [True, False])
def test_money_that_is_mapped_and_unknown_is_never_taken_for_zero(field: str, missing: bool) -> None:
    parse = read_mapped({name: name for name in WHOLE})
    said = metrics(parse("third", NOW, answer(WHOLE)))
    assert (said.available_microusd, said.accrued_microusd) == (6_000_000, 109_000_000)
    unknown = {name: value for name, value in WHOLE.items() if name != field} | ({} if missing else {field: None})
    assert refusal(parse("third", NOW, answer(unknown))) == f"{field} is missing"


def test_a_volume_is_needed_where_no_money_is_mapped_and_unknown_beside_it() -> None:
    for wrong, why in ((None, "used_gb is missing"), ("lots", "used_gb is a text, not a number")):
        alone = read_mapped({"used_gb": "used_gb", "limit_gb": "limit"})
        assert refusal(alone("third", NOW, answer({"used_gb": wrong}))) == why
        beside = read_mapped({name: name for name in WHOLE})
        said = metrics(beside("third", NOW, answer(WHOLE | {"used_gb": wrong})))
        assert (said.available_microusd, said.used_microgb, said.effective_microgb) == (6_000_000, None, None)
        assert said.unusable == (("used_microgb", why),)


@pytest.mark.parametrize(
    ("changed", "unusable"),
    [
        ({"limit": 0}, "limit_gb is zero"),
        ({"limit": -5}, "limit_gb is negative"),
        ({"limit": float("nan")}, "limit_gb is NaN, not a number"),
        ({"limit": 10**15}, "limit_gb is out of range"),
        ({"limit": {}}, "limit_gb is an object, not a number"),
        ({"renews": "soon"}, "period_end is neither an ISO date nor a Unix time"),
        ({"count": 1.5}, "usage_count is not a whole number"),
        ({"parts": "none"}, "reserved_gb: "),
    ],
    ids=repr,
)
def test_a_third_apis_field_that_cannot_be_used_leaves_the_balance_as_it_is(
    changed: dict[str, Any], unusable: str
) -> None:
    fields = {"balance_usd": "balance", "limit_gb": "limit", "period_end": "renews", "usage_count": "count"}
    parse = read_mapped(fields | {"reserved_gb": "sum(parts)"})
    body = {"balance": 4.2, "limit": 100, "renews": "2026-12-01", "count": 3, "parts": [0.5]}
    assert metrics(parse("third", NOW, answer(body))).unusable == ()
    said = metrics(parse("third", NOW, answer(body | changed)))
    assert said.available_microusd == 4_200_000
    ((metric, why),) = said.unusable
    assert getattr(said, metric) is None
    assert why.startswith(unusable)


def test_an_expression_may_say_what_an_api_leaves_out() -> None:
    parse = read_mapped({"balance_usd": "balance", "uncharged_usage_usd": "pending || `0`", "limit_gb": "limit"})
    said = metrics(parse("third", NOW, answer({"balance": 15})))
    assert (said.available_microusd, said.uncharged_microusd, said.limit_microgb) == (15_000_000, 0, None)


def test_an_expression_that_fails_on_the_answer_leaves_no_reading() -> None:
    parse = read_mapped({"balance_usd": "sum(items)"})
    assert refusal(parse("third", NOW, answer({"items": "none"}))).startswith("balance_usd")


@pytest.mark.parametrize("fields", [{"balance_usd": "a["}, {"colour": "a"}])
def test_an_expression_that_is_wrong_is_named(fields: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(fields))):
        read_mapped(fields)
