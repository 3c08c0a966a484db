"""Write what is made from the catalogue of events (`alerts.events.catalogue`) and the presets: `make generate`.

The JSON Schemas in `alerts/schemas`, `docs/asyncapi.yaml` and the events in `docs/webhooks.md`; and the states of a
top-up in `docs/topups.md`, from the table that decides (`daemon.topups.policy.machine`). The examples are events
that were really sent: `docs/events.json`, which `python -m tests.events.record` records.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from alerts.events.catalogue import CATALOGUE, SECTIONS
from alerts.events.fields import EVERYWHERE, Field
from alerts.events.schema import schema, schemas
from alerts.events.spec import ANY, EventSpec
from alerts.model.events import SUBSCRIBABLE, EventType
from daemon.sources.preset import preset, preset_names
from daemon.store.topup_rows import State
from daemon.topups.policy.machine import steps

DOCS = Path(__file__).parent
SCHEMAS = DOCS.parent / "alerts" / "schemas"
STATES = DOCS / "topups.md"
EXAMPLES = DOCS / "events.json"
WIDTH = 118
BEGIN, END = "<!-- events: written by `make generate`, do not edit -->\n", "<!-- end of events -->\n"
PRESETS_BEGIN, PRESETS_END = BEGIN.replace("events", "presets"), END.replace("events", "presets")


def documents() -> dict[Path, str]:
    """Return the text of every generated file."""
    examples: dict[str, dict[str, Any]] = json.loads(EXAMPLES.read_text(encoding="utf-8"))
    page, providers = DOCS / "webhooks.md", DOCS / "providers.md"
    return {
        **{SCHEMAS / f"{type.value}.json": f"{dump(made)}\n" for type, made in schemas().items()},
        DOCS / "asyncapi.yaml": asyncapi(examples),
        page: _between(page, BEGIN, END, events(examples)),
        providers: _between(providers, PRESETS_BEGIN, PRESETS_END, presets()),
        STATES: re.sub(
            r"(?<=```mermaid\n).*?(?=\n```)", diagram(), STATES.read_text(encoding="utf-8"), flags=re.DOTALL
        ),
    }


def diagram() -> str:
    """Return the states of a top-up, and what leads from one to another, as a mermaid diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.PLANNED}: need", f"    [*] --> {State.CONFIRMING}: adopted"]
    for before, following in steps().items():
        for after, facts in following.items():
            words = (re.sub(r"(?<!^)(?=[A-Z])", " ", fact).lower() for fact in facts)
            lines.append(f"    {before} --> {after}: {', '.join(words)}")
    return "\n".join([*lines, f"    {State.CREDITED} --> [*]"])


def _between(page: Path, begin: str, end: str, made: str) -> str:
    """Return the text of a page with what is made in its place."""
    before, rest = page.read_text(encoding="utf-8").split(begin)
    return f"{before}{begin}\n{made}\n{end}{rest.split(end)[1]}"


