"""The catalogue is whole: every type has its fields, its pair and its words, and the reasons are the code's."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import pytest

from alerts.delivery.policy import ReceiverNotice
from alerts.events.catalogue import CATALOGUE, OPENED_BY
from alerts.events.fields import Field
from alerts.events.messages import sentences
from alerts.events.messages.remedies import REVIEW_REMEDIES, SUSPENDED_REMEDIES
from alerts.events.schema import schema
from alerts.model.events import EventType, Tone, encode_body
from alerts.model.reasons import (
    CapReason,
    CreditedBy,
    Limit,
    ReceiverFailure,
    ReviewReason,
    SuspectReason,
    SuspendedReason,
    TopupLimit,
)
from daemon.topups.policy.messages import account_stopped
from daemon.topups.policy.step import Account
from tests.helpers_events import example_event, wrong

ROOT = Path(__file__).parents[2]
_NUMBERED = "account provider observed_at sequence store"
_ALERT = f"{_NUMBERED} rule episode severity"
_LOW = "balance_usd uncharged_usage_usd available_usd threshold_usd burn_usd_per_day days_remaining topup"
_QUOTA = "used_gb reserved_gb effective_gb limit_gb percent full_at"
_BUDGET = "period_start period_end spent_usd limit_usd percent projected_usd"
PROMISED = {
    "balance.low": f"{_ALERT} {_LOW} reminder basis",
    "balance.recovered": f"{_ALERT} {_LOW} basis",
    "balance.depleted": f"{_ALERT} available_usd",
    "runway.short": f"{_ALERT} runs_out_at days_remaining",
    "runway.recovered": f"{_ALERT} runs_out_at days_remaining",
    "quota.high": f"{_ALERT} {_QUOTA} step_percent",
    "quota.exceeded": f"{_ALERT} {_QUOTA} step_percent",
    "quota.recovered": f"{_ALERT} {_QUOTA}",
    "budget.reached": f"{_ALERT} {_BUDGET} step_percent partial",
    "budget.projected": f"{_ALERT} {_BUDGET} partial",
    "usage.spike": _ALERT,
    "usage.spike_ended": _ALERT,
    "reading.unavailable": f"{_ALERT} reason",
    "reading.restored": f"{_ALERT} reason",
    "reading.suspect": f"{_ALERT} reason",
    "billing.error": f"{_ALERT} billing_error",
    "billing.restored": f"{_ALERT} billing_error",
    "limits.changed": f"{_ALERT} changes",
    "topup.planned": _NUMBERED,
    "topup.succeeded": f"{_NUMBERED} payment_intent",
    "topup.credited": f"{_NUMBERED} payment_intent",
    "topup.declined": f"{_NUMBERED} action",
    "topup.action_required": f"{_NUMBERED} action",
    "topup.suspended": f"{_NUMBERED} action",
    "topup.not_credited": f"{_NUMBERED} action",
    "topup.needs_review": f"{_NUMBERED} action",
    "topup.capped": f"{_NUMBERED} action",
    "topup.limits_changed": f"{_NUMBERED} actor added changes",
    "delivery.failing": "",
    "delivery.recovered": "",
    "report.failed": "report period message action command",
    "test.ping": "",
}
"""What is promised to receivers, by type: these names stay."""


def test_every_type_is_in_the_catalogue_under_its_own_name() -> None:
    assert list(CATALOGUE) == list(EventType)
    assert all(type is spec.type for type, spec in CATALOGUE.items())


@pytest.mark.parametrize("type", list(EventType))
def test_promised_names_are_there(type: EventType) -> None:
    data = schema(type)["properties"]["data"]
    assert set(PROMISED[type.value].split()) <= set(data["properties"])
    numbered = {"sequence", "store"} <= set(data["required"]) or "dependentRequired" in data
    assert numbered is ("sequence" in PROMISED[type.value])


def test_no_field_stands_twice_in_an_event() -> None:
    for spec in CATALOGUE.values():
        for form in spec.forms or ((),):
            names = [field.name for field in (*spec.fields, *form)]
            assert len(names) == len(set(names)), spec.type


def test_every_type_has_words_of_its_own_and_all_words_are_used() -> None:
    used = [spec.message.__name__ for spec in CATALOGUE.values()]
    assert used == [type.value.replace(".", "_") for type in EventType]
    assert set(used) <= set(vars(sentences))


def test_the_severity_in_the_data_is_one_of_the_type() -> None:
    for spec in CATALOGUE.values():
        for field in spec.fields:
            if field.name == "severity":
                assert field.schema()["enum"] == list(spec.severities), spec.type


def test_what_ends_an_episode_is_good_news_and_opens_none() -> None:
    for end, openers in OPENED_BY.items():
        assert CATALOGUE[end].ended_by is None
        assert CATALOGUE[end].tone is Tone.GOOD
        for opener in openers:
            assert CATALOGUE[opener].tone in (Tone.WARNING, Tone.CRITICAL)


def test_a_type_is_described_by_sentences() -> None:
    for spec in CATALOGUE.values():
        assert spec.says.endswith(".")
        for field in spec.fields:
            assert field.says == field.says.rstrip(". ")


# ── reasons ─────────────────────────────────────────────────────────────────────────────────────────────────────────

WORDS: tuple[type[StrEnum], ...] = (
    *(SuspendedReason, ReviewReason, CapReason, CreditedBy, SuspectReason, Limit, TopupLimit),
)  # fmt: skip


def test_advice_is_given_for_reasons_that_are_listed() -> None:
    assert set(SUSPENDED_REMEDIES) <= set(SuspendedReason)
    assert set(REVIEW_REMEDIES) == set(ReviewReason)


def test_what_becomes_of_a_receiver_is_what_is_told_of_it() -> None:
    assert {notice.value for notice in ReceiverNotice} - {ReceiverNotice.RECOVERED.value} == set(ReceiverFailure)


@pytest.mark.parametrize(
    ("type", "name", "said"),
    [
        (EventType.TOPUP_SUSPENDED, "reason", "unheard_of"),
        (EventType.TOPUP_CAPPED, "cap", "day"),
        (EventType.TOPUP_CREDITED, "credited_by", "nobody"),
        (EventType.READING_UNAVAILABLE, "reason", "suspect"),
        (EventType.READING_SUSPECT, "reason", "drop"),
        (EventType.DELIVERY_FAILING, "state", "recovered"),
        (EventType.TOPUP_NEEDS_REVIEW, "topup", None),
    ],
)
def test_a_word_that_is_not_listed_is_found(type: EventType, name: str, said: str | None) -> None:
    assert wrong(example_event(type).body) == []
    (found, *_) = wrong(example_event(type, **{name: said}).body)
    assert found.startswith(f"{type.value}: $.data")


@pytest.mark.parametrize(
    ("reason", "fine"),
    [("burn_brake", True), ("missing:pi_1", True), ("audit:pi_1", True), ("missing", False), ("a sentence", False)],
)
def test_an_account_under_review_has_one_of_the_listed_reasons(reason: str, fine: bool) -> None:
    account, at = Account("clips", "contentstats", None), datetime(2026, 11, 3, tzinfo=UTC)
    event = account_stopped(account, at, reason, "words", "1")
    assert (wrong(encode_body(event, 1, "store_1")) == []) is fine


@pytest.mark.parametrize("word", [word for words in WORDS for word in words], ids=str)
def test_a_listed_reason_is_given_somewhere_in_the_code(word: StrEnum) -> None:
    """No reason is listed that nobody gives; one that is given and not listed fails the schema wherever it is seen."""
    assert word.value in GIVEN or (type(word).__name__, word.name) in GIVEN


def _given() -> Iterator[str | tuple[str, str]]:
    """Yield every text and every member of a class that the code names, outside the catalogue and its words."""
    for path in (*(ROOT / "alerts").rglob("*.py"), *(ROOT / "daemon").rglob("*.py")):
        if path.is_relative_to(ROOT / "alerts" / "events") or path.is_relative_to(ROOT / "alerts" / "words"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                yield node.value.id, node.attr
            elif isinstance(node, ast.JoinedStr):
                yield from (str(part.value).rstrip(":") for part in node.values if isinstance(part, ast.Constant))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


GIVEN = frozenset(_given())


def test_a_field_that_may_be_null_says_so_in_its_schema() -> None:
    for spec in CATALOGUE.values():
        for field in spec.all_fields:
            assert field.nullable is _takes_null(field) or field.kind.schema.get("type") == "null"


def _takes_null(field: Field) -> bool:
    schema = field.schema()
    return None in schema["enum"] if "enum" in schema else "null" in schema.get("type", ())
