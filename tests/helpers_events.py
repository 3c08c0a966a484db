"""The example of every event type, as `docs/webhooks.md` shows it."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

from alerts.events import Event, EventType, Severity

DOCS = Path(__file__).resolve().parent.parent / "docs"
_EXAMPLE = re.compile(r"^### `([a-z_.]+)`\n.*?^```json\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def examples() -> dict[str, dict[str, Any]]:
    """Return the example bodies by event type."""
    text = (DOCS / "webhooks.md").read_text(encoding="utf-8")
    return {kind: json.loads(body) for kind, body in _EXAMPLE.findall(text)}


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
