"""What holds for every provider that is registered, whichever it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from alerts.model.readings import Known, Metrics, Reading, Reason, Unavailable
from daemon.net.http import HttpAnswer
from daemon.sources.payload import read, to_count, to_millionths
from daemon.sources.provider import AnswerSpec, Has, Provider, needed_of
from daemon.sources.registry import PROVIDERS
from tests.helpers_sources import NOW

EVERY = pytest.mark.parametrize("provider", PROVIDERS.values(), ids=PROVIDERS)
FIGURES = frozenset({"balance_microusd", "used_microgb"})


def ask(provider: Provider, said: Any, names: Mapping[str, str] | None = None) -> Reading:
    """Read an answer; an account that maps fields itself maps each name to the same."""
    parse = provider.parser(AnswerSpec(fields={name: name for name in provider.table} if names is None else names))
    return parse("one", NOW, HttpAnswer(200, {}, json.dumps(said).encode(), 1))


def whole(provider: Provider) -> dict[str, Any]:
    """An answer that says everything: 7, or an instant or a text where that is no such thing."""
    days = {"period_start_at": "2026-11-01", "period_end_at": "2026-12-01"}
    texts = {"client_name": "x", "billing_error": "x", "max_resolution": "x"}
    return {name: (days | texts).get(metric, 7) for name, (metric, _) in provider.table.items()}


@EVERY
def test_a_module_is_named_like_its_provider(provider: Provider) -> None:
    assert PROVIDERS[provider.name] is provider
    assert provider.title
    assert provider.by_account == (not provider.path and not provider.key_header)


@EVERY
def test_what_it_says_is_read_whole(provider: Provider) -> None:
    reading = ask(provider, whole(provider))
    assert isinstance(reading, Known)
    assert all(getattr(reading.metrics, metric) is not None for metric, _ in provider.table.values())
    assert reading.metrics.unusable == ()


@EVERY
@pytest.mark.parametrize("value", [None, "none", {}], ids=repr)
def test_an_answer_in_which_nothing_can_be_used_is_no_reading(provider: Provider, value: Any) -> None:
    for said in ({}, {"something": "else"}, dict.fromkeys(provider.table, value)):
        reading = ask(provider, said)
        assert isinstance(reading, Unavailable), said
        assert reading.reason is Reason.BAD_PAYLOAD


@EVERY
def test_a_reading_always_has_a_balance_or_a_used_volume(provider: Provider) -> None:
    for left_out in provider.table:
        reading = ask(provider, {name: value for name, value in whole(provider).items() if name != left_out})
        if isinstance(reading, Known):
            assert any(getattr(reading.metrics, metric) is not None for metric in FIGURES)
        assert isinstance(reading, Unavailable) == (left_out in needed_of(provider.table))


@pytest.mark.parametrize("names", [{}, {"limit_gb": "limit_gb"}, {"total_charged_usd": "total_charged_usd"}])
def test_an_account_that_maps_nothing_to_judge_has_no_reading(names: dict[str, str]) -> None:
    for provider in filter(lambda one: one.by_account, PROVIDERS.values()):
        assert isinstance(ask(provider, whole(provider), names), Unavailable)


def test_metrics_with_nothing_to_judge_never_become_a_reading() -> None:
    for metrics in (Metrics(), Metrics(limit_microgb=1, usage_count=3, extra='{"a":1}')):
        reading = read(lambda _, metrics=metrics: metrics, "one", NOW, HttpAnswer(200, {}, b"{}", 1))  # type: ignore[misc]
        assert isinstance(reading, Unavailable)
        assert reading.reason is Reason.BAD_PAYLOAD
        assert reading.detail == "neither a balance nor a used volume is said"


def test_a_provider_that_tells_nothing_to_judge_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="bare: a provider provides a balance or a used volume"):
        Provider(name="bare", title="Bare", table={"limit": ("limit_microgb", to_millionths), "n": ("jobs", to_count)})


def test_what_the_two_services_tell() -> None:
    assert PROVIDERS["contentstats"].provides == {Has.BALANCE, Has.TOTAL}
    assert PROVIDERS["tornado"].provides == {Has.VOLUME, Has.LIMIT, Has.PERIOD}
    assert PROVIDERS["json"].provided_with({"balance_usd", "period_start"}) == {Has.BALANCE, Has.PERIOD}
