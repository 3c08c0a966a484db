"""What is made from the catalogue is committed as it is made: nothing is copied by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from alerts.events import schema
from alerts.events.catalogue import CATALOGUE
from alerts.events.fields import TEXT, Field
from alerts.model.events import EventType
from alerts.model.values import replace
from docs.generate import DOCS, SCHEMAS, documents
from tests.helpers_events import examples

ROOT = DOCS.parent


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_generated_file_is_current(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == documents()[path], "make generate"


def test_a_schema_ships_of_every_type_and_of_no_other() -> None:
    assert {path.name for path in SCHEMAS.iterdir()} == {f"{type.value}.json" for type in EventType}


def test_a_changed_catalogue_is_noticed_in_every_document(monkeypatch: pytest.MonkeyPatch) -> None:
    before = documents()
    spec = CATALOGUE[EventType.TEST_PING]
    changed = replace(spec, says="Changed.", fields=(*spec.fields, Field("more", TEXT, "Something more")))
    monkeypatch.setitem(CATALOGUE, EventType.TEST_PING, changed)
    monkeypatch.setattr("docs.generate.SECTIONS", {"Delivery": (changed,)})
    schema.schema.cache_clear()
    try:
        differs = {path.name for path, text in documents().items() if text != before[path]}
    finally:
        schema.schema.cache_clear()
    assert differs == {"test.ping.json", "asyncapi.yaml", "webhooks.md"}


def test_the_asyncapi_document_names_every_event_with_its_schema_and_an_example() -> None:
    document = yaml.safe_load((DOCS / "asyncapi.yaml").read_text(encoding="utf-8"))
    assert document["asyncapi"] == "3.0.0"
    messages = document["components"]["messages"]
    assert set(messages) == {type.value for type in EventType}
    for name, message in messages.items():
        (example,) = message["examples"]
        assert example["payload"] == examples()[name]
        Draft202012Validator(message["payload"]["schema"]).validate(example["payload"])


def test_the_page_shows_every_example() -> None:
    page = (DOCS / "webhooks.md").read_text(encoding="utf-8")
    for name, body in examples().items():
        assert f"### `{name}`\n" in page
        assert f"```json\n{json.dumps(body, ensure_ascii=False, indent=2)}\n```\n" in page
