"""The page of the unattended process: there from the start, over a reload, and no hindrance to its end."""

from __future__ import annotations

import signal

import httpx

from tests.service.conftest import KEY, Town
from tests.service.test_run import _start, _stop, _until
from tests.web.conftest import free_port


async def test_the_daemon_serves_its_page_over_a_reload_and_ends_well(town: Town) -> None:
    town.usage.prepaid(KEY, balance_usd="12.45", active_videos=0)
    port = await free_port()
    path = town.configure()
    path.write_text(path.read_text().replace('listen = ""', f'listen = "127.0.0.1:{port}"\ntoken = "literal-token"'))
    process = await _start(path)
    headers = {"authorization": "Bearer literal-token"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers) as client:

        async def shows(words: str) -> bool:
            try:
                return words in (await client.get("/")).text
            except httpx.TransportError:
                return False

        try:
            await _until(lambda: town.usage.asked[KEY] > 0)
            for _ in range(100):
                if await shows("$12.45"):
                    break
            assert await shows("$12.45")
            assert (await client.get("/healthz")).json() == {"fresh": True, "reasons": []}
            assert (await client.get("/metrics", headers={"authorization": "Bearer x"})).status_code == 401
            path.write_text(path.read_text().replace("[accounts.clips]", '[accounts.clips]\nlabel = "Renamed"'))
            process.send_signal(signal.SIGHUP)
            for _ in range(400):
                if await shows("Renamed"):
                    break
            assert await shows("Renamed")
        finally:
            seconds, log = await _stop(process)
    assert process.returncode == 0
    assert seconds < 5
    assert [line for line in log if line["level"] == "error"] == []
    assert "literal-token" not in str(log)
