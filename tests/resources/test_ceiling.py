"""The file's ceiling: what is refused, how a top-up begins, what is clipped, and what the operator is told."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from alerts.events.messages.event_fields import EventFields
from alerts.events.messages.sentences import topup_limits_changed
from alerts.events.schema import schema
from alerts.model.accounts import AccountInfo
from alerts.model.events import EventType, encode_body
from alerts.model.values import replace
from daemon.config.model import AccountConfig, ApiConfig, ManagedBy, TopupConfig, TopupMode
from daemon.resources.ceiling import bounded, limits_changed_draft, mode_to_keep, over_the_ceiling
from daemon.resources.model import Actor, RequestRefused, Role
from tests.helpers_alerts import validator
from tests.helpers_topups import DOLLAR, config, topup_config

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
API = ApiConfig(
    max_charge_microusd=200 * DOLLAR,
    max_per_day_microusd=200 * DOLLAR,
    max_per_month_microusd=1000 * DOLLAR,
    max_per_day_total_microusd=5000 * DOLLAR,
)
INFO = AccountInfo("clips", "contentstats")


def account(topup: TopupConfig | None, managed_by: ManagedBy = ManagedBy.API) -> AccountConfig:
    return replace(config(topup_config(), Path()).accounts["clips"], topup=topup, managed_by=managed_by)


def told(before: TopupConfig | None, after: TopupConfig | None) -> dict[str, Any] | None:
    """Return the data of the event that the change is told with, after its schema has agreed."""
    draft = limits_changed_draft(INFO, before, after, "token:tok_1", NOW)
    if draft is None:
        return None
    body: dict[str, Any] = json.loads(encode_body(draft, 1, "store_1"))
    validator(EventType.TOPUP_LIMITS_CHANGED).validate(body)
    data: dict[str, Any] = body["data"]
    return data


def test_what_is_within_the_ceiling_has_no_fault() -> None:
    assert over_the_ceiling(topup_config(max_per_day_microusd=200 * DOLLAR), API) == ()


def test_every_figure_beyond_the_ceiling_is_named_with_both_numbers() -> None:
    greedy = topup_config(
        max_charge_microusd=300 * DOLLAR, max_per_day_microusd=200_010_000, max_per_month_microusd=1500 * DOLLAR
    )
    faults = over_the_ceiling(greedy, API)
    assert [(one.id, one.path) for one in faults] == [
        ("over-the-ceiling", "max_charge_usd"),
        ("over-the-ceiling", "max_per_day_usd"),
        ("over-the-ceiling", "max_per_month_usd"),
    ]
    assert faults[1].said == "$200.01 is beyond the ceiling of $200.00"
    assert faults[1].hint == "ask for $200.00 at most; the ceiling is [api] max_per_day_usd in the configuration file"


@pytest.mark.parametrize(
    ("asked", "before", "kept"),
    [
        (None, None, TopupMode.SHADOW),
        (TopupMode.CHARGE, None, TopupMode.SHADOW),
        (TopupMode.SHADOW, None, TopupMode.SHADOW),
        (TopupMode.OFF, None, TopupMode.OFF),
        (None, TopupMode.SHADOW, TopupMode.SHADOW),
        (None, TopupMode.OFF, TopupMode.OFF),
        (TopupMode.CHARGE, TopupMode.SHADOW, TopupMode.CHARGE),
        (TopupMode.SHADOW, TopupMode.CHARGE, TopupMode.SHADOW),
    ],
)
def test_a_top_up_charges_once_a_request_says_so_of_one_that_exists(
    asked: TopupMode | None, before: TopupMode | None, kept: TopupMode
) -> None:
    assert mode_to_keep(asked, topup_config(mode=before) if before else None, API) is kept


def test_first_charge_may_let_a_new_one_charge_at_once() -> None:
    trusting = replace(API, first_charge=TopupMode.CHARGE)
    assert mode_to_keep(None, None, trusting) is TopupMode.CHARGE
    assert mode_to_keep(TopupMode.SHADOW, None, trusting) is TopupMode.SHADOW


def test_a_ceiling_that_was_lowered_bounds_what_the_api_made_before() -> None:
    low = replace(API, max_charge_microusd=60 * DOLLAR, max_per_day_microusd=70 * DOLLAR)
    low = replace(low, max_per_month_microusd=80 * DOLLAR)
    found = bounded(account(topup_config()), low)
    assert found == topup_config(
        max_charge_microusd=60 * DOLLAR, max_per_day_microusd=70 * DOLLAR, max_per_month_microusd=80 * DOLLAR
    )


def test_what_the_file_made_is_bounded_by_the_days_total_alone() -> None:
    low = replace(API, max_charge_microusd=1, max_per_day_microusd=1, max_per_month_microusd=1)
    of_the_file = account(topup_config(), ManagedBy.FILE)
    assert bounded(of_the_file, low) is of_the_file.topup
    total = replace(low, max_per_day_total_microusd=30 * DOLLAR)
    assert bounded(of_the_file, total) == topup_config(max_per_day_microusd=30 * DOLLAR)


def test_without_a_ceiling_the_file_charges_as_it_says_and_the_api_nothing() -> None:
    assert bounded(account(topup_config(), ManagedBy.FILE), None) == topup_config()
    assert bounded(account(topup_config()), None) == topup_config(mode=TopupMode.OFF)
    assert bounded(account(None), None) is None


# ── what is told ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_top_up_that_is_added_is_told_with_all_that_bounds_it() -> None:
    data = told(None, topup_config(mode=TopupMode.SHADOW, amount_microusd=None, cover_days=Decimal("2.5")))
    assert data is not None
    assert (data["added"], data["actor"], data["severity"]) == (True, "token:tok_1", "warning")
    assert {one["limit"]: (one["old"], one["new"]) for one in data["changes"]} == {
        "mode": (None, "shadow"),
        "when_below_usd": (None, 10),
        "cover_days": (None, 2.5),
        "max_charge_usd": (None, 200),
        "max_per_day_usd": (None, 100),
        "max_per_month_usd": (None, 500),
    }


@pytest.mark.parametrize(
    ("raised", "limit", "old", "new"),
    [
        ({"max_charge_microusd": 200_500_000}, "max_charge_usd", 200, 200.5),
        ({"max_per_day_microusd": 101 * DOLLAR}, "max_per_day_usd", 100, 101),
        ({"max_per_month_microusd": 501 * DOLLAR}, "max_per_month_usd", 500, 501),
        ({"when_below_microusd": 11 * DOLLAR}, "when_below_usd", 10, 11),
        ({"amount_microusd": 51 * DOLLAR}, "amount_usd", 50, 51),
        ({"amount_microusd": None, "to_microusd": 60 * DOLLAR}, "to_usd", None, 60),
        ({"amount_microusd": None, "cover_days": Decimal(3)}, "cover_days", None, 3.0),
    ],
)
def test_whatever_is_raised_is_told(raised: dict[str, Any], limit: str, old: object, new: object) -> None:
    data = told(topup_config(), topup_config(**raised))
    assert data is not None
    assert data["added"] is False
    assert {"limit": limit, "old": old, "new": new} in data["changes"]


def test_beside_what_is_raised_that_which_is_lowered_is_told_too() -> None:
    data = told(topup_config(), topup_config(max_per_day_microusd=150 * DOLLAR, max_per_month_microusd=400 * DOLLAR))
    assert data is not None
    assert [one["limit"] for one in data["changes"]] == ["max_per_day_usd", "max_per_month_usd"]


@pytest.mark.parametrize(
    ("before", "after", "is_told"),
    [
        (TopupMode.SHADOW, TopupMode.CHARGE, True),
        (TopupMode.OFF, TopupMode.SHADOW, True),
        (TopupMode.CHARGE, TopupMode.SHADOW, False),
        (TopupMode.SHADOW, TopupMode.OFF, False),
    ],
)
def test_a_mode_that_charges_more_is_told(before: TopupMode, after: TopupMode, is_told: bool) -> None:
    assert (told(topup_config(mode=before), topup_config(mode=after)) is not None) is is_told


def test_nothing_is_told_of_what_is_lowered_equal_or_taken_away() -> None:
    plain = topup_config()
    lower = topup_config(max_charge_microusd=1, max_per_day_microusd=1, max_per_month_microusd=1, when_below_microusd=1)
    assert [told(plain, one) for one in (plain, lower, None)] == [None, None, None]


def test_it_reads_as_a_sentence_with_the_amounts() -> None:
    data = told(topup_config(), topup_config(max_per_day_microusd=150_500_000, mode=TopupMode.CHARGE))
    assert data is not None
    said = topup_limits_changed(EventFields(data, UTC), "clips")  # type: ignore[arg-type]  # it shows no instant
    assert said.headline == "top-up limits changed by token:tok_1"
    assert said.sentence == (
        "By the API, token:tok_1 changed what the top-up may charge: at most a day $100.00 → $150.50."
    )
    assert said.command == "brimful topups pause clips"
    new = told(None, topup_config())
    assert new is not None
    said = topup_limits_changed(EventFields(new, UTC), "clips")  # type: ignore[arg-type]
    assert said.headline == "top-up added by token:tok_1"
    assert "mode none → charge; threshold none → $10.00; amount none → $50.00" in said.sentence


def test_every_limit_has_a_place_in_the_schema() -> None:
    limits = schema(EventType.TOPUP_LIMITS_CHANGED)["properties"]["data"]["properties"]["changes"]["items"]
    assert limits["properties"]["limit"]["enum"][0] == "mode"


# ── who asks, and what is refused ───────────────────────────────────────────────────────────────────────────────────


def test_a_role_contains_those_before_it() -> None:
    assert Role.MONEY.contains(Role.SUBSCRIBE)
    assert Role.MONEY.contains(Role.MONEY)
    assert not Role.WRITE.contains(Role.MONEY)


def test_an_owner_sees_its_own_accounts_and_a_limited_token_those_it_names() -> None:
    owner = Actor(name="token:tok_1", source="api", role=Role.READ, owner="acme")
    assert owner.sees("clips", "acme")
    assert not owner.sees("clips", "other")
    limited = replace(owner, accounts=frozenset({"reels"}))
    assert [limited.sees(id, "acme") for id in ("clips", "reels")] == [False, True]


def test_a_refusal_carries_its_faults() -> None:
    faults = over_the_ceiling(topup_config(max_charge_microusd=300 * DOLLAR), API)
    refused = RequestRefused(422, "over-the-ceiling", "beyond the ceiling", faults)
    assert (refused.status, refused.type, str(refused), refused.faults) == (
        422,
        "over-the-ceiling",
        "beyond the ceiling",
        faults,
    )