def dump(value: Any, indent: str = "", before: str = "") -> str:
    """Return JSON in which what fits into a line is a line, and a list of words is filled lines."""
    line = f"{before}{json.dumps(value, ensure_ascii=False)}"
    inner = f"{indent}  "
    if not isinstance(value, dict | list) or len(indent) + len(line) < WIDTH:
        return line
    if isinstance(value, dict):
        items = [dump(item, inner, f"{json.dumps(name)}: ") for name, item in value.items()]
    elif isinstance(value[0], str):
        items = textwrap.wrap(line[len(before) + 1 : -1], WIDTH - len(inner), break_on_hyphens=False)
        return f"{before}[\n{inner}{f'{chr(10)}{inner}'.join(items)}\n{indent}]"
    else:
        items = [dump(item, inner) for item in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{before}{opening}\n{inner}{f',{chr(10)}{inner}'.join(items)}\n{indent}{closing}"


# ── docs/providers.md ────────────────────────────────────────────────────────────────────────────────────────────────


def presets() -> str:
    """Return the table of presets, in Markdown."""
    head = ("preset", "reads", "unit", "top-up", "poll", "key", "good to know", "documented")
    rows = []
    for one in map(preset, preset_names()):
        params = f"; `params`: {', '.join(f'`{name}`' for name in one.params)}" if one.params else ""
        cells = (f"`{one.name}`", ", ".join(f"`{name}`" for name in one.fields), one.unit)
        charged, notes = "yes" if one.topup_safe else "no", " ".join(one.quirks).replace("|", "\\|")
        rows.append((*cells, charged, f"`{one.poll}`", one.key + params, notes, f"{one.title}: {one.documented}"))
    return _table(head, iter(rows))


# ── docs/webhooks.md ────────────────────────────────────────────────────────────────────────────────────────────────


def events(examples: dict[str, dict[str, Any]]) -> str:
    """Return the sections of all events, in Markdown."""
    rows = (_row(spec) for specs in SECTIONS.values() for spec in specs)
    parts = ["## All events\n", _table(("type", "when", "severity", "ends with", "read by"), rows)]
    customers = (
        (f"`{spec.type.value}`", ", ".join(f"`{field.name}`" for field in spec.all_fields if field.operators))
        for spec in CATALOGUE.values()
        if spec.type in SUBSCRIBABLE
    )
    parts += ["## What a customer may hear\n", _table(("type", "what its copy leaves out"), customers)]
    before: list[EventSpec] = []
    for heading, specs in SECTIONS.items():
        parts.append(f"## {heading}\n")
        for spec in specs:
            example = json.dumps(examples[spec.type.value], ensure_ascii=False, indent=2)
            parts.append(f"### `{spec.type.value}`\n\n{spec.says}\n\n```json\n{example}\n```\n")
            parts += _fields(spec, before)
            before.append(spec)
    return "\n".join(parts)


def _row(spec: EventSpec) -> tuple[str, ...]:
    severity = "the rule's" if spec.severities == ANY else ", ".join(spec.severities)
    ends = f"`{spec.ended_by.value}`" if spec.ended_by else ""
    return f"`{spec.type.value}`", spec.summary, severity, ends, ", ".join(spec.readers)


def _fields(spec: EventSpec, before: Sequence[EventSpec]) -> Iterator[str]:
    """Yield the tables of what an event alone holds, or with which of those `before` it shares them."""
    own = _own(spec)
    for one in before:
        if own and (own, spec.forms) == (_own(one), one.forms):
            yield f"Its own fields are those of `{one.type.value}`.\n"
            return
    for fields in (own, *spec.forms):
        rows = ((f"`{f.name}`", _kind(f), f.says) for f in fields)
        if fields is not own:
            yield "and either\n" if fields is spec.forms[0] else "or\n"
        yield _table(("field", "is", ""), rows)


def _own(spec: EventSpec) -> tuple[Field, ...]:
    return tuple(field for field in spec.fields if field.name not in EVERYWHERE)


def _kind(field: Field) -> str:
    return field.kind.word + (", null" if field.nullable else "") + _absent(field)


def _absent(field: Field) -> str:
    if field.in_unit:
        return f", where `unit` is `{field.in_unit}`"
    return ", or absent" if field.optional else ""


def _table(head: Sequence[str], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n".replace("|  |", "| |") for line in lines)


# ── docs/asyncapi.yaml ──────────────────────────────────────────────────────────────────────────────────────────────

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


def asyncapi(examples: dict[str, dict[str, Any]]) -> str:
    """Return the AsyncAPI 3.0 document: one channel, one operation, one message an event type."""
    names = [type.value for type in EventType]
    document = {
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
            "messages": {type.value: _message(type, examples[type.value]) for type in EventType},
            "schemas": {"headers": _HEADERS},
        },
    }
    dumped = yaml.dump(
        document, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=WIDTH, default_flow_style=None
    )
    return f"# Written by docs/generate.py: do not edit.\n{dumped}"


def _message(type: EventType, example: dict[str, Any]) -> dict[str, Any]:
    payload = {key: value for key, value in schema(type).items() if key not in ("$schema", "$id")}
    return {
        "name": type.value,
        "title": payload["title"],
        "summary": CATALOGUE[type].summary,
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/headers"},
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": payload,
        },
        "examples": [{"payload": example}],
    }


class _Plain(yaml.SafeDumper):
    """Without anchors: the same text in two places is written twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def main() -> None:
    """Write every generated file; a schema of a type that is gone is deleted."""
    texts = documents()
    for gone in set(SCHEMAS.glob("*.json")) - set(texts):
        gone.unlink()
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
