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

from alerts.channels.secrets import MAX_RETIRING, NEW_SECRET_BYTES, SigningSecrets, new_secret, rotate, signing_secrets
from alerts.channels.signing import Signer
from alerts.model.receivers import RetiringSecret
from daemon.demo.standins.receiver import Received, ReceiverStandin
from tests.delivery.conftest import START, WorldOf, webhook

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


def test_a_rotation_lets_the_old_secret_sign_until_the_overlap_ends() -> None:
    after = rotate(SigningSecrets((A,)), B, START, HOUR)
    assert after == SigningSecrets((B,), (RetiringSecret(A, START + HOUR),))
    again = rotate(after, drawn(), START + HOUR / 2, HOUR)
    assert [one.until for one in again.retiring] == [START + HOUR * 1.5, START + HOUR]
    late = rotate(after, drawn(), START + HOUR, HOUR)
    assert [one.secret for one in late.retiring] == [B], "what has ended is dropped"


def test_without_an_overlap_no_older_secret_signs_any_more() -> None:
    after = rotate(SigningSecrets((A,)), B, START, HOUR)
    fresh = drawn()
    assert rotate(after, fresh, START, timedelta(0)) == SigningSecrets((fresh,))


def test_however_often_it_is_rotated_a_header_holds_few_signatures() -> None:
    secrets = SigningSecrets((A,))
    for minute in range(10):
        secrets = rotate(secrets, drawn(), START + timedelta(minutes=minute), HOUR)
    assert len(secrets.retiring) == MAX_RETIRING
    assert secrets.retiring[0].until == START + timedelta(minutes=9) + HOUR


@pytest.mark.parametrize("overlap", [timedelta(seconds=-1), timedelta(days=7, seconds=1)])
def test_an_overlap_is_bounded(overlap: timedelta) -> None:
    with pytest.raises(ValueError, match="0 to 7 days"):
        rotate(SigningSecrets((A,)), B, START, overlap)


async def test_both_sign_while_they_overlap_and_the_end_needs_no_reload(
    world_of: WorldOf, receiver: ReceiverStandin
) -> None:
    end = datetime.now(UTC) + timedelta(seconds=1)
    secrets = rotate(SigningSecrets((A,)), B, end - HOUR, HOUR)
    hook = webhook(receiver, secrets=secrets.current, retiring=secrets.retiring)
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
