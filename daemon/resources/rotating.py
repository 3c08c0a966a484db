"""A subscription's signing secret: drawn, and drawn anew while the one before signs as well for a while."""

from __future__ import annotations

from datetime import datetime, timedelta

from alerts.model.instants import rfc3339
from daemon.resources.bodies import CHANGED
from daemon.resources.drafting import Draft, new_signing_secret
from daemon.resources.held import body_of
from daemon.resources.keyring import Keyring
from daemon.resources.model import Change, Kind, RequestRefused
from daemon.resources.secrets import MASTER_KEY_MISSING
from daemon.store.resources import Row

LONGEST_OVERLAP = timedelta(days=30)


def rotated(row: Row | None, id: str, keyring: Keyring, overlap: timedelta, now: datetime) -> Draft:
    """Return the draft that gives a subscription a new secret."""
    if row is None:
        said = "it is managed by the file: rotate its secret there"
        raise RequestRefused(409, "managed-by-file", said)
    if not timedelta() <= overlap <= LONGEST_OVERLAP:
        raise RequestRefused(422, "invalid", f"an overlap is at most {LONGEST_OVERLAP.days} days")
    if not keyring.can_seal:
        raise RequestRefused(422, MASTER_KEY_MISSING, "without [api] master_key no signing secret is kept")
    body, secret = body_of(row), new_signing_secret()
    kept = body.get("secret", [])[:1] if overlap else []
    body["secret"] = [keyring.seal(secret, f"{Kind.SUBSCRIPTION}/{id}.secret"), *kept]
    body.pop("overlap_until", None)
    if kept:
        body["overlap_until"] = rfc3339(now + overlap)
    change = Change(kind=Kind.SUBSCRIPTION, id=id, body={})
    return Draft(
        change=change,
        kind=Kind.SUBSCRIPTION,
        id=id,
        owner=row.owner,
        before=row,
        body=body,
        changes={"secret": (CHANGED, CHANGED)},
        secret=secret,
    )
