"""A receiver's signing secrets: a new one, and those that sign at an instant, replaced ones until their end."""

from __future__ import annotations

import base64
from datetime import datetime

from pydantic import SecretStr

from alerts.channels.signing import SYMMETRIC
from alerts.model.receivers import WebhookReceiver

NEW_SECRET_BYTES = 32


def new_secret(drawn: bytes) -> SecretStr:
    """Return the `whsec_` secret of `NEW_SECRET_BYTES` that the caller drew by chance (`secrets.token_bytes`).

    Raises ValueError for another number of bytes.
    """
    if len(drawn) != NEW_SECRET_BYTES:
        raise ValueError(f"a new secret is {NEW_SECRET_BYTES} bytes")
    return SecretStr(SYMMETRIC + base64.b64encode(drawn).decode())


def signing_secrets(receiver: WebhookReceiver, now: datetime) -> tuple[SecretStr, ...]:
    """Return the secrets that sign at `now`, the current one first."""
    return (*receiver.secrets, *(one.secret for one in receiver.retiring if now < one.until))
