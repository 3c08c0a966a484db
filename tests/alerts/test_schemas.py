"""The schemas ship with the package, are strict, and refuse what is never sent."""

import pytest
from jsonschema import Draft202012Validator, ValidationError

from alerts.events.schema import schema, schemas
from alerts.model.events import EventType
from tests.helpers_alerts import Watched, validator


@pytest.mark.parametrize("type", list(EventType))
def test_every_type_has_a_strict_schema_of_its_own_name(type: EventType) -> None:
    found = schema(type)
    Draft202012Validator.check_schema(found)
    assert found["title"] == type.value
    assert found["properties"]["type"] == {"const": type.value}
    data = found["properties"]["data"]
    assert found["additionalProperties"] is data["additionalProperties"] is False
    assert set(data["required"]) <= set(data["properties"])
    assert all("description" in value for value in data["properties"].values())


def test_the_schemas_are_those_of_all_types() -> None:
    assert list(schemas()) == list(EventType)


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"extra": 1}, "Additional properties"),
        ({"available_usd": "4"}, "not of type"),
        ({"observed_at": "2026-11-03T12:05:00+00:00"}, "does not match"),
        ({"severity": "bad"}, "is not one of"),
        ({"reminder": False}, "True was expected"),
    ],
)
def test_a_body_that_says_something_else_is_refused(change: dict[str, object], wrong: str) -> None:
    from alerts.model.money import to_micro
    from alerts.model.specs import LowBalance

    account = Watched(LowBalance(id="low", below_microusd=to_micro(5), clear_above_microusd=to_micro(6)))
    account.read(balance=4)
    body = account.events[-1]
    body["data"].update(change)
    with pytest.raises(ValidationError, match=wrong):
        validator(EventType.BALANCE_LOW).validate(body)


def test_a_number_without_its_store_is_refused() -> None:
    body = {"type": "reading.unavailable", "timestamp": "2026-11-03T12:05:00Z", "data": {}}
    assert not validator(EventType.READING_UNAVAILABLE).is_valid(body)
