"""Signatures of Standard Webhooks 1.0.0: HMAC-SHA256 (`whsec_`, `v1,…`) and Ed25519 (`whsk_`, `v1a,…`).

Source: the specification, "Signature scheme"; pinned by the vectors that its reference libraries publish.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from standardwebhooks import Webhook

SYMMETRIC, ASYMMETRIC = "whsec_", "whsk_"
MIN_SECRET_BYTES, MAX_SECRET_BYTES = 24, 64
SEED_BYTES, KEY_PAIR_BYTES = 32, 64


class SecretError(ValueError):
    """A secret that cannot sign. The message says what is expected and never holds the secret."""


class _Key(Protocol):
    def sign(self, message_id: str, at: datetime, body: str) -> str: ...


class _SymmetricKey:
    def __init__(self, key: bytes) -> None:
        self._webhook = Webhook(key)

    def sign(self, message_id: str, at: datetime, body: str) -> str:
        return self._webhook.sign(message_id, at.astimezone(UTC), body)


class _AsymmetricKey:
    def __init__(self, key: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(key[:SEED_BYTES])

    def sign(self, message_id: str, at: datetime, body: str) -> str:
        signature = self._key.sign(f"{message_id}.{int(at.timestamp())}.{body}".encode())
        return "v1a," + base64.b64encode(signature).decode()


class Signer:
    """Signs with every secret, the current one first, so that receivers can change over in their own time.

    Raises SecretError for a secret that is not one.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        if not secrets:
            raise SecretError("a secret is needed")
        self._keys = [_read_key(secret) for secret in secrets]

    def headers(self, message_id: str, at: datetime, body: bytes) -> dict[str, str]:
        """Return the three headers of an attempt made at `at`, the wall's time: receivers compare it with theirs."""
        text = body.decode()
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": " ".join(key.sign(message_id, at, text) for key in self._keys),
        }


def _read_key(secret: str) -> _Key:
    if secret.startswith(ASYMMETRIC):
        key = _decode(secret.removeprefix(ASYMMETRIC))
        if len(key) not in (SEED_BYTES, KEY_PAIR_BYTES):
            raise SecretError(f"a whsk_ key is 32 bytes (or 64 with its public half) in base64, not {len(key)}")
        return _AsymmetricKey(key)
    if not secret.startswith(SYMMETRIC):
        raise SecretError("a secret begins with whsec_ (or whsk_ for an Ed25519 key)")
    key = _decode(secret.removeprefix(SYMMETRIC))
    if not MIN_SECRET_BYTES <= len(key) <= MAX_SECRET_BYTES:
        raise SecretError(
            f"a whsec_ secret is {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes in base64, not {len(key)}"
        )
    return _SymmetricKey(key)


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise SecretError("what follows the prefix is not base64") from error
