"""What an event's data is made of: the kinds of values with their JSON Schema, and the fields that many share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from alerts.forecast.burn import Basis
from alerts.model import units
from alerts.model.events import Severity
from alerts.model.units import OLDER_NAMES

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class FieldKind:
    """What a value is. `word` says it on a page (Markdown), `unit` follows a description, `schema` is JSON Schema."""

    word: str
    schema: Mapping[str, Any]
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """One name of an event's data. `optional`: it may be absent; `nullable`: it may be null."""

    name: str
    kind: FieldKind
    says: str
    nullable: bool = False
    optional: bool = False
    in_unit: str = ""
    """It is there exactly where the event's `unit` is this one."""
    operators: bool = False
    """It is the operator's to know: a customer's copy leaves it out."""

    def schema(self) -> Schema:
        """Return the JSON Schema of the value, with its description."""
        said, semicolon, more = self.says.partition(";")
        schema = {**self.kind.schema, "description": f"{said}{self.kind.unit}{semicolon}{more}"}
        if self.nullable and "enum" in schema:
            schema["enum"] = [*schema["enum"], None]
        elif self.nullable:
            types = schema["type"]
            schema["type"] = [*(types if isinstance(types, list) else [types]), "null"]
        return schema


def closed(fields: Iterable[Field]) -> Schema:
    """Return the JSON Schema of an object with these fields and no other."""
    fields = tuple(fields)
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [field.name for field in fields if not field.optional and not field.in_unit],
        "properties": {field.name: field.schema() for field in fields},
    }


def one_of(values: Iterable[str]) -> FieldKind:
    """Return one of these words (members of a StrEnum)."""
    words = [str(value) for value in values]
    return FieldKind(", ".join(f"`{word}`" for word in words), {"enum": words})


def record(*fields: Field) -> FieldKind:
    """Return an object with these fields."""
    return FieldKind(f"object of {_names(fields)}", closed(fields))


def list_of(*fields: Field) -> FieldKind:
    """Return a list of objects with these fields, one at least."""
    return FieldKind(f"list of {_names(fields)}", {"type": "array", "minItems": 1, "items": closed(fields)})


def _names(fields: Iterable[Field]) -> str:
    return ", ".join(f"`{field.name}`" for field in fields)


