"""The one request that reads an account, and every secret that it carries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol
from urllib.parse import quote

from pydantic import SecretStr
from yarl import URL

from daemon.sources.provider import JsonMapping, Provider

TOKEN_CHARACTERS = 8
"""What follows a space in a header's value, or stands in a query, and is shorter is a word, no secret."""


class Source(Protocol):
    """What is known of an account that is asked: `url` is whole but for secrets, one `host` shares a queue.

    `untrusted`: whether a stranger chose the URL. `unavailable`: why it is not asked at all, empty where it is.
    """

    @property
    def id(self) -> str: ...
    @property
    def provider(self) -> Provider: ...
    @property
    def url(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def api_key(self) -> SecretStr: ...
    @property
    def json(self) -> JsonMapping | None: ...
    @property
    def unavailable(self) -> str: ...
    @property
    def untrusted(self) -> bool: ...


class UsageRequest(NamedTuple):
    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes | None


def request_of(account: Source) -> UsageRequest:
    """Return what is sent: the key where the provider or the account wants it, and the account's own headers."""
    key, mapping = account.api_key.get_secret_value(), account.json
    headers = {"accept": "application/json"}
    if mapping is None:
        name = account.provider.key_header
        return UsageRequest("GET", account.url, headers | ({name: key} if name else {}), None)
    body = mapping.body.get_secret_value().encode() if mapping.body is not None else None
    if body is not None:
        headers["content-type"] = "application/json"
    for name, value in mapping.headers.items():
        headers[name.lower()] = value.get_secret_value()
    headers |= {name.lower(): value for name, value in mapping.auth.headers(key).items()}
    url = account.url if mapping.url is None else mapping.url.get_secret_value()
    return UsageRequest(mapping.method, mapping.auth.url(url, key), headers, body)


def secrets_of(account: Source) -> set[str]:
    """Return what no word of a reading may hold: the API key in each of its forms, and whatever else is sent secretly.

    What follows a scheme (`Bearer …`) is one by itself, and so is the value of a query; a URL's as they are sent.
    """
    key, mapping = account.api_key.get_secret_value(), account.json
    if mapping is None:
        return {key} - {""}
    whole = {value.get_secret_value() for name, value in mapping.headers.items() if name.lower() != "accept"}
    whole |= mapping.auth.secrets(key) | {secret.get_secret_value() for secret in mapping.secrets}
    words = [value.rpartition(" ")[2] for value in whole]
    words += [pair.rpartition("=")[2] for pair in URL(request_of(account).url).raw_query_string.split("&")]
    whole |= {URL(f"http://x/{quote(value, safe='')}").raw_path[1:] for value in whole}
    return (whole | {word for word in words if len(word) >= TOKEN_CHARACTERS}) - {""}
