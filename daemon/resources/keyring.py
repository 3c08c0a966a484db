"""Secrets given by API, encrypted at rest: AES-256-GCM under the master keys of `[api]`.

A sealed secret is the text `sealed:KEY:BASE64` of the key's id and of nonce and ciphertext. It is bound to its place
(kind, id and field): what was sealed for one account opens for no other. The first key seals, each opens.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

from daemon.config.model import ApiConfig

SEALED = "sealed:"
_NONCE_BYTES = 12
_KEY_ID_CHARACTERS = 8


class SealError(Exception):
    """A sealed secret that does not open; the message says which key is missing, and no secret."""


class Keyring:
    """The master keys. Without one nothing is sealed, and nothing opens."""

    def __init__(self, keys: tuple[SecretStr, ...] = ()) -> None:
        self._keys: Mapping[str, AESGCM] = {
            hashlib.sha256(b"brimful master key:" + raw).hexdigest()[:_KEY_ID_CHARACTERS]: AESGCM(raw)
            for raw in (base64.b64decode(key.get_secret_value(), validate=True) for key in keys)
        }

    @classmethod
    def of(cls, api: ApiConfig | None) -> Keyring:
        """Return the keys that the configuration gives; one that is unset is left out."""
        return cls(tuple(key for key in (api.master_keys if api is not None else ()) if key.get_secret_value()))

    @property
    def can_seal(self) -> bool:
        return bool(self._keys)

    def seal(self, secret: str, place: str) -> str:
        """Return the secret sealed for its place by the first key, of which there must be one."""
        id, key = next(iter(self._keys.items()))
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + key.encrypt(nonce, secret.encode(), place.encode())
        return f"{SEALED}{id}:{base64.b64encode(sealed).decode()}"

    def open(self, sealed: str, place: str) -> str:
        """Return the secret. Raises SealError where no key fits, or it was sealed for another place."""
        id, _, text = sealed.removeprefix(SEALED).partition(":")
        key = self._keys.get(id)
        if key is None:
            has = f"[api] master_key has {', '.join(self._keys)}" if self._keys else "[api] has no master_key"
            raise SealError(f"it is sealed by the master key {id[:_KEY_ID_CHARACTERS]}, and {has}")
        try:
            raw = base64.b64decode(text, validate=True)
            return key.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], place.encode()).decode()
        except (InvalidTag, ValueError) as error:
            raise SealError("it was sealed for another place, or changed since") from error

    def is_current(self, sealed: str) -> bool:
        """Whether a secret is sealed by the first key."""
        return bool(self._keys) and sealed.startswith(f"{SEALED}{next(iter(self._keys))}:")


def is_sealed(value: object) -> bool:
    """Whether a value of a body is a sealed secret."""
    return isinstance(value, str) and value.startswith(SEALED)
