"""Who is told of what."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import SecretStr

from alerts.model.events import EventDraft, EventType
from alerts.model.receivers import ChatReceiver, EmailReceiver, Receivers, WebhookReceiver

NOW = datetime(2026, 11, 1, 8, tzinfo=UTC)


def hook(id: str, **more: Any) -> WebhookReceiver:
    return WebhookReceiver(id=id, url="https://example.com", secrets=(SecretStr("x"),), **more)


def draft(type: EventType, account: str | None = "clips", **more: Any) -> EventDraft:
    return EventDraft(type=type, at=NOW, data={}, account=account, **more)


ALL = Receivers(
    (
        hook("everything"),
        hook("low_only", events=("balance.low",)),
        hook("topups", events=("topup.*",), accounts=("clip*",)),
        hook("own", events=("balance.low",), own_threshold_microusd=5_000_000),
        EmailReceiver(id="finance", to=("f@example.com",), events=("topup.*",)),
        ChatReceiver(id="team", url=SecretStr("x"), events=("balance.*",)),
    )
)


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (draft(EventType.BALANCE_LOW), ["webhook:everything", "webhook:low_only", "chat:team"]),
        (draft(EventType.BALANCE_RECOVERED), ["webhook:everything", "chat:team"]),
        (draft(EventType.BALANCE_LOW, only_receiver="webhook:own"), ["webhook:own"]),
        (draft(EventType.TOPUP_SUCCEEDED), ["webhook:everything", "webhook:topups", "email:finance"]),
        (draft(EventType.TOPUP_SUCCEEDED, "media"), ["webhook:everything", "email:finance"]),
        (draft(EventType.DELIVERY_FAILING, None), ["webhook:everything", "email:finance"]),
        (draft(EventType.DELIVERY_FAILING, None, not_receiver="webhook:everything"), ["email:finance"]),
        (draft(EventType.DELIVERY_FAILING, None, not_receiver="email:finance"), ["webhook:everything"]),
    ],
)
def test_each_event_goes_to_those_who_asked_and_failing_receivers_are_always_told_of_by_mail(
    event: EventDraft, told: list[str]
) -> None:
    assert list(ALL.route(event)) == told


def test_where_one_mail_receiver_asked_for_failing_receivers_the_others_are_left_in_peace() -> None:
    ops = EmailReceiver(id="ops", to=("o@example.com",), events=("delivery.*",))
    both = Receivers((*ALL.all, ops))
    assert both.route(draft(EventType.DELIVERY_FAILING, None)) == ("webhook:everything", "email:ops")


MANY = Receivers(
    (
        *ALL.all,
        *(hook(f"sub_{n}", accounts=(f"a{n}",), owner=f"o{n}", untrusted=True) for n in range(2000)),
        hook("sub_pair", accounts=("a7", "a8"), owner="o7", untrusted=True),
        EmailReceiver(id="account:a7", to=("a7@example.com",), accounts=("a7",), owner="o7", untrusted=True),
    )
)


def test_among_thousands_an_event_goes_to_those_who_named_its_account_in_configured_order() -> None:
    told = ("webhook:everything", "webhook:low_only", "chat:team", "webhook:sub_7", "webhook:sub_pair")
    assert MANY.route(draft(EventType.BALANCE_LOW, "a7")) == (*told, "email:account:a7")
    assert MANY.route(draft(EventType.BALANCE_LOW, "a7", only_receiver="webhook:sub_7")) == ("webhook:sub_7",)
    assert MANY.route(draft(EventType.BALANCE_LOW, "a7", only_receiver="webhook:gone")) == ()


def test_no_customer_hears_what_is_about_no_account() -> None:
    assert MANY.route(draft(EventType.DELIVERY_FAILING, None)) == ("webhook:everything", "email:finance")
    assert MANY.route(draft(EventType.REPORT_FAILED, None)) == ("webhook:everything",)


def test_an_event_asks_only_the_receivers_that_named_its_account() -> None:
    MANY.route(draft(EventType.BALANCE_LOW, "a7"))
    started = time.process_time()
    for _ in range(1000):
        MANY.route(draft(EventType.BALANCE_LOW, "a7"))
    assert time.process_time() - started < 0.2, "as if each of the two thousand were asked"


def test_a_receiver_is_found_by_its_key() -> None:
    assert ALL.find("webhook:low_only") is ALL.all[1]
    assert ALL.find("webhook:nobody") is None
