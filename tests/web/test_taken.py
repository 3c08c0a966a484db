"""The page, the metrics and the usage route after the service took another configuration."""

from __future__ import annotations

import pytest

from alerts.model.specs import Budget, Period
from alerts.model.values import replace
from tests.service.conftest import KEY, Town
from tests.service.test_taking import OTHER, account, having, ruled, without
from tests.web.conftest import Browse


async def test_everything_shown_is_of_the_configuration_in_force(town: Town, browse: Browse) -> None:
    town.usage.prepaid(KEY, balance_usd="12.45", active_videos=0)
    town.usage.prepaid(OTHER, balance_usd="3.00", active_videos=0)
    town.configure()
    async with town.service() as service, browse(service) as client:
        await service.step(town.clock.now())
        assert (await client.get("/accounts/late")).status_code == 404
        known = account(town, "late", OTHER)
        config = having(service.config, replace(known, info=replace(known.info, label="Latecomer")))
        budget = Budget(id="day", accounts=("late",), period=Period.DAY, limit_microusd=20_000_000)
        service.take(ruled(config, budget))
        await service.poller.idle()
        assert "Latecomer" in (await client.get("/")).text
        assert (await client.get("/accounts/late")).status_code == 200
        assert (await client.get("/api/v1/usage/late")).json()["balance_usd"] == 3
        text = (await client.get("/metrics")).text
        assert 'brimful_balance_usd{account="late"} 3.0' in text
        assert 'brimful_budget_limit_usd{account="late",rule="day",period="day"} 20.0' in text

        service.take(without(service.config, "late", "clips"))
        assert "Latecomer" not in (await client.get("/")).text
        assert (await client.get("/api/v1/usage/late")).status_code == 404
        assert 'account="late"' not in (await client.get("/metrics")).text
        assert (await client.get("/healthz")).status_code == 200


async def test_a_scrape_without_time_for_forecasts_tells_all_else_and_the_burn_once_it_is_known(
    town: Town, browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.usage.prepaid(KEY, balance_usd="12.45", active_videos=1)
    town.configure()
    monkeypatch.setattr("daemon.web.site.SCRAPE_FORECASTS_S", -1.0)
    async with town.service() as service, browse(service) as client:
        await service.step(town.clock.now())
        text = (await client.get("/metrics")).text
        assert 'brimful_balance_usd{account="clips"} 12.45' in text
        assert "brimful_burn_usd_per_day{" not in text, "unknown is no nought"
        assert "a day" in (await client.get("/")).text, "the page works out what it shows"
        assert 'brimful_burn_usd_per_day{account="clips"}' in (await client.get("/metrics")).text
