"""The types of configured values, each validated strictly, without guessing.

Money is read from the TOML text as `Decimal`, never as a float. A validator raises `PydanticCustomError` whose type is
the problem's id and whose context may hold a hint; no message contains a value that could be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainValidator
from pydantic_core import PydanticCustomError

from alerts.mail_address import AddressError, MailAddress, parse_address
from alerts.model.money import MAX_MICRO, MICRO, MICROUSD_PER_CENT
from alerts.model.polling import AUTO
from daemon.config.cron import parse_cron
from daemon.config.durations import parse_duration
from daemon.config.problems import ProblemId, listing, quoted, suggestion

MAX_TEXT = 2048
MAX_ITEMS = 256


def refuse(id: ProblemId, message: str, hint: str = "") -> PydanticCustomError:
    """Return the error for a validator to raise."""
    return PydanticCustomError(id.value, "{said}", {"said": message, "hint": hint})


def number(value: Any) -> Decimal:
    """Return the TOML number as written."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        hint = "write it without quotes" if isinstance(value, str) else ""
        raise refuse(ProblemId.VALUE_TYPE, "a number is expected", hint)
    exact = Decimal(value)
    if not exact.is_finite():
        raise refuse(ProblemId.VALUE_RANGE, "a finite number is expected")
    return exact


def _micro(value: Any) -> int:
    exact = number(value)
    if abs(exact) > MAX_MICRO // MICRO:
        raise refuse(ProblemId.VALUE_RANGE, "this is more than can be meant")
    micro = exact * MICRO
    if micro != micro.to_integral_value():
        raise refuse(ProblemId.MONEY_INVALID, "at most six digits after the point are kept")
    if micro <= 0:
        raise refuse(ProblemId.VALUE_RANGE, "it must be greater than 0")
    return int(micro)


def _charge(value: Any) -> int:
    microusd = _micro(value)
    if microusd % MICROUSD_PER_CENT:
        raise refuse(ProblemId.MONEY_CENTS, "an amount that is charged is whole cents", "write at most two digits")
    return microusd


def _positive(value: Any) -> Decimal:
    exact = number(value)
    if not 0 < exact <= 1_000_000:
        raise refuse(ProblemId.VALUE_RANGE, "it must be greater than 0 and at most 1,000,000")
    return exact


def _duration(value: Any) -> timedelta:
    if not isinstance(value, str):
        raise refuse(ProblemId.DURATION_INVALID, "a duration is text", 'such as "90s", "15m", "24h" or "7d"')
    try:
        duration = parse_duration(value)
    except ValueError as error:
        said = f"; this is {word}" if (word := quoted(value)) else ""
        raise refuse(ProblemId.DURATION_INVALID, f"{error}{said}") from error
    if not duration:
        raise refuse(ProblemId.DURATION_INVALID, "it must be longer than nothing")
    return duration


def _cron(value: Any) -> str:
    if not isinstance(value, str):
        raise refuse(ProblemId.CRON_INVALID, "a cron expression is text", 'such as "*/5 * * * *"')
    try:
        return parse_cron(value)
    except ValueError as error:
        said = f": {word}" if (word := quoted(value)) else ""
        raise refuse(ProblemId.CRON_INVALID, f"{error}{said}", '"*/5 * * * *" is every five minutes') from error


def _poll(value: Any) -> str:
    if not isinstance(value, str) or not _WORD.fullmatch(value.strip()):
        return _cron(value)
    if value.strip() == AUTO:
        return AUTO
    said = f'a poll is a cron expression or "{AUTO}"{f", this is {word}" if (word := quoted(value)) else ""}'
    hint = suggestion(value.strip(), (AUTO,)) or f'"*/5 * * * *" is every five minutes, "{AUTO}" as long as it lasts'
    raise refuse(ProblemId.CRON_INVALID, said, hint)


_WORD = re.compile(r"@?[A-Za-z]+", re.ASCII)
_BOUNDS = timedelta(seconds=10), timedelta(days=1)


def _poll_bound(value: Any) -> timedelta:
    bound = _duration(value)
    if not _BOUNDS[0] <= bound <= _BOUNDS[1]:
        raise refuse(ProblemId.VALUE_RANGE, "between two polls there are ten seconds to a day", 'such as "1m" or "1h"')
    return bound


CONTROL = re.compile(r"[\x00-\x1f\x7f]")
"""Characters that no name, URL or secret holds."""


def text_of(value: Any) -> str:
    """Return a text of one line."""
    if not isinstance(value, str):
        raise refuse(ProblemId.VALUE_TYPE, "text in quotes is expected")
    if len(value) > MAX_TEXT:
        raise refuse(ProblemId.VALUE_RANGE, f"at most {MAX_TEXT} characters are kept")
    if CONTROL.search(value):
        raise refuse(ProblemId.VALUE_INVALID, "it holds a line break or another control character")
    return value


