"""The audit, and the answers that are kept for a POST that comes twice."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from alerts.model.instants import from_ms, to_ms
from daemon.resources.model import Actor, AnsweredBefore, AuditEntry, Idempotency, RequestRefused
from daemon.store import Store, change_log
from daemon.store.connection import Transaction

KEPT = timedelta(hours=24)
_LONGEST_KEY = 255


def record(
    tx: Transaction,
    actor: Actor,
    resource: str,
    action: str,
    changes: Mapping[str, tuple[Any, Any]],
    now: datetime,
    owner: str,
) -> None:
    """Write one change into the audit."""
    entry = change_log.Entry(
        at_ms=to_ms(now),
        actor=actor.name,
        source=actor.source,
        owner=owner,
        resource=resource,
        action=action,
        changes=json.dumps(changes, ensure_ascii=False),
        request=actor.request_id,
    )
    change_log.record(tx, entry)


def audited(
    store: Store, actor: Actor, *, resource: str, by: str, after: int, limit: int
) -> tuple[tuple[AuditEntry, ...], int | None]:
    """Return a page of the audit; an owner's token sees what is its own, one limited to accounts theirs."""
    found: list[AuditEntry] = []
    while len(found) <= limit:
        rows = change_log.page(
            store.reader, resource=resource, actor=by, owner=actor.owner, after=after, limit=limit + 1
        )
        found += [entry for number, row in rows if _sees(actor, entry := _entry(number, row))]
        if len(rows) <= limit:
            break
        after = rows[-1][0]
    page = tuple(found[:limit])
    return page, page[-1].number if len(found) > limit else None


def _sees(actor: Actor, entry: AuditEntry) -> bool:
    if actor.accounts is None:
        return True
    kind, _, id = entry.resource.partition("/")
    return kind in ("account", "topup") and id in actor.accounts


def _entry(number: int, row: change_log.Entry) -> AuditEntry:
    return AuditEntry(
        number=number,
        at=from_ms(row.at_ms),
        actor=row.actor,
        source=row.source,
        resource=row.resource,
        action=row.action,
        changes={key: (old, new) for key, (old, new) in json.loads(row.changes).items()},
        request_id=row.request,
        owner=row.owner,
    )


def refuse_answered(store: Store, actor: Actor, idempotency: Idempotency, now: datetime) -> None:
    """Raise AnsweredBefore where the key was used for the same body, 422 where it was for another."""
    if not 0 < len(idempotency.key) <= _LONGEST_KEY:
        raise RequestRefused(422, "idempotency-key", f"an Idempotency-Key has 1 to {_LONGEST_KEY} characters")
    known = change_log.answered(store.reader, actor.name, idempotency.key, to_ms(now - KEPT))
    if known is None:
        return
    if known.digest != idempotency.digest:
        said = "this Idempotency-Key was used for another body: draw a new one"
        raise RequestRefused(422, "idempotency-key-reused", said)
    raise AnsweredBefore(known.status, json.loads(known.answer))


def remember(tx: Transaction, actor: Actor, idempotency: Idempotency, status: int, answer: Any, now: datetime) -> None:
    """Keep an answer; raises 409 where another daemon has answered this key since it was looked for."""
    kept = change_log.KeptAnswer(idempotency.digest, status, json.dumps(answer, ensure_ascii=False))
    try:
        change_log.remember(tx, actor.name, idempotency.key, kept, to_ms(now), to_ms(now - KEPT))
    except sqlite3.IntegrityError as error:
        said = "another request with this Idempotency-Key was under way: send it again for its answer"
        raise RequestRefused(409, "idempotency-key-in-use", said) from error