TEXT = FieldKind("text", {"type": "string"})
WORDS = FieldKind("text", {"type": "string", "minLength": 1})
FLAG = FieldKind("true or false", {"type": "boolean"})
TRUE = FieldKind("true", {"const": True})
NUMBER = FieldKind("number", {"type": "number"})
COUNT = FieldKind("count", {"type": "integer", "minimum": 0})
LOOSE = FieldKind("number or text", {"type": ["number", "string"]})
NULL = FieldKind("null", {"type": "null"})
NOUGHT = FieldKind("dollars", {"const": 0})
USD = FieldKind("dollars", {"type": "number"}, ", in dollars")
GB = FieldKind("gigabytes", {"type": "number"}, ", in gigabytes")
AMOUNT = FieldKind("number in `unit`", {"type": "number"}, ", in `unit`")
PERCENT = FieldKind("percent", {"type": "number"})
DAYS = FieldKind("days", {"type": "number"})
INSTANT = FieldKind(
    "instant",
    {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z$"},
    " (RFC 3339, UTC)",
)
SPAN = record(
    Field("earliest", INSTANT, "Not before this, nine times in ten", nullable=True),
    Field("likely", INSTANT, "As likely earlier as later", nullable=True),
    Field("latest", INSTANT, "Not after this, nine times in ten; null is not within two years", nullable=True),
)
ACCOUNT_ID = FieldKind("text", {"type": "string", "pattern": "^[a-z0-9_-]{1,64}$"})

ACCOUNT = (
    Field("account", ACCOUNT_ID, "The account's id"),
    Field("provider", TEXT, "The provider's name"),
    Field("observed_at", INSTANT, "When the reading was made that this rests on"),
)
EPISODE = (
    Field(
        "rule", TEXT, "The rule's id; `account:…` for what needs no rule, `webhook:…` for a receiver's own threshold"
    ),
    Field("episode", TEXT, "One stretch of the rule being in breach"),
)
REMINDER = Field("reminder", TRUE, "Told again, same episode; absent the first time", optional=True)
NUMBER_AND_STORE = (
    Field(
        "sequence",
        FieldKind("count", {"type": "integer", "minimum": 1}),
        "Grows by one for each event of the account within `store`",
    ),
    Field("store", TEXT, "The id of the database"),
)  # fmt: skip
EVERYWHERE = frozenset({field.name for field in (*ACCOUNT, *EPISODE, REMINDER, *NUMBER_AND_STORE)} | {"severity"})
"""What a page says once of all events."""


def severity(severities: Iterable[Severity]) -> Field:
    return Field("severity", one_of(severities), "How much it matters")


UNIT = Field("unit", TEXT, "What its figures are in: a currency (ISO 4217) or a word, as `USD`, `GB`, `credits`")


def in_its_unit(
    name: str, says: str, *, nullable: bool = False, units: Iterable[str] = OLDER_NAMES
) -> tuple[Field, ...]:
    """Return a figure in the account's unit, and beside it that in dollars or gigabytes where it is one."""
    older = ((unit, OLDER_NAMES[unit][name]) for unit in units if name in OLDER_NAMES[unit])
    also = (Field(old, _KIND_OF[unit], says, nullable, in_unit=unit) for unit, old in older)
    return (Field(name, AMOUNT, says, nullable), *also)


_KIND_OF = {units.USD: USD, units.GB: GB}
BALANCES = (
    UNIT,
    *in_its_unit("balance", "The balance", nullable=True),
    *in_its_unit(
        "uncharged", "Accrued and not yet deducted; null where the provider says nothing of it", nullable=True
    ),
    *in_its_unit("available", "Balance less what is uncharged", nullable=True),
)
BURN = (
    *in_its_unit("burn_per_day", "What the account burns a day", nullable=True),
    Field("days_remaining", DAYS, "available / burn; null where nothing burns or it is not known", nullable=True),
    Field("basis", one_of(get_args(Basis)), "What the burn rests on", nullable=True),
    Field("partial", FLAG, "The burn rests on less than a day of history"),
)
TOPUP = (
    Field(
        "topup",
        record(
            Field("state", TEXT, "The top-up's state, or `none`"),
            Field("reason", TEXT, "Why it stands there, or why there is none"),
            Field("id", TEXT, "The top-up's id", nullable=True),
        ),
        "What was under way with the account's top-ups when the event was committed, or why there is none",
        operators=True,
    ),
)
CHARGE = (
    Field("topup", TEXT, "The top-up's id"),
    Field("payment_intent", TEXT, "The PaymentIntent: credit once for each", nullable=True, operators=True),
    Field("customer", TEXT, "The Stripe customer", operators=True),
    Field("amount_usd", USD, "The amount"),
    Field(
        "funded_before_usd",
        USD,
        "Balance and total charged at plan: every dollar credited before",
        nullable=True,
        operators=True,
    ),
    Field("available_usd", USD, "What was available at plan", nullable=True),
)
A_TOPUP_OR_NONE = (
    Field("topup", TEXT, "The top-up's id; null where it is about the account", nullable=True),
    Field("payment_intent", TEXT, "Its PaymentIntent", nullable=True),
    Field("amount_usd", USD, "Its amount", nullable=True),
)
NO_TOPUP = tuple(Field(field.name, NULL, "Null: it is about the account") for field in A_TOPUP_OR_NONE)
ACTION = (
    Field("action", TEXT, "What a person must do", operators=True),
    Field("command", TEXT, "The command to type then", operators=True),
)
