"""A receiver's signing secrets: a new one, and the change from one to the next with a time in which both sign."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import SecretStr

from alerts.channels.signing import SYMMETRIC
from alerts.model.receivers import RetiringSecret, WebhookReceiver

NEW_SECRET_BYTES = 32
MAX_OVERLAP = timedelta(days=7)
"""Longest time in which a replaced secret still signs."""
MAX_RETIRING = 3
"""Most replaced secrets that sign beside the current one: each is a signature in every header."""


@dataclass(frozen=True, slots=True)
class SigningSecrets:
    """A receiver's secrets: the current one first, and those that were replaced and still sign."""

    current: tuple[SecretStr, ...]
    retiring: tuple[RetiringSecret, ...] = ()


def new_secret(drawn: bytes) -> SecretStr:
    """Return the `whsec_` secret of `NEW_SECRET_BYTES` that the caller drew by chance (`secrets.token_bytes`).

    Raises ValueError for another number of bytes.
    """
    if len(drawn) != NEW_SECRET_BYTES:
        raise ValueError(f"a new secret is {NEW_SECRET_BYTES} bytes")
    return SecretStr(SYMMETRIC + base64.b64encode(drawn).decode())


def rotate(secrets: SigningSecrets, new: SecretStr, now: datetime, overlap: timedelta) -> SigningSecrets:
    """Return the secrets with `new` as the current one; those before sign too until `overlap` is over.

    A secret that is retiring already keeps its end, and at most `MAX_RETIRING` are kept, those that end last. Without
    an overlap none of them signs any more: so a secret that leaked ends at once. Raises ValueError for an overlap below
    zero or over `MAX_OVERLAP`.
    """
    if not timedelta(0) <= overlap <= MAX_OVERLAP:
        raise ValueError(f"an overlap is 0 to {MAX_OVERLAP.days} days")
    if not overlap:
        return SigningSecrets((new,))
    replaced = [RetiringSecret(secret, now + overlap) for secret in secrets.current]
    kept = [one for one in (*replaced, *secrets.retiring) if one.until > now]
    kept.sort(key=lambda one: one.until, reverse=True)
    return SigningSecrets((new,), tuple(kept[:MAX_RETIRING]))


def signing_secrets(receiver: WebhookReceiver, now: datetime) -> tuple[SecretStr, ...]:
    """Return the secrets that sign at `now`, the current one first."""
    return (*receiver.secrets, *(one.secret for one in receiver.retiring if now < one.until))
