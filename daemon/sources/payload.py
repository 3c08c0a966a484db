"""Reading a JSON answer strictly: exact numbers, named faults, no guess. Every provider reads through this."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from alerts.model.instants import EPOCH, from_ms
from alerts.model.money import MAX_MICRO, to_micro
from alerts.model.readings import Known, Metrics, Reading, Reason, Unavailable
from daemon.limits import EXTRA_BYTES
from daemon.sources.refusals import one_line, refused, unfound

if TYPE_CHECKING:
    from daemon.net.http import HttpAnswer

Document = Mapping[str, Any]

TEXT_CHARACTERS = 500
"""A provider's own words (a name, an error) are cut here."""


class BadPayload(Exception):  # noqa: N818 – what the contract calls it
    """The answer is not what the provider promises; the message names the field and the fault, in one line."""

    reason = Reason.BAD_PAYLOAD


class NotThere(BadPayload):
    """A field that is needed is not where it should be: the answer may be about something else, an error."""


class RefusedAnswer(BadPayload):
    """The answer says itself that it is none."""

    reason = Reason.REFUSED


class WrongCurrency(BadPayload):
    """The answer is in another currency than the account."""

    reason = Reason.WRONG_CURRENCY


Reader = Callable[[object, str], Any]
"""Turns a value of the answer, and the name it has there, into a metric; raises BadPayload."""
Table = Mapping[str, tuple[str, Reader]]
"""Which metric each name of the answer is, and how it is read."""


def read(build: Callable[[bytes], Metrics], account: str, at: datetime, answer: HttpAnswer) -> Reading:
    """Turn one answer into a reading: `build` is called with the body of a 2xx answer and may raise BadPayload.

    An answer that says neither a balance nor a used volume is none that a rule could judge: it is a bad payload, too.
    """
    if not 200 <= answer.status < 300:
        return refused(account, at, answer)
    try:
        metrics = build(answer.body)
        if metrics.balance_microusd is None and metrics.used_microgb is None:
            raise NotThere("neither a balance nor a used volume is said")
        return Known(account, at, metrics)
    except BadPayload as fault:
        why = unfound(str(fault), answer.body) if isinstance(fault, NotThere) else one_line(str(fault))
        return Unavailable(account, at, fault.reason, why, status=answer.status)


def fill(table: Table, say: Callable[[str], object], needed: Collection[str], extra: str = "{}") -> Metrics:
    """Return the metrics of an answer. `say` returns the value under a name, or None, or raises BadPayload.

    Only what is `needed` makes the answer a bad payload: any other field that cannot be used is unknown, and noted as
    such, and the rest stands.
    """
    values: dict[str, Any] = {}
    unusable: dict[str, str] = {}
    for name, (metric, reader) in table.items():
        try:
            value = say(name)
            if value is not None:
                values[metric] = reader(value, name)
        except BadPayload as fault:
            if name in needed:
                raise
            unusable[metric] = one_line(str(fault))
    start, end = values.get("period_start_at"), values.get("period_end_at")
    if start is not None and end is not None and end <= start:
        values["period_start_at"] = values["period_end_at"] = None
        unusable["period_start_at"] = "the period ends before it starts"
    return Metrics(**values, extra=extra, unusable=tuple(unusable.items()))


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Which of two values is meant cannot be told: a parser that takes the last one would judge on a guess."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise BadPayload(f"{name[:TEXT_CHARACTERS]} stands in the answer twice")
        found[name] = value
    return found


def _whole(text: str) -> int | str:
    try:
        return int(text)
    except ValueError:  # more digits than Python converts
        return text


def _exact(text: str) -> Decimal | str:
    try:
        return Decimal(text)
    except ArithmeticError:  # an exponent beyond all bounds
        return text


# What is no number (NaN, Infinity, one beyond all bounds) is left as a text: a fault of its field, not of the answer.
_DECODER = json.JSONDecoder(object_pairs_hook=_each_once, parse_int=_whole, parse_float=_exact, parse_constant=str)


def decode(body: bytes) -> dict[str, Any]:
    """Return the JSON object in `body`, its fractions as exact decimals.

    Raises BadPayload for HTML, broken or too deeply nested JSON, a key that stands twice in one object, and anything
    but an object. NaN, Infinity and numbers that cannot be held are texts.
    """
    try:
        document = _DECODER.decode(body.decode("utf-8-sig"))
    except (ValueError, ArithmeticError) as error:
        raise BadPayload(_why_not_json(body)) from error
    except RecursionError as error:
        raise BadPayload("the answer is nested too deeply") from error
    if type(document) is not dict:
        raise BadPayload(f"the answer is {_kind(document)}, not an object")
    return document


def _why_not_json(body: bytes) -> str:
    start = body[:64].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not start:
        return "the answer is empty"
    return "the answer is an HTML page, not JSON" if start.startswith(b"<") else "the answer is not JSON"


_NUMBER = re.compile(r"\s*[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?\s*", re.ASCII)
_NUMBER_CHARACTERS = 64
_NO_NUMBERS = ("NaN", "Infinity", "-Infinity")


