"""The front page where there are many accounts: trouble first, counted, filtered, a page at a time."""

from __future__ import annotations

import html
import re

import httpx

from daemon.demo.standins.usage import ALWAYS, Status
from daemon.limits import PAGE_ACCOUNTS
from tests.service.conftest import KEY, Town
from tests.web.conftest import Browse

ACCOUNT = """
[accounts.n{number:03}]
provider = "contentstats"
base_url = "{url}"
api_key = "cs_test_n{number:03}"
label = "{label}"
tags = ["{tag}"]
"""
RULES = """
[[rules]]
id = "low"
kind = "low_balance"
below_usd = 5.00
[[rules]]
id = "gone"
kind = "low_balance"
below_usd = 2.00
severity = "critical"
"""
COUNT = 120
BROKEN, LOW, LOWEST = 40, 70, 100


async def pages(town: Town, browse: Browse, *queries: str) -> list[httpx.Response]:
    town.usage.prepaid(KEY, balance_usd=50)
    tables = []
    for number in range(COUNT):
        key = f"cs_test_n{number:03}"
        balance = {LOW: "4.50", LOWEST: "1.50"}.get(number, "50")
        town.usage.prepaid(key, balance_usd=balance)
        if number == BROKEN:
            town.usage.fail(key, Status(401), times=ALWAYS)
        tag, label = "prod" if number % 2 else "dev", "Élan & Co" if number == 7 else ""
        tables.append(ACCOUNT.format(number=number, url=town.usage_url, label=label, tag=tag))
    town.configure(RULES + "".join(tables))
    async with town.service() as service:
        await service.once()
        async with browse(service) as client:
            return [await client.get("/" + query) for query in queries]


def ids(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return re.findall(r'href="/accounts/([a-z0-9]+)"', answer.text)


async def test_trouble_stands_first_and_is_counted(town: Town, browse: Browse) -> None:
    (first,) = await pages(town, browse, "")
    assert ids(first)[:3] == ["n040", "n100", "n070"]
    assert len(ids(first)) == PAGE_ACCOUNTS
    text = html.unescape(first.text)
    assert "<title>2 critical, 1 warning, Brimful</title>" in text
    for words in ("121 accounts", "2 critical", "1 warning", "118 without trouble", "page 1 of 3"):
        assert words in text, words


async def test_every_account_stands_on_one_page_and_links_lead_from_one_to_the_next(town: Town, browse: Browse) -> None:
    found = await pages(town, browse, "", "?page=2", "?page=3", "?page=99")
    seen = [account for answer in found[:3] for account in ids(answer)]
    assert len(seen) == len(set(seen)) == COUNT + 1
    assert ids(found[3]) == ids(found[2])
    assert 'href="?page=2" rel="next"' in found[0].text
    assert 'rel="prev"' not in found[0].text
    assert 'rel="next"' not in found[2].text


async def test_a_text_a_tag_and_a_state_narrow_it(town: Town, browse: Browse) -> None:
    by_label, by_tag, both, bad, none = await pages(
        town, browse, "?q=ÉLAN", "?tag=prod&page=2", "?tag=dev&state=warning", "?state=critical", "?q=<b>"
    )
    assert ids(by_label) == ["n007"]
    assert len(ids(by_tag)) == 10
    assert ids(both) == ["n070"]
    assert ids(bad) == ["n040", "n100"]
    assert "No account is like that" in none.text
    assert "<b>" not in none.text
    assert 'href="?tag=prod" rel="prev"' in by_tag.text


async def test_what_makes_no_sense_is_a_sentence(town: Town, browse: Browse) -> None:
    long = "x" * 101
    for answer in await pages(
        town, browse, "?page=0", "?page=x", "?page=٣", "?state=worst", f"?q={long}", f"?tag={long}"
    ):
        assert answer.status_code == 400
        assert "expected" in answer.json()["error"]
