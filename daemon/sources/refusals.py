"""Answers that are no reading: what each status means, when to ask again, and one safe line about it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from alerts.model.readings import Reason, Unavailable
from daemon.sources.waits import rate_reset, retry_after

if TYPE_CHECKING:
    from daemon.net.http import HttpAnswer

DETAIL_CHARACTERS = 160
FAULT_CHARACTERS = 70
"""As much of them is for the fault, where the provider's words follow."""
RETRY_AFTER_DEFAULT_S = 60.0
"""After a 429 that does not say until when: both providers count by the minute."""

_STATUS = {
    401: Reason.UNAUTHORIZED,
    402: Reason.PAYMENT_REQUIRED,
    403: Reason.FORBIDDEN,
    408: Reason.TIMEOUT,
    429: Reason.RATE_LIMITED,
}


def refused(account: str, at: datetime, answer: HttpAnswer) -> Unavailable:
    """Return what an answer other than 2xx means."""
    status = answer.status
    reason = _STATUS.get(status)
    if reason is None:
        if 300 <= status < 400:
            reason = Reason.REDIRECTED
        elif 400 <= status < 500:
            reason = Reason.NOT_FOUND
        else:
            reason = Reason.SERVER_ERROR if status >= 500 else Reason.BAD_PAYLOAD
    retry_at = None
    if reason is Reason.RATE_LIMITED:
        retry_at = retry_after(answer.headers, at) or rate_reset(answer.headers, at)
        retry_at = retry_at or at + timedelta(seconds=RETRY_AFTER_DEFAULT_S)
    elif reason is Reason.SERVER_ERROR:
        retry_at = retry_after(answer.headers, at)
    return Unavailable(account, at, reason, one_line(_detail(answer)), retry_at, status)


def _detail(answer: HttpAnswer) -> str:
    words = _location(answer) if 300 <= answer.status < 400 else said(answer.body)
    return f"{answer.status}: {words}" if words else f"status {answer.status}"


def _location(answer: HttpAnswer) -> str:
    """Where a redirect points, without path and query: enough to recognise it, and nothing secret."""
    try:
        target = urlsplit(answer.headers.get("location", ""))
        return f"redirects to {target.scheme}://{target.hostname}" if target.hostname else "redirects"
    except ValueError:
        return "redirects"


def said(body: bytes) -> str:
    """The provider's own words, wherever errors are put (a text, an object, a list), else what kind of page it is."""
    start = body[:64].lstrip().lower()
    if start.startswith(b"<"):
        return "an HTML page"
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(document, dict):
        return ""
    error = _first_words(document, _ERROR_IN)
    used, limit = document.get("used_gb"), document.get("limit_gb")
    if error and isinstance(used, str | int | float) and isinstance(limit, str | int | float):
        return f"{error[:80]} ({str(used)[:20]} of {str(limit)[:20]} GB)"
    return error


_ERROR_IN = ("error", "message", "detail", "errors", "error_description", "error_message", "msg", "reason")
_MESSAGE_IN = ("message", "detail", "error", "errors", "description", "msg", "reason", "code", "type")
_DEEPEST = 4


def _first_words(document: Mapping[str, object], names: Iterable[str], deep: int = 0) -> str:
    return next((words for name in names if (words := _words(document.get(name), deep))), "")


def _words(value: object, deep: int) -> str:
    """The first text in an error: itself, the message of an object, or what an object or a list says of one thing."""
    if isinstance(value, str):
        return value.strip()
    if deep >= _DEEPEST:
        return ""
    if isinstance(value, list):
        return next((words for one in value[:_DEEPEST] if (words := _words(one, deep + 1))), "")
    if not isinstance(value, dict):
        return ""
    if words := _first_words(value, _MESSAGE_IN, deep + 1):
        return words
    return next((f"{name}: {words}" for name, one in value.items() if (words := _words(one, deep + 1))), "")


def unfound(fault: str, body: bytes) -> str:
    """Return why the fields of a 2xx answer are not there, with the provider's own words where it has any."""
    words = said(body)
    return one_line(f"{one_line(fault, FAULT_CHARACTERS)}; the API says: {words}" if words else fault)


_KEY_LIKE = re.compile(r"\b(?:[a-z]{2,8}_(?:live|test)_|whsec_|whsk_|Bearer\s+)[A-Za-z0-9_+/=.-]{4,}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]+")


def one_line(words: str, limit: int = DETAIL_CHARACTERS, secret: str = "") -> str:
    """Return `words` as one clean line of at most `limit` characters, `secret` and all that looks like a key masked."""
    if secret and secret in words:
        words = words.replace(secret, "…")
    if secret and words.endswith("…"):  # cut before: a piece of the secret may stand at the cut
        pieces = (f"{secret[:length]}…" for length in range(len(secret) - 1, 3, -1))
        piece = next(filter(words.endswith, pieces), "…")
        words = words.removesuffix(piece) + "…"
    clean = " ".join(_CONTROL.sub(" ", _KEY_LIKE.sub("…", words[: limit * 8])).split())
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"
