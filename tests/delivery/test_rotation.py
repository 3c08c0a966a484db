"""Signing secrets: a new one, and the change to it with a time in which both sign; two other libraries verify."""

from __future__ import annotations

import asyncio
import base64
from datetime import UTC, datetime, timedelta
from secrets import token_bytes

import pytest
from pydantic import SecretStr
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from svix.webhooks import Webhook as SvixWebhook
from svix.webhooks import WebhookVerificationError as SvixVerificationError

from alerts.channels.secrets import NEW_SECRET_BYTES, new_secret, signing_secrets
from alerts.channels.signing import Signer
from alerts.model.receivers import RetiringSecret
from daemon.demo.standins.receiver import Received, ReceiverStandin
from tests.delivery.conftest import WorldOf, webhook

HOUR = timedelta(hours=1)


def drawn() -> SecretStr:
    return new_secret(token_bytes(NEW_SECRET_BYTES))


A, B = drawn(), drawn()


def fits(secret: SecretStr, one: Received) -> bool:
    """Whether both libraries verify the request with this secret."""
    headers, value = dict(one.headers), secret.get_secret_value()
    found = []
    for library, error in ((Webhook, WebhookVerificationError), (SvixWebhook, SvixVerificationError)):
        try:
            library(value).verify(one.body, headers)
            found.append(True)
        except error:
            found.append(False)
    assert len(set(found)) == 1, "the two disagree"
    return found[0]


def test_a_new_secret_is_whsec_and_32_bytes() -> None:
    secret = new_secret(b"x" * NEW_SECRET_BYTES).get_secret_value()
    assert secret == "whsec_" + base64.b64encode(b"x" * 32).decode()
    Signer([secret])
    with pytest.raises(ValueError, match="32 bytes"):
        new_secret(b"short")


async def test_both_sign_while_they_overlap_and_the_end_needs_no_reload(
    world_of: WorldOf, receiver: ReceiverStandin
) -> None:
    end = datetime.now(UTC) + timedelta(seconds=1)
    hook = webhook(receiver, secrets=(B,), retiring=(RetiringSecret(A, end),))
    assert [len(signing_secrets(hook, at)) for at in (end - HOUR, end)] == [2, 1]
    world = world_of(hook)
    world.tell()
    await world.deliver()
    await asyncio.sleep(max((end - datetime.now(UTC)).total_seconds(), 0) + 0.01)
    world.tell()
    await world.deliver()
    during, after = receiver.received
    assert (fits(A, during), fits(B, during)) == (True, True)
    assert (fits(A, after), fits(B, after)) == (False, True)
