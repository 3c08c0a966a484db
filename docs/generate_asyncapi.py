"""Write `docs/asyncapi.yaml` from the JSON Schemas that ship with the package: `python docs/generate_asyncapi.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from alerts.events import EventType
from alerts.schema import schema

TARGET = Path(__file__).parent / "asyncapi.yaml"

_HEADERS = {
    "type": "object",
    "required": ["webhook-id", "webhook-timestamp", "webhook-signature"],
    "properties": {
        "webhook-id": {"type": "string", "description": "The event's id, the same on every attempt"},
        "webhook-timestamp": {
            "type": "string",
            "pattern": "^[0-9]+$",
            "description": "Seconds since 1970 of this attempt",
        },
        "webhook-signature": {"type": "string", "description": "`v1,…` or `v1a,…`, several separated by spaces"},
    },
}


def document() -> dict[str, Any]:
    """Return the AsyncAPI 3.0 document: one channel, one operation, one message an event type."""
    names = [type.value for type in EventType]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Brimful webhooks",
            "version": "1.0.0",
            "description": "What Brimful sends to its receivers, as Standard Webhooks 1.0.0. See webhooks.md.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {
            "receiver": {
                "description": "The URL of a [[webhooks]] table; POST.",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
                "bindings": {"http": {"bindingVersion": "0.3.0"}},
            }
        },
        "operations": {
            "tell": {
                "action": "send",
                "channel": {"$ref": "#/channels/receiver"},
                "summary": "Tell a receiver what happened, at least once",
                "bindings": {"http": {"method": "POST", "bindingVersion": "0.3.0"}},
                "messages": [{"$ref": f"#/channels/receiver/messages/{name}"} for name in names],
            }
        },
        "components": {
            "messages": {type.value: _message(type) for type in EventType},
            "schemas": {"headers": _HEADERS},
        },
    }


def _message(type: EventType) -> dict[str, Any]:
    payload = {key: value for key, value in schema(type).items() if key not in ("$schema", "$id")}
    return {
        "name": type.value,
        "title": payload.get("title", type.value),
        "summary": payload.get("description", ""),
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/headers"},
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": payload,
        },
    }


class _Plain(yaml.SafeDumper):
    """Without anchors: the same text in two places is written twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def text() -> str:
    """Return the document as YAML."""
    dumped: str = yaml.dump(document(), Dumper=_Plain, sort_keys=False, allow_unicode=True, width=110)
    return f"# Written by docs/generate_asyncapi.py from alerts/schemas: do not edit.\n{dumped}"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
