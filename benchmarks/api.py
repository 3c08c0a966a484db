"""Ten thousand accounts made by the HTTP API, through `brimful run` as a process.

    python -m benchmarks.api [--accounts 10000] [--puts 400] [--json]

Accounts are made in batches of 500 and polled every minute; lists and pages are asked for, and single accounts are
changed while the polls of all of them go on.
"""

from __future__ import annotations

import argparse
import base64
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from benchmarks.process import Server, accounts_toml, brimful, configuration, free_port, server, wait_for
from benchmarks.report import Figure, finish
from tests.api.conftest import token_for

MASTER_KEY = base64.b64encode(b"a key of thirty-two bytes, I say").decode()
API = """
[api]
enabled = true
master_key = "env:API_MASTER_KEY"
allow_accounts_at = ["127.0.0.0/8"]
"""
BATCH, OWNERS, TAGS = 500, 100, ("pro", "free", "trial")
LISTS = {
    "a page of 100": {},
    "an owner": {"owner": "owner-42"},
    "a tag": {"tag": "pro"},
    "a state": {"state": "good"},
    "a text": {"q": "label 99"},
    "the last page": {"after": "b8"},
    "a page of 500": {"limit": "500"},
}
PAGES = ("/", "/?q=owner-42", "/?tag=pro&page=40", "/?state=good&page=100")


def body(served: Server, number: int, label: str = "") -> dict[str, object]:
    return {
        "provider": "contentstats",
        "base_url": f"{served.url}/a/b{number}",
        "api_key": f"cs_test_api_{number}",
        "poll": "* * * * *",
        "label": label or f"Label {number}",
        "owner": f"owner-{number % OWNERS}",
        "tags": [TAGS[number % len(TAGS)]],
    }


def slowest_ms(ask: Callable[[], httpx.Response], times: int = 5) -> float:
    """Return the median wait of several, in milliseconds."""
    waits = []
    for _ in range(times):
        started = time.perf_counter()
        answer = ask()
        waits.append(1000 * (time.perf_counter() - started))
        if answer.status_code != 200:
            raise SystemExit(f"{answer.request.url}: {answer.status_code}: {answer.text[:500]}")
    return sorted(waits)[times // 2]


def made(client: httpx.Client, served: Server, accounts: int) -> float:
    """Make the accounts in batches; return how many seconds that took."""
    started = time.perf_counter()
    for first in range(0, accounts, BATCH):
        entries = [{"id": f"b{n}", **body(served, n)} for n in range(first, min(first + BATCH, accounts))]
        answer = client.post("/accounts:batch", json={"accounts": entries})
        if answer.status_code != 200:
            raise SystemExit(f"a batch: {answer.status_code}: {answer.text[:500]}")
    return time.perf_counter() - started


def changed(client: httpx.Client, served: Server, accounts: int, puts: int) -> list[float]:
    """Change accounts one after another over more than a minute; return each wait in milliseconds, sorted."""
    waits = []
    for number in range(puts):
        time.sleep(70 / puts)
        which = number * 7919 % accounts
        started = time.perf_counter()
        answer = client.put(f"/accounts/b{which}", json=body(served, which, f"changed {number}"))
        waits.append(1000 * (time.perf_counter() - started))
        if answer.status_code != 200:
            raise SystemExit(f"a PUT: {answer.status_code}: {answer.text[:500]}")
    return sorted(waits)


def measure(served: Server, accounts: int, puts: int) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="brimful-api-") as made_folder:
        folder, port = Path(made_folder), free_port()
        path = configuration(folder, served, port, API + accounts_toml(served.url, 1))
        token = token_for(path, {**os.environ, "API_MASTER_KEY": MASTER_KEY})
        with brimful(path, log=folder / "log", API_MASTER_KEY=MASTER_KEY) as process:
            wait_for(f"http://127.0.0.1:{port}/healthz", 60)
            page = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)
            headers = {"authorization": f"Bearer {token}"}
            client = httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", headers=headers, timeout=60)
            with page, client:
                made_s = made(client, served, accounts)
                time.sleep(70)  # each was polled
                before = served.ask("/stats")["asked"]
                started = time.perf_counter()
                waits = changed(client, served, accounts, puts)
                polls = (served.ask("/stats")["asked"] - before) * 60 / (time.perf_counter() - started)
                lists = {
                    name: slowest_ms(lambda query=query: client.get("/accounts", params=query))  # type: ignore[misc]
                    for name, query in LISTS.items()
                }
                pages = {one: slowest_ms(lambda one=one: page.get(one)) for one in PAGES}  # type: ignore[misc]
            memory_mb = process.peak_mb()
    return [
        Figure(f"{accounts:,} accounts in batches of {BATCH}", made_s, "s", 60.0),
        Figure("polls beside the changes", polls, "a minute"),
        Figure("a PUT beside them, median", waits[len(waits) // 2], "ms"),
        Figure("a PUT beside them, 99 %", waits[len(waits) * 99 // 100], "ms", 50.0),
        *(Figure(f"list: {name}", ms, "ms", 200.0) for name, ms in lists.items()),
        *(Figure(f"page: {name}", ms, "ms", 200.0) for name, ms in pages.items()),
        Figure("memory, at most", memory_mb, "MB"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--puts", type=int, default=400)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with server() as served:
        figures = measure(served, options.accounts, options.puts)
    finish(f"api: {options.accounts:,} accounts", figures, as_json=options.json)


if __name__ == "__main__":
    main()
