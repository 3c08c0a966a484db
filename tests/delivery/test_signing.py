"""Signatures, pinned by the vectors that the specification's reference libraries publish, and verified by others."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError
from svix.webhooks import Webhook as SvixWebhook

from alerts.channels.signing import SecretError, Signer
from daemon.demo.standins.receiver import TEST_SECRET

VECTOR_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
VECTOR_AT = datetime.fromtimestamp(1614265330, UTC)
VECTOR_BODY = b'{"test": 2432232314}'
BODY = b'{"type":"balance.low","timestamp":"2026-11-01T08:00:00Z","data":{"account":"caf\xc3\xa9"}}'
OTHER_SECRET = "whsec_" + base64.b64encode(b"another secret of enough bytes..").decode()
SEED = b"0123456789abcdef0123456789abcdef"
KEY = "whsk_" + base64.b64encode(SEED).decode()


@pytest.mark.parametrize(
    ("secret", "signature"),
    [
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        (
            "whsk_VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk=",
            "v1a,tQ9V2XOqn7jL/DQenEFpqIugdBVtiMmER5mhSkXBNwM0mkATuDe6KYYUuxqtaiHeYGb7KaaBRdM5WqyeFiL8Ag==",
        ),
    ],
)
def test_the_specifications_published_vectors(secret: str, signature: str) -> None:
    headers = Signer([secret]).headers(VECTOR_ID, VECTOR_AT, VECTOR_BODY)
    assert headers == {
        "webhook-id": VECTOR_ID,
        "webhook-timestamp": "1614265330",
        "webhook-signature": signature,
    }


def _verify_by_standardwebhooks(secret: str, headers: dict[str, str], body: bytes) -> Any:
    return Webhook(secret).verify(body, headers)


def _verify_by_svix(secret: str, headers: dict[str, str], body: bytes) -> Any:
    SvixWebhook(secret).verify(body, headers)
    return json.loads(body)


@pytest.mark.parametrize("verify", [_verify_by_standardwebhooks, _verify_by_svix])
def test_two_independent_libraries_verify_and_refuse_what_was_changed(verify: Any) -> None:
    headers = Signer([TEST_SECRET]).headers("evt_1", datetime.now(UTC), BODY)
    assert verify(TEST_SECRET, headers, BODY)["type"] == "balance.low"
    with pytest.raises(Exception, match=r"(?i)signature"):
        verify(TEST_SECRET, headers, BODY.replace(b"low", b"top"))
    with pytest.raises(Exception, match=r"(?i)signature"):
        verify(OTHER_SECRET, headers, BODY)


def test_while_a_secret_is_rotated_both_the_old_and_the_new_one_verify() -> None:
    headers = Signer([OTHER_SECRET, TEST_SECRET]).headers("evt_1", datetime.now(UTC), BODY)
    assert headers["webhook-signature"].count("v1,") == 2
    for secret in (OTHER_SECRET, TEST_SECRET):
        assert _verify_by_standardwebhooks(secret, headers, BODY)
    at_once = Signer([OTHER_SECRET, TEST_SECRET]).headers("evt_1", VECTOR_AT, BODY)["webhook-signature"].split()
    alone = Signer([OTHER_SECRET]).headers("evt_1", VECTOR_AT, BODY)["webhook-signature"]
    assert at_once[0] == alone, "the current secret comes first"


def test_an_ed25519_key_signs_for_receivers_that_hold_only_the_public_half() -> None:
    private = Ed25519PrivateKey.from_private_bytes(SEED)
    public_bytes = private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    pair = "whsk_" + base64.b64encode(SEED + public_bytes).decode()
    headers = Signer([KEY]).headers("evt_1", VECTOR_AT, BODY)
    assert headers == Signer([pair]).headers("evt_1", VECTOR_AT, BODY)
    signature = base64.b64decode(headers["webhook-signature"].removeprefix("v1a,"))
    Ed25519PublicKey.from_public_bytes(public_bytes).verify(signature, b"evt_1.1614265330." + BODY)


def test_a_secret_beside_a_key_signs_both_ways() -> None:
    headers = Signer([TEST_SECRET, KEY]).headers("evt_1", datetime.now(UTC), BODY)
    assert [one.partition(",")[0] for one in headers["webhook-signature"].split()] == ["v1", "v1a"]
    assert _verify_by_standardwebhooks(TEST_SECRET, headers, BODY)


def test_a_timestamp_that_is_old_is_refused() -> None:
    headers = Signer([TEST_SECRET]).headers("evt_1", VECTOR_AT, BODY)
    with pytest.raises(WebhookVerificationError, match="too old"):
        _verify_by_standardwebhooks(TEST_SECRET, headers, BODY)


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "secret",
        "whsec_",
        "whsec_not base64!",
        "whsec_" + base64.b64encode(b"x" * 23).decode(),
        "whsec_" + base64.b64encode(b"x" * 65).decode(),
        "whsk_" + base64.b64encode(b"x" * 31).decode(),
        "whpk_" + base64.b64encode(b"x" * 32).decode(),
    ],
)
def test_a_secret_that_cannot_sign_is_refused_without_telling_it(secret: str) -> None:
    with pytest.raises(SecretError) as refused:
        Signer([secret])
    problem = str(refused.value)
    assert problem
    assert secret == "" or len(secret) < 10 or secret not in problem


@pytest.mark.parametrize("length", [24, 32, 64])
def test_secrets_of_24_to_64_bytes_sign(length: int) -> None:
    Signer(["whsec_" + base64.b64encode(b"x" * length).decode()])
