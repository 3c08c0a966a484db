"""What is checked and written in the transaction of a change: rows, keys, audit, events. All of it, or none."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime

from daemon.config.model import AccountConfig, TopupMode
from daemon.resources.ceiling import limits_changed_draft
from daemon.resources.compiling import Compiled
from daemon.resources.drafting import Draft
from daemon.resources.held import Held
from daemon.resources.keyring import Keyring, SealError, is_sealed
from daemon.resources.model import Actor, Kind, RequestRefused
from daemon.resources.records import record
from daemon.store import resources
from daemon.store.connection import Connection, Transaction
from daemon.store.ledger_reads import open_topups
from daemon.store.outbox import Outbox
from daemon.store.resources import Row
from daemon.store.topup_rows import ENDS_UNSENT, Topup

SUBSCRIPTIONS_AN_OWNER = 20
_DIGEST_KEY = "provider_key"
"""Of the table `meta`: what keys the digests of providers' keys."""
_DIGEST_PLACE = "meta/provider_key"


class MovedOn(Exception):  # noqa: N818 – it is what happened to the row
    """Somebody else changed the object since it was read: draft the change anew."""


def unchanged(tx: Transaction, drafts: Sequence[Draft]) -> None:
    """Raise MovedOn where an object is not as the draft found it. Its account is locked, so that nothing is planned."""
    for id in sorted({draft.id for draft in drafts if draft.was_there and draft.kind in (Kind.ACCOUNT, Kind.TOPUP)}):
        tx.lock(id)
    for draft in drafts:
        if resources.find(tx, draft.kind.value, draft.id) != draft.before:
            raise MovedOn(draft.id)


class Checks:
    """What a change must hold to beside the bodies themselves, judged on the database as it is in the transaction."""

    def __init__(self, held: Held, keyring: Keyring) -> None:
        self._held = held
        self._keyring = keyring
        self._of_file: dict[str, str] | None = None
        """The digests of the keys of the file's accounts."""

    def check(self, conn: Connection, drafts: Sequence[Draft], made: Compiled) -> dict[str, str | None]:
        """Raise 409 or 422 for what the ledger, other accounts or an owner's number forbid; return digests of keys."""
        for draft in drafts:
            self._check_open(conn, draft, made)
        self._check_number(conn, drafts)
        return self._digests(conn, drafts, made)

    def _check_open(self, conn: Connection, draft: Draft, made: Compiled) -> None:
        """An open top-up keeps its account, its customer and what ends it."""
        if draft.kind not in (Kind.ACCOUNT, Kind.TOPUP) or not draft.was_there:
            return
        before, after = self._held.config.accounts.get(draft.id), made.accounts.get(draft.id)
        topup = after.topup if after is not None else None
        for opened in open_topups(conn, draft.id):
            if draft.body is None:
                raise _open(opened, "the account keeps its top-up until that has ended")
            if before is not None and after is not None and not after.is_asked_as(before):
                raise _open(opened, "its provider, its key and what is asked stay until that has ended")
            if draft.kind is Kind.ACCOUNT or topup is None:
                continue
            if topup.customer != opened.customer:
                raise _open(opened, f"its customer stays {opened.customer} until that has ended")
            if topup.mode is TopupMode.SHADOW and opened.state not in ENDS_UNSENT:
                raise _open(opened, 'mode "shadow" would send nothing that ends it: say "off"')

    def _check_number(self, conn: Connection, drafts: Sequence[Draft]) -> None:
        new: dict[str, int] = {}
        for draft in drafts:
            if draft.kind is Kind.SUBSCRIPTION and draft.action == "create":
                new[draft.owner] = new.get(draft.owner, 0) + 1
        for owner, number in new.items():
            has = resources.count(conn, Kind.SUBSCRIPTION.value, owner)
            if owner and has + number > SUBSCRIPTIONS_AN_OWNER:
                said = f"an owner has at most {SUBSCRIPTIONS_AN_OWNER} subscriptions, this one {has}"
                raise RequestRefused(422, "too-many-subscriptions", said)

    def _digests(self, conn: Connection, drafts: Sequence[Draft], made: Compiled) -> dict[str, str | None]:
        found: dict[str, str | None] = {}
        taken: dict[str, str] = {}
        for draft in drafts:
            if draft.kind is not Kind.ACCOUNT:
                continue
            account = made.accounts.get(draft.id)
            identity = identity_of(account) if account is not None and draft.body is not None else None
            digest = found[draft.id] = None if identity is None else self._digest(conn, identity)
            if digest is None:
                continue
            other = taken.setdefault(digest, draft.id)
            other = (resources.account_with_key(conn, digest) or draft.id) if other == draft.id else other
            if other == draft.id and self._file_digests(conn).get(digest, draft.id) != draft.id:
                other = self._file_digests(conn)[digest]
            if other != draft.id:
                raise RequestRefused(409, "provider-key-taken", f"{draft.id}: another account has this provider's key")
        return found

    def _file_digests(self, conn: Connection) -> Mapping[str, str]:
        if self._of_file is None:
            accounts = self._held.file.accounts.values()
            said = {account.id: identity_of(account) for account in accounts}
            self._of_file = {self._digest(conn, text): id for id, text in said.items() if text is not None}
        return self._of_file

    def _digest(self, conn: Connection, text: str) -> str:
        key = resources.meta(conn, _DIGEST_KEY)
        if is_sealed(key):
            try:
                key = self._keyring.open(key, _DIGEST_PLACE)
            except SealError as error:
                said = f"keys cannot be compared with those of other accounts: {error}"
                raise RequestRefused(503, "master-key-missing", said) from error
        return hmac.digest(key.encode(), text.encode(), hashlib.sha256).hex()


