"""Mail addresses, read in one place: the configuration, a mail's headers and its envelope mean the same by them."""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_NAME = 200
MAX_LOCAL_BYTES = 64
MAX_DOMAIN = 253
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u00a1-\U0010ffff-]+"
_LOCAL = rf"{_ATOM}(?:\.{_ATOM})*"  # compiled when an address is read: most commands read none
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = rf"{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:.]+\]|\[IPv6:[0-9A-Fa-f:.]+\]"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_EXAMPLE = 'such as "ops@example.com" or "Acme, Inc. <ops@example.com>"'


class AddressError(ValueError):
    """What is wrong with an address, in words that do not repeat it; `hint` says what to write."""

    def __init__(self, said: str, hint: str = _EXAMPLE) -> None:
        super().__init__(said)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class MailAddress:
    """A name for people, empty where none was written, and the bare address `local@domain` for mail servers."""

    name: str
    local: str
    domain: str

    @property
    def spec(self) -> str:
        return f"{self.local}@{self.domain}"

    @property
    def is_plain(self) -> bool:
        """Whether every mail server can take it: others need SMTPUTF8 (RFC 6531), which many lack."""
        return self.local.isascii()


def parse_address(text: str) -> MailAddress:
    """Return the one address that `text` holds, bare or as `Name <address>`; raises AddressError.

    The name is all that stands before the last `<`, commas and `@` included, with or without quotes.
    """
    if _CONTROL.search(text):
        raise AddressError("it holds a line break or another control character")
    text = text.strip()
    before, angle, inner = text[:-1].rpartition("<") if text.endswith(">") else ("", "", "")
    name, spec = (_unquoted(before.strip()), inner.strip()) if angle else ("", text)
    if len(name) > MAX_NAME:
        raise AddressError(f"the name before the address has more than {MAX_NAME} characters")
    if any(_is_address(part) for part in _parts(before)) or len(_parts(spec)) > 1:
        raise AddressError("it holds more than one address", 'write each as an item of its own: to = ["…", "…"]')
    local, at, domain = spec.rpartition("@")
    if not at or not re.fullmatch(_LOCAL, local) or len(local.encode()) > MAX_LOCAL_BYTES:
        raise AddressError("this is not a mail address")
    if not domain.isascii():
        said = "the domain holds letters beyond ASCII, which mail servers do not take"
        raise AddressError(said, 'write it in its ASCII form, each such part of which begins with "xn--"')
    if not re.fullmatch(_DOMAIN, domain) or len(domain) > MAX_DOMAIN:
        raise AddressError("this is not a mail address")
    return MailAddress(name, local, domain)


def _unquoted(name: str) -> str:
    return re.sub(r"\\(.)", r"\1", name[1:-1]) if _QUOTED.fullmatch(name) else name


def _parts(text: str) -> list[str]:
    """What commas and the like set apart, outside quotes: several addresses in one text, or a name with a comma."""
    parts = re.split(r"[,;>]", _QUOTED.sub("", text))
    return [part.strip() for part in parts] if len(parts) > 1 else []


def _is_address(part: str) -> bool:
    local, _, domain = part.rpartition("<")[2].rpartition("@")
    return re.fullmatch(_LOCAL, local) is not None and re.fullmatch(_DOMAIN, domain) is not None
