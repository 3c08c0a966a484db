"""Where a store lies: a file (SQLite), or a server's URL (PostgreSQL) whose password is never shown."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

_WORDS = re.compile(r"(user|host|dbname|port)", re.ASCII)


@dataclass(frozen=True, slots=True)
class ServerUrl:
    """`postgresql://user:password@host:port/name`, as libpq reads it. `str()` leaves out the password."""

    text: str = field(repr=False)

    def __str__(self) -> str:
        try:
            parts = urlsplit(self.text)
            named = [value for key, value in parse_qsl(parts.query) if _WORDS.fullmatch(key)]
            host = parts.netloc.rpartition("@")[2]
        except ValueError:
            return "postgresql://…"
        return f"postgresql://{host}{parts.path}" + (f" ({', '.join(named)})" if named else "")

    def exists(self) -> bool:
        """As of a path: whether it is worth trying to open it."""
        return True

    is_file = is_absolute = exists

    def absolute(self) -> ServerUrl:
        return self


Place = Path | ServerUrl


def has_password(url: str) -> bool:
    """Whether a URL holds a password."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return True
    return parts.password is not None or "password=" in parts.query


def problem_of(url: str) -> str:
    """Return what is wrong with the URL of a server, without showing it; the empty text where nothing is."""
    try:
        parts = urlsplit(url)
        for host in parts.netloc.rpartition("@")[2].split(","):  # one, or a primary with its standbys
            _ = urlsplit(f"//{host}").port
    except ValueError:
        return "it cannot be read: is a character of the password not percent-encoded?"
    if parts.scheme not in ("postgresql", "postgres"):
        return "it does not begin with postgresql://"
    if not parts.path.strip("/") and "dbname=" not in parts.query:
        return "it names no database"
    return ""