def to_millionths(value: object, name: str, *, negative: bool = False) -> int:
    """Return a JSON number or numeric string in millionths; raises BadPayload for anything else, or below zero."""
    if type(value) is str:
        if _NUMBER.fullmatch(value) is None:
            raise BadPayload(f"{name} is {value if value in _NO_NUMBERS else 'a text'}, not a number")
        value = value if len(value) <= _NUMBER_CHARACTERS else "Infinity"
    elif type(value) not in (int, Decimal, float):
        raise BadPayload(f"{name} is {_kind(value)}, not a number")
    try:
        number = to_micro(value)  # type: ignore[arg-type]  # one of the four types, tested above
    except (ValueError, ArithmeticError) as error:
        raise BadPayload(f"{name} is out of range") from error
    if number < 0 and not negative:
        raise BadPayload(f"{name} is negative")
    return number


def to_signed(value: object, name: str) -> int:
    """Like `to_millionths`, where what is below zero is a number as well."""
    return to_millionths(value, name, negative=True)


def to_limit(value: object, name: str) -> int:
    """Like `to_millionths`, above zero: a limit of nothing is none that usage can be held against."""
    number = to_millionths(value, name)
    if number == 0:
        raise BadPayload(f"{name} is zero")
    return number


def to_count(value: object, name: str, *, negative: bool = False) -> int:
    """Return a JSON number or numeric string that is whole; raises BadPayload for anything else."""
    if type(value) is str and len(value) <= _NUMBER_CHARACTERS and _NUMBER.fullmatch(value) is not None:
        try:
            value = Decimal(value.strip())
        except ArithmeticError as error:
            raise BadPayload(f"{name} is out of range") from error
    if type(value) not in (int, Decimal, float):
        raise BadPayload(f"{name} is {_kind(value)}, not a number")
    number = Decimal(str(value))
    if not number.is_finite() or abs(number) > MAX_MICRO:
        raise BadPayload(f"{name} is out of range")
    whole = int(number)
    if whole != number:
        raise BadPayload(f"{name} is not a whole number")
    if whole < 0 and not negative:
        raise BadPayload(f"{name} is negative")
    return whole


def to_signed_count(value: object, name: str) -> int:
    """Like `to_count`, where what is below zero is a number as well."""
    return to_count(value, name, negative=True)


def to_text(value: object, name: str, *, numbers: bool = False) -> str | None:
    """Return a JSON string in one line (a number too, where `numbers`); None where it is empty."""
    if numbers and type(value) in (int, Decimal):
        value = str(value)
    if type(value) is not str:
        raise BadPayload(f"{name} is {_kind(value)}, not a text")
    return one_line(value, TEXT_CHARACTERS) or None


def to_word(value: object, name: str) -> str | None:
    """Like `to_text`, where a number is a word too."""
    return to_text(value, name, numbers=True)


def to_complaint(value: object, name: str) -> str | None:
    """Return an error in the provider's words, whatever its shape; None where it says that there is none."""
    if not value:
        return None
    try:
        words = value if type(value) is str else canonical(value)
    except RecursionError as error:
        raise BadPayload(f"{name} is nested too deeply") from error
    return one_line(words, TEXT_CHARACTERS) or None


_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)
_MILLISECONDS_FROM = 100_000_000_000
"""An epoch number above this (the year 5138 in seconds) counts milliseconds."""


def to_instant(value: object, name: str) -> datetime:
    """Return ISO 8601 text (without an offset: UTC) or a Unix epoch number as an aware UTC instant."""
    try:
        if type(value) is str and _NUMBER.fullmatch(value) is None:
            moment = datetime.fromisoformat(value.strip())
            moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        else:
            moment = from_ms(_epoch_ms(value, name))
    except (ValueError, OverflowError, ArithmeticError) as error:
        raise BadPayload(f"{name} is neither an ISO date nor a Unix time") from error
    if not _EARLIEST <= moment <= _LATEST:
        raise BadPayload(f"{name} is {moment.year}, which cannot be")
    return EPOCH + (moment - EPOCH)


def _epoch_ms(value: object, name: str) -> int:
    if type(value) not in (int, Decimal, float, str):
        raise BadPayload(f"{name} is {_kind(value)}, not a date")
    number = Decimal(str(value).strip()[:_NUMBER_CHARACTERS])
    if not number.is_finite() or abs(number) >= _MILLISECONDS_FROM * 1000:
        raise ValueError(name)
    return int(number * 1000 if abs(number) < _MILLISECONDS_FROM else number)


def extra(document: Document, known: frozenset[str]) -> str:
    """Return the fields that are not `known` as canonical JSON text: sorted, ASCII, numbers as they were written.

    Fields that do not fit into `EXTRA_BYTES` are left out, the last in the alphabet first.
    """
    unknown = document.keys() - known
    if not unknown:
        return "{}"
    parts: list[str] = []
    size = 2
    for name in sorted(unknown):
        try:
            part = f"{json.dumps(name)}:{canonical(document[name])}"
        except RecursionError:
            continue
        size += len(part) + 1
        if size > EXTRA_BYTES:
            break
        parts.append(part)
    return "{" + ",".join(parts) + "}"


def canonical(value: Any) -> str:
    """Return a decoded JSON value as canonical text: keys sorted, no spaces, ASCII, exact numbers."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{canonical(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    return str(value) if isinstance(value, Decimal) else json.dumps(value)


def _kind(value: object) -> str:
    for types, words in (
        (bool, "true or false"),
        (str, "a text"),
        (list, "a list"),
        (dict, "an object"),
        ((int, float, Decimal), "a number"),
    ):
        if isinstance(value, types):
            return words
    return "null"
