"""The first lines of an account, for whoever begins: `init`, and what `providers show` prints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType

from alerts.model.units import USD
from daemon.sources.auth import NO_AUTH, parse_auth
from daemon.sources.provider import Provider
from daemon.sources.registry import find

_NOTHING: Mapping[str, str] = MappingProxyType({})


def needed_params(provider: Provider) -> tuple[str, ...]:
    """Return what an account of the provider has to say beside its key: the places in its URL."""
    return provider.preset.params if provider.preset is not None else ()


def account_text(
    provider: Provider, account: str, key: str, params: Mapping[str, str] = _NOTHING, base_url: str = ""
) -> str:
    """Return the TOML of an account, without a line break at its end. A param that is not given is left to fill in.

    `key` is a reference, such as env:NAME.
    """
    lines = [f"[accounts.{account}]", f"provider = {quoted(provider.name)}"]
    if base_url:
        lines.append(f"base_url = {quoted(base_url)}")
    if provider.by_account and provider.preset is None:
        lines += ['url = "https://api.example.com/usage"', 'fields = { balance = "balance" }']
    if provider.preset is None or parse_auth(provider.preset.auth) != NO_AUTH:
        lines.append(f"api_key = {quoted(key)}")
    if names := needed_params(provider):
        said = ", ".join(f"{name} = {quoted(params.get(name, '…'))}" for name in names)
        lines.append(f"params = {{ {said} }}")
    return "\n".join(lines)


def below_key(provider: str) -> str:
    """Return how a low_balance rule names a threshold in the provider's unit."""
    found = find(provider)
    return "below_usd" if found is None or found.unit == USD else "below"


def quoted(text: str) -> str:
    """Return a TOML string."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