def _body(value: Any) -> str:
    """A text of several lines, too: what is posted."""
    return text_of(re.sub(r"[\t\r\n]", " ", value)) if isinstance(value, str) else text_of(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        hint = "write it without quotes" if isinstance(value, str) else ""
        raise refuse(ProblemId.VALUE_TYPE, "true or false is expected", hint)
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise refuse(ProblemId.VALUE_TYPE, "a whole number is expected")
    return value


def _between(low: int, high: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        whole = _whole(value)
        if not low <= whole <= high:
            raise refuse(ProblemId.VALUE_RANGE, f"it must be from {low} to {high}")
        return whole

    return read


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise refuse(ProblemId.VALUE_TYPE, "a list is expected", "write it in square brackets")
    if not value:
        raise refuse(ProblemId.VALUE_RANGE, "the list is empty", "leave the key out for its default")
    if len(value) > MAX_ITEMS:
        raise refuse(ProblemId.VALUE_RANGE, f"at most {MAX_ITEMS} items are read")
    return value


def _remind(value: Any) -> timedelta | None:
    return None if value == "never" else _duration(value)


def _mail(value: Any) -> str:
    """Return the address as written, with its display name."""
    _address(value)
    return str(value)


def _address(value: Any) -> MailAddress:
    try:
        return parse_address(text_of(value))
    except AddressError as error:
        raise refuse(ProblemId.MAIL_ADDRESS, str(error), error.hint) from error


def _plain_address(value: Any) -> MailAddress:
    address = _address(value)
    if not address.is_plain:
        said = "the part before the @ holds letters beyond ASCII, which most mail servers refuse"
        raise refuse(ProblemId.MAIL_ADDRESS, said, "name an address of plain letters")
    return address


def _mail_or_none(value: Any) -> str:
    """Return the address without a display name, as Stripe takes it."""
    return "" if value == "" else _plain_address(value).spec


def _secrets(value: Any) -> list[str]:
    return [text_of(item) for item in (_list(value) if isinstance(value, list) else [value])]


def _sender(value: Any) -> str:
    _plain_address(value)
    return str(value)


def _id(value: Any) -> str:
    text = text_of(value)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", text, re.ASCII):
        raise refuse(ProblemId.ID_INVALID, "an id is letters, digits, '-', '_' and '.', at most 64 of them")
    return text


def named(options: Mapping[str, Any]) -> BeforeValidator:
    """Accept one of the names, and return its value."""

    def read(value: Any) -> Any:
        if isinstance(value, str) and value in options:
            return options[value]
        hint = suggestion(value, options) if isinstance(value, str) else ""
        said = f", not {word}" if (word := quoted(value)) else ""
        raise refuse(ProblemId.VALUE_INVALID, f"it must be {listing(options)}{said}", hint)

    return BeforeValidator(read)


def words(kind: type[StrEnum]) -> BeforeValidator:
    """Accept one of the enumeration's values, and return its member."""
    return named({member.value: member for member in kind})


def _duration_or_none(value: Any) -> timedelta | None:
    return None if value == "" else _duration(value)


def _networks(value: Any) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(_network(text_of(item)) for item in _list(value)) if value != [] else ()


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(text)
    except ValueError as error:
        hint = 'such as "10.1.0.0/16" or "127.0.0.1/32"'
        raise refuse(
            ProblemId.VALUE_INVALID, "a network is expected, by its first address and its size", hint
        ) from error
    if network.is_link_local or not (network.is_private or network.is_loopback) or not network.prefixlen:
        said = "it is neither a private network nor this machine: public addresses need no leave, others never get it"
        raise refuse(ProblemId.VALUE_INVALID, said)
    return network


Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], PlainValidator(_networks)]
"""Private networks, or this machine, as CIDR; there may be none."""
Money = Annotated[int, BeforeValidator(_micro)]
"""Dollars as written, kept as micro-dollars."""
Charge = Annotated[int, BeforeValidator(_charge)]
"""Dollars in whole cents, kept as micro-dollars."""
Volume = Annotated[int, BeforeValidator(_micro)]
"""Gigabytes as written, kept as micro-gigabytes."""
Positive = Annotated[Decimal, BeforeValidator(_positive)]
Duration = Annotated[timedelta, BeforeValidator(_duration)]
OptionalDuration = Annotated[timedelta | None, BeforeValidator(_duration_or_none)]
Reminder = Annotated[timedelta | None, BeforeValidator(_remind)]
"""A duration, or "never"."""
Cron = Annotated[str, BeforeValidator(_cron)]
PollText = Annotated[str, BeforeValidator(_poll)]
"""A cron expression, or "auto"."""
PollBound = Annotated[timedelta, BeforeValidator(_poll_bound)]
Text = Annotated[str, BeforeValidator(text_of)]
Secret = Annotated[str, BeforeValidator(text_of)]
"""A reference to a secret, or a literal: never repeated in a message."""
Body = Annotated[str, BeforeValidator(_body)]
Flag = Annotated[bool, BeforeValidator(_flag)]
Mail = Annotated[str, BeforeValidator(_mail)]
OptionalMail = Annotated[str, BeforeValidator(_mail_or_none)]
Secrets = Annotated[list[str], BeforeValidator(_secrets)]
"""One secret or a list of them, the first of which is current."""
Sender = Annotated[str, BeforeValidator(_sender)]
Id = Annotated[str, BeforeValidator(_id)]
Count = Annotated[int, BeforeValidator(_between(1, 1000))]
Port = Annotated[int, BeforeValidator(_between(1, 65_535))]
Texts = Annotated[list[Text], BeforeValidator(_list)]
Mails = Annotated[list[Mail], BeforeValidator(_list)]
Percents = Annotated[list[Positive], BeforeValidator(_list)]
