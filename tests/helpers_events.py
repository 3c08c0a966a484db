"""Recorded events, and what holds those that are sent to the catalogue.

The example of a type is as the service sent it in one of the stories of `tests.events.stories`.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from alerts.events.schema import schema
from alerts.model.events import Event, EventDraft, EventType, Severity, encode_body

DOCS = Path(__file__).resolve().parent.parent / "docs"
EXAMPLES = DOCS / "events.json"


@cache
def validator(type: EventType) -> Draft202012Validator:
    return Draft202012Validator(schema(type))


def wrong(body: bytes) -> list[str]:
    """Return where a body is not what the catalogue says of its type."""
    event = json.loads(body)
    return [
        f"{event['type']}: {error.json_path}: {error.message}"
        for error in validator(EventType(event["type"])).iter_errors(event)
    ]


def watch_events(patch: pytest.MonkeyPatch) -> list[str]:
    """Hold every event that is committed from now on to the catalogue; returns the list of what is found wrong."""
    found: list[str] = []

    def encode(draft: EventDraft, sequence: int | None, store_id: str) -> bytes:
        body = encode_body(draft, sequence, store_id)
        found.extend(wrong(body))
        return body

    patch.setattr("daemon.store.outbox.encode_body", encode)
    return found


def bodies(database: Path) -> list[bytes]:
    """Return the bodies of all events that were committed, in order."""
    with closing(sqlite3.connect(database)) as conn:
        return [body for (body,) in conn.execute("SELECT body FROM event ORDER BY number")]


@cache
def _recorded() -> str:
    return EXAMPLES.read_text(encoding="utf-8")


def examples() -> dict[str, dict[str, Any]]:
    """Return the example bodies by event type."""
    found: dict[str, dict[str, Any]] = json.loads(_recorded())
    return found


def example_event(type: EventType, **changes: Any) -> Event:
    """Return an event with the example's body; `changes` are to its data."""
    body = examples()[type.value]
    body["data"] |= changes
    data = body["data"]
    return Event(
        id=f"evt_{type.value.replace('.', '_')}",
        type=type,
        at=datetime.fromisoformat(body["timestamp"]),
        account=data.get("account"),
        severity=Severity(data.get("severity", "info")),
        rule=data.get("rule"),
        episode=data.get("episode"),
        sequence=data.get("sequence"),
        body=json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode(),
    )