def set_digest_key(tx: Transaction, keyring: Keyring) -> None:
    """Draw what keys the digests of providers' keys, once; seal it as soon as there is a master key."""
    key = resources.meta(tx, _DIGEST_KEY)
    if key and (is_sealed(key) or not keyring.can_seal):
        return
    key = key or secrets.token_hex(32)
    resources.set_meta(tx, _DIGEST_KEY, keyring.seal(key, _DIGEST_PLACE) if keyring.can_seal else key)


def reseal_digest_key(tx: Transaction, keyring: Keyring) -> None:
    """Seal it by the first key."""
    key = resources.meta(tx, _DIGEST_KEY)
    if is_sealed(key) and not keyring.is_current(key):
        resources.set_meta(tx, _DIGEST_KEY, keyring.seal(keyring.open(key, _DIGEST_PLACE), _DIGEST_PLACE))


def identity_of(account: AccountConfig) -> str | None:
    """Return what makes two accounts one: the provider and all that is sent to it. None where nothing is secret."""
    key, mapping = account.api_key.get_secret_value(), account.json
    if mapping is None:
        return f"{account.provider.name}\n{key}" if key else None
    url = mapping.url.get_secret_value() if mapping.url is not None else account.url
    body = mapping.body.get_secret_value() if mapping.body is not None else ""
    sent = [f"{name.lower()}={mapping.headers[name].get_secret_value()}" for name in sorted(mapping.headers)]
    if not (key or mapping.secrets):
        return None
    return "\n".join([account.provider.name, url, key, body, *sent])


def written(
    tx: Transaction,
    actor: Actor,
    drafts: Sequence[Draft],
    made: Compiled,
    digests: Mapping[str, str | None],
    held: Held,
    outbox: Outbox,
    now: datetime,
) -> list[Row]:
    """Write the drafts that change something, each with its audit row and its event; return their rows."""
    rows = []
    for draft in drafts:
        if not draft.is_written:
            continue
        row = draft.row(resources.next_change(tx), now)
        resources.put(tx, row)
        rows.append(row)
        if draft.kind is Kind.ACCOUNT:
            resources.set_key(tx, draft.id, digests.get(draft.id))
        record(tx, actor, f"{draft.kind}/{draft.id}", draft.action, draft.changes, now, draft.owner)
        if draft.kind is Kind.TOPUP and draft.body is not None:
            _tell_limits(tx, actor, draft, made, held, outbox, now)
    return rows


def _tell_limits(
    tx: Transaction, actor: Actor, draft: Draft, made: Compiled, held: Held, outbox: Outbox, now: datetime
) -> None:
    account = made.accounts[draft.id]
    before = held.config.accounts.get(draft.id)
    was = before.topup if before is not None and draft.was_there else None
    event = limits_changed_draft(account.info, was, account.topup, actor.name, now)
    if event is not None:
        outbox.append(tx, event, now)


def _open(topup: Topup, said: str) -> RequestRefused:
    return RequestRefused(409, "topup-open", f"the top-up {topup.id} is open: {said}")
