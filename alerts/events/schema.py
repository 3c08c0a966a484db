"""The JSON Schemas of all event types (2020-12), made from the catalogue.

They ship with the package as files, one a type, of its name: `alerts/schemas/balance.low.json`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from alerts.events.catalogue import CATALOGUE
from alerts.events.fields import INSTANT, Field, Schema, closed
from alerts.events.spec import EventSpec
from alerts.model.events import EventType


@cache
def schema(type: EventType) -> Mapping[str, Any]:
    """Return the schema of a whole body of this type: `type`, `timestamp` and `data`."""
    spec = CATALOGUE[type]
    whole = closed([Field("timestamp", INSTANT, "When it happened")])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:brimful:event:{type.value}",
        "title": type.value,
        "description": spec.says,
        **whole,
        "required": ["type", "timestamp", "data"],
        "properties": {"type": {"const": type.value}, **whole["properties"], "data": _data(spec)},
    }


def schemas() -> Mapping[EventType, Mapping[str, Any]]:
    """Return the schemas of all types."""
    return {type: schema(type) for type in EventType}


def _data(spec: EventSpec) -> Schema:
    data = closed(spec.fields)
    if {"sequence", "store"} & set(data["properties"]) - set(data["required"]):
        data["dependentRequired"] = {"sequence": ["store"], "store": ["sequence"]}
    if there := _by_unit(spec.fields):
        data["allOf"] = there
    if spec.forms:
        shared = _in_any_form(spec.forms)
        data["properties"] |= shared
        data["required"] += [name for name in shared if all(name in closed(form)["required"] for form in spec.forms)]
        data["oneOf"] = [_form(form, spec.forms, shared) for form in spec.forms]
    return data


def _by_unit(fields: Sequence[Field]) -> list[Schema]:
    """Return for each unit that fields of its own are there exactly where the event's unit is this one."""
    found: dict[str, list[str]] = {}
    for field in fields:
        if field.in_unit:
            found.setdefault(field.in_unit, []).append(field.name)
    return [
        {
            "if": {"properties": {"unit": {"const": unit}}},
            "then": {"required": names},
            "else": {"not": {"anyOf": [{"required": [name]} for name in names]}},
        }
        for unit, names in found.items()
    ]


def _in_any_form(forms: Sequence[Sequence[Field]]) -> Schema:
    """Return the schema of each field of the forms: of one that several have, any of what it may be."""
    found: dict[str, list[Schema]] = {}
    for field in (field for form in forms for field in form):
        found.setdefault(field.name, []).append(field.schema())
    return {name: said[0] if len(said) == 1 else _any_of(said) for name, said in found.items()}


def _any_of(schemas: Sequence[Schema]) -> Schema:
    return {"anyOf": schemas, "description": "; ".join(schema["description"] for schema in schemas)}


def _form(form: Sequence[Field], forms: Sequence[Sequence[Field]], shared: Schema) -> Schema:
    """Return what tells one form from the others: it has these fields, as they are here, and none of the others'."""
    own = closed(form)
    others = sorted({field.name for other in forms for field in other} - set(own["properties"]))
    differs = {name: schema for name, schema in own["properties"].items() if schema != shared[name]}
    return {
        **({"properties": differs} if differs else {}),
        "required": own["required"],
        "not": {"anyOf": [{"required": [name]} for name in others]},
    }
