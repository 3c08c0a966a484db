"""A fleet seen from outside: each daemon says the same of all, how each fares, and takes any word for the others."""

from __future__ import annotations

import json
import re
import signal

import httpx
import pytest

from benchmarks.process import Server
from tests.fleet.conftest import ACCOUNTS
from tests.fleet.machines import Machines, hooks, polls, wait
from tests.postgres import PostgresServer
from tests.web.test_page import samples

pytestmark = pytest.mark.slow
MORE = """
[api]
enabled = true
master_key = "env:API_MASTER_KEY"
allow_accounts_at = ["127.0.0.0/8"]
[[rules]]
id = "month"
kind = "budget"
period = "month"
limit_usd = 100
"""
OWN = re.compile(
    r"brimful_(readings|passes|pass_failures|job|schedule|fresh|commit|delivery_attempts|build|database)|process_"
)
"""What a process says of itself, or what moves while it is asked."""


def start(machines: Machines, *names: str, **otherwise: str) -> None:
    """Start daemons with the API, `a` and `b` where none is named, and wait until they share all there is."""
    if MORE not in machines.config.read_text():
        machines.config.write_text(machines.config.read_text() + MORE)
    for name in names or ("a", "b"):
        machines.start(name, **otherwise)
    machines.shared_by(*machines.running)


def said_to(machines: Machines, name: str, token: str) -> httpx.Client:
    headers = {"authorization": f"Bearer {token}"}
    return httpx.Client(base_url=f"{machines.pages[name]}/api/v1", headers=headers, timeout=20)


def get(machines: Machines, name: str, path: str) -> httpx.Response:
    return httpx.get(machines.pages[name] + path, timeout=20)


def told(machines: Machines, name: str) -> dict[tuple[str, ...], float]:
    """Return the samples of what all share, but for how old a reading is."""
    found = samples(get(machines, name, "/metrics").text)
    return {key: value for key, value in found.items() if not OWN.match(key[0]) and "age" not in key[0]}


def shown(machines: Machines, name: str, path: str = "/") -> str:
    """Return a page, but for the time."""
    text = get(machines, name, path).text
    return re.sub(r"read [^<]* ago|as of [^<]*", "", text)


def test_metrics_and_page_are_the_same_from_any_daemon(machines: Machines, served: Server) -> None:
    served.ask("/drop?accounts=" + ",".join(f"a{number}" for number in range(20)))
    start(machines)
    wait(lambda: len(polls(served)) == ACCOUNTS and len(hooks(served)) == 20, 20)
    wait(lambda: told(machines, "a") == told(machines, "b"), 10)
    found = told(machines, "b")
    for name in ("available_usd", "budget_spent_usd", "remaining_seconds", "reading_ok"):
        assert sum(key[0] == f"brimful_{name}" for key in found) == ACCOUNTS
    assert sum(key[0] == "brimful_alert_open" for key in found) == 20
    assert shown(machines, "a") == shown(machines, "b")
    assert shown(machines, "a", "/accounts/a3?days=1") == shown(machines, "b", "/accounts/a3?days=1")


@pytest.mark.long
@pytest.mark.postgresql
def test_each_daemon_says_how_every_other_fares(machines: Machines, served: Server) -> None:
    """One that reaches no usage API is not fresh, and the others say so of it, and not of themselves."""
    start(machines, "b", **{served.url: "http://127.0.0.1:1"})
    wait(lambda: get(machines, "b", "/healthz").status_code == 503, 20)
    start(machines, "a")
    machines.shared_by("a", "b")

    def daemons() -> dict[str, bool | None]:
        said = json.loads(machines.brimful("status", "--json"))["daemons"]
        return {one["name"].rpartition("-")[2]: one["health"]["fresh"] for one in said}

    wait(lambda: daemons() == {"a": True, "b": False}, 15, lambda: str(daemons()))
    assert get(machines, "a", "/healthz").json() == {"fresh": True, "reasons": []}
    said = machines.brimful("status")
    assert re.search(r"daemon \S+-b \(.*\): 128 of 256 buckets, .*, not fresh since .*:\n  poll: no usage API", said)
    assert said.index("-b (pid") < said.index("-a (pid"), "trouble first"
    assert re.search(r"<li>\S+-b: poll: no usage API answers", get(machines, "a", "/").text)
    found = samples(get(machines, "a", "/metrics").text)
    fresh = {key[1].rpartition("-")[2]: value for key, value in found.items() if key[0] == "brimful_daemon_fresh"}
    assert fresh == {"a": 1, "b": 0}
    assert found["brimful_fresh",] == 1

    machines.kill("b")
    wait(lambda: daemons() == {"a": True}, 15)
    assert "usage API" not in get(machines, "a", "/").text, "it is forgotten with its row"


def test_any_daemon_takes_a_word_for_the_one_that_holds_it(machines: Machines, served: Server) -> None:
    """Changes by API, pauses, mutes and replays reach the holder within two seconds, wherever they were said."""
    served.ask("/drop?accounts=a0,a1,a2,a3,n0,n1,n2,n3")
    start(machines)
    token = machines.brimful("token", "new", "--role", "admin").split()[-1]
    wait(lambda: len(hooks(served)) == 4, 20)
    for number, (name, other) in enumerate([("a", "b"), ("b", "a")] * 2):
        with said_to(machines, name, token) as client, said_to(machines, other, token) as beside:
            take_words(client, beside, served, number)


def take_words(client: httpx.Client, beside: httpx.Client, served: Server, number: int) -> None:
    old, new, before = f"a{number}", f"n{number}", len(hooks(served))
    body = {
        "provider": "contentstats",
        "base_url": f"{served.url}/a/{new}",
        "api_key": f"cs_{number}",
        "poll": "0 0 1 1 *",
    }
    made = client.put(f"/accounts/{new}", json=body)
    assert made.status_code == 201, made.text
    wait(lambda: polls(served)[new] == 1, 3)
    wait(lambda: beside.get(f"/accounts/{new}").json().get("status", {}).get("state") == "warning", 3)
    assert client.get(f"/accounts/{new}").json() == beside.get(f"/accounts/{new}").json()

    (sent,) = beside.get("/deliveries", params={"receiver": f"webhook:app{number}"}).json()["data"]
    assert client.post(f"/deliveries/{sent['id']}/replay").json()["replayed"]
    wait(lambda: len(hooks(served)) == before + 1, 3)

    assert client.put(f"/pauses/{old}").json()["paused"]
    assert [one["scope"] for one in beside.get("/pauses").json()["data"]] == [old]
    assert beside.delete(f"/pauses/{old}").json()["ended"] == ["pause: paused by a person"]


def test_a_daemon_that_is_out_or_has_no_database_does_not_say_that_it_is_well(
    machines: Machines, postgres: PostgresServer
) -> None:
    def until(name: str, status: int) -> None:
        def said() -> str:
            return get(machines, name, "/healthz").text

        wait(lambda: get(machines, name, "/healthz").status_code == status, 20, said)

    start(machines)
    until("a", 200)
    machines.running["a"].signal(signal.SIGSTOP)
    machines.shared_by("b")
    machines.running["a"].signal(signal.SIGCONT)
    answer = get(machines, "a", "/healthz")
    assert answer.status_code == 503
    assert any(reason.startswith("database: ") for reason in answer.json()["reasons"])
    until("a", 200)
    postgres.stop()
    for name in ("a", "b"):
        until(name, 503)
        assert [get(machines, name, path).status_code for path in ("/", "/metrics")] == [503, 503]
    postgres.start()
    for name in ("a", "b"):
        until(name, 200)
