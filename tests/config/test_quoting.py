"""What `check` repeats of a value that it does not know, what it never repeats, and hosts that are odd addresses."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.config.load import inspect
from daemon.config.problems import quoted
from daemon.config.urls import Plain, fault

CONFIG = """
timezone = "Europe/Berln"
[store]
path = "{folder}/a.db"
[accounts.clips]
provider = "contenstats"
api_key = "env:KEY"
poll = "* * * *"
[[rules]]
id = "q"
kind = "qouta"
remind_every = "60 mins"
[[rules]]
id = "b"
kind = "budget"
period = "mounth"
limit_usd = 3
remind_every = "60 mins"
"""


def test_an_unknown_value_is_named(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(CONFIG.format(folder=tmp_path))
    said = "\n".join(str(problem) for problem in inspect(path, environ={"KEY": "k"}).problems)
    for expected in (
        'there is no time zone "Europe/Berln"',
        'there is no provider "contenstats"',
        ': "* * * *"',
        'there is no kind of rule "qouta"',
        'not "mounth"',
        'this is "60 mins"',
    ):
        assert expected in said, said


@pytest.mark.parametrize(
    "secret",
    [
        "sk_live_51HabcDEF",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZI",
        "cs_test_abc",
        "https://a:b@c/",
        "a8Fk2Lq9Zx0Pw3Vb7T",
        7,
        None,
    ],
)
def test_what_may_be_a_secret_is_never_repeated(secret: object) -> None:
    assert quoted(secret) == ""


@pytest.mark.parametrize("host", ["0x7f.1", "127.1", "2130706433", "0x7f000001", "0X7F.0.0.1", "127.0.0.0x1", "10.1."])
def test_a_host_that_is_an_address_in_disguise_is_refused(host: str) -> None:
    found = fault(f"https://{host}/hook", Plain.ANYWHERE)
    assert found is not None
    assert "reads this host as an IP address" in found.message or "read this host as an IP address" in found.message


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "v2.example.com", "api.0x7f.example", "7.example"])
def test_a_plain_host_is_accepted(host: str) -> None:
    assert fault(f"https://{host}/hook", Plain.ANYWHERE) is None
