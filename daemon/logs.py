"""What no log shows: keys, passwords in URLs, URLs' queries."""

from __future__ import annotations

import re

_SECRETS = re.compile(
    r"\b[a-z]{2,8}_(?:live|test)_\w+|\bwhs(?:ec|k)_[\w+/=-]+|(?<=://)[^/@\s]+:[^/@\s]+@"
    r"|(?<=Bearer )[\w.~+/=-]{4,}"
)
_QUERY = re.compile(r"(https?://[^\s?\"']+)\?[^\s\"']+")


def mask(text: str) -> str:
    """Return `text` with everything that looks like a key, a password in a URL, or a URL's query replaced."""
    return _QUERY.sub(r"\1?…", _SECRETS.sub("…", text))
