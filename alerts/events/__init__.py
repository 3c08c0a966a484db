"""Events: what receivers are told. `event` is what one is; `catalogue` says of every type what it holds and means."""

from alerts.events.event import Event, EventDraft, EventType, JsonValue, Severity, Tone, encode_body

__all__ = ["Event", "EventDraft", "EventType", "JsonValue", "Severity", "Tone", "encode_body"]
