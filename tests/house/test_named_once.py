"""Nothing but its own file names a provider, and the documents list those that there are."""

from __future__ import annotations

import re

import pytest

from alerts.model.money import format_usd
from daemon.sources.provider import Provider
from daemon.sources.registry import PROVIDERS
from tests.house.figures import naming_providers
from tests.pure import ROOT

OWN = {f"daemon/sources/providers/{name}.py" for name in PROVIDERS}
ALLOWED = OWN | {
    "daemon/demo/standins/usage/prepaid.py",
    "daemon/demo/standins/usage/storage.py",
    "daemon/demo/scenario.py",
}
"""Its own file, its stand-in, and the story that the demo tells."""


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_no_other_file_names_a_provider() -> None:
    assert sorted(set(naming_providers()) - ALLOWED) == []


def row(provider: Provider) -> str:
    tells = ", ".join(sorted(provider.provides)) if not provider.by_account else "what its `fields` name"
    url = f"`{provider.base_url}{provider.path}`" if provider.base_url else "the account's `url`"
    header = f"`{provider.key_header}`" if provider.key_header else "the account's `auth`"
    least = format_usd(provider.min_charge_microusd) if provider.min_charge_microusd else "–"
    return f"| `{provider.name}` | {provider.title} | {tells} | {url} | {header} | {least} |"


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=PROVIDERS)
def test_every_provider_is_described_as_its_record_says(provider: Provider) -> None:
    assert row(provider) in read("docs/configuration.md").splitlines()


def test_documents_list_the_providers_that_there_are() -> None:
    section = read("docs/configuration.md").split("### Providers\n")[1].split("\n#")[0]
    assert re.findall(r"^\| `([a-z0-9-]+)` \|", section, re.M) == list(PROVIDERS)
    listed = re.search(r'^provider = "[a-z]+" +# (.*)$', read("config.example.toml"), re.M)
    assert listed is not None
    assert set(re.findall(r'"([^"]+)"', listed[1])) == set(PROVIDERS)
