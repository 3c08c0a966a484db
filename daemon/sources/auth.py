"""How a request carries its key: in a header, in the query of the URL, or not at all."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from urllib.parse import quote

HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}", re.ASCII)
_QUERY_NAME = re.compile(r"[A-Za-z0-9_.~-]{1,64}", re.ASCII)
KINDS = '"bearer", "basic", "header:NAME", "header:NAME:PREFIX", "query:NAME" or "none"'


class AuthKind(StrEnum):
    BEARER = "bearer"
    BASIC = "basic"
    HEADER = "header"
    QUERY = "query"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Auth:
    """A kind, and what the key goes by: a header's or a query's name, and what stands before it."""

    kind: AuthKind
    name: str = ""
    prefix: str = ""

    def headers(self, key: str) -> Mapping[str, str]:
        """Return the request headers that carry the key."""
        if self.kind is AuthKind.BASIC:
            return {self.name: f"Basic {b64encode(key.encode()).decode()}"}
        return {self.name: self.prefix + key} if self.kind in _IN_HEADER else _NOTHING

    def url(self, url: str, key: str) -> str:
        """Return the URL with the key where it belongs into the query."""
        if self.kind is not AuthKind.QUERY:
            return url
        return f"{url}{'&' if '?' in url else '?'}{self.name}={quote(key, safe='')}"

    def secrets(self, key: str) -> set[str]:
        """Return every form in which the key is sent, its parts included."""
        if self.kind is AuthKind.BASIC:
            return {key, key.rpartition(":")[2], b64encode(key.encode()).decode()}
        return {key, quote(key, safe="")} if self.kind is AuthKind.QUERY else {key}


_IN_HEADER = (AuthKind.BEARER, AuthKind.HEADER)
_NOTHING: Mapping[str, str] = MappingProxyType({})
NO_AUTH = Auth(AuthKind.NONE)
BEARER = Auth(AuthKind.BEARER, "authorization", "Bearer ")


def parse_auth(text: str) -> Auth:
    """Return what is meant. Raises ValueError where it is no kind of authentication.

    A prefix that ends with a letter or a digit is a word before the key, as in `header:Authorization:Token`.
    """
    kind, _, rest = text.partition(":")
    name, _, prefix = rest.partition(":")
    if text == AuthKind.BEARER:
        return BEARER
    if text == AuthKind.BASIC:
        return Auth(AuthKind.BASIC, "authorization")
    if text == AuthKind.NONE:
        return NO_AUTH
    if kind == AuthKind.HEADER and HEADER_NAME.fullmatch(name) and prefix.isascii() and prefix.isprintable():
        return Auth(AuthKind.HEADER, name, f"{prefix} " if prefix[-1:].isalnum() else prefix)
    if kind == AuthKind.QUERY and _QUERY_NAME.fullmatch(rest):
        return Auth(AuthKind.QUERY, rest)
    raise ValueError(f"it is {KINDS}")
