"""What no log shows: keys, passwords in URLs, URLs' queries."""

from __future__ import annotations

import re

_SECRETS = re.compile(
    r"\b(?:sk|rk|pk)_(?:live|test)_\w+|\bwhs(?:ec|k)_[\w+/=-]+|\bcs_(?:live|test)_\w+|(?<=://)[^/@\s]+:[^/@\s]+@"
)
_QUERY = re.compile(r"(https?://[^\s?\"']+)\?[^\s\"']+")


def mask(text: str) -> str:
    """Return `text` with everything that looks like a key, a password in a URL, or a URL's query replaced."""
    return _QUERY.sub(r"\1?…", _SECRETS.sub("…", text))
