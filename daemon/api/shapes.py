"""What the bodies of requests look like: the models that the OpenAPI document is made of.

Those that say an object (`AccountBody` and the like) only describe: the registry checks them, by the tables of the
configuration file, so that both say the same of the same fault. A test holds their keys equal.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, GetPydanticSchema, create_model

from daemon.api.instants import Instant
from daemon.resources.model import Role
from daemon.sources.registry import PROVIDERS

ID = r"^[a-z0-9_-]{1,64}$"
"""An id that the caller gives."""
AMOUNT = r"^[0-9]{1,10}(\.[0-9]{1,6})?$"

Amount = (
    Annotated[str, Field(pattern=AMOUNT, examples=["5.00"])]
    | Annotated[float, Field(gt=0, le=1_000_000_000, examples=[5.0])]
)
"""Money: a decimal text, or a number that is read exactly."""
Quantity = Annotated[float, Field(gt=0, le=1_000_000)]
Line = Annotated[str, Field(max_length=2048)]
Lines = dict[str, Line]
Mode = Literal["charge", "shadow", "off"]
Severity_ = Literal["info", "warning", "critical"]


class Said(BaseModel):
    """A body: no other keys."""

    model_config = ConfigDict(extra="forbid")


class Described(Said):
    """A body that only describes. A null is a key that is left out; read-only keys are passed over."""

    status: Any = Field(None, json_schema_extra={"readOnly": True})
    managed_by: Any = Field(None, json_schema_extra={"readOnly": True})
    version: Any = Field(None, json_schema_extra={"readOnly": True})
    created_at: Any = Field(None, json_schema_extra={"readOnly": True})
    changed_at: Any = Field(None, json_schema_extra={"readOnly": True})
    problem: Any = Field(None, json_schema_extra={"readOnly": True})


class TopupBody(Described):
    """A top-up: exactly one of `amount_usd`, `to_usd` and `cover_days` says how much is charged."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "when_below_usd": "10.00",
                    "amount_usd": "50.00",
                    "customer": "cus_123",
                    "max_charge_usd": "50.00",
                    "max_per_day_usd": "100.00",
                    "max_per_month_usd": "500.00",
                }
            ]
        }
    )
    when_below_usd: Amount
    customer: Line
    max_charge_usd: Amount
    max_per_day_usd: Amount
    max_per_month_usd: Amount
    amount_usd: Amount | None = None
    to_usd: Amount | None = None
    cover_days: Quantity | None = None
    payment_method: Line | None = None
    min_charge_usd: Amount | None = None
    cooldown: Line | None = Field(None, examples=["60m"])
    believe_falls_after: Line | None = None
    mode: Mode | None = None
    statement_descriptor_suffix: Line | None = None
    receipt_email: Line | None = None


class AccountBody(Described):
    """An account, with the keys of its table in the configuration file."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "provider": next(name for name, one in PROVIDERS.items() if not one.by_account),
                    "base_url": "https://usage.acme.example",
                    "api_key": "key_of_acme",
                    "owner": "acme",
                    "label": "Acme",
                    "tags": ["pro"],
                }
            ]
        }
    )
    provider: Line
    base_url: Line | None = None
    url: Line | None = None
    params: Lines | None = None
    method: Literal["GET", "POST"] | None = None
    body: Line | None = None
    auth: Line | None = None
    api_key: Line | None = Field(None, description="Write only: a secret, or a reference to one.")
    headers: Lines | None = None
    ok: Line | None = None
    error: Line | None = None
    unit: Line | None = None
    currency: Line | None = None
    unlimited: Line | None = None
    topup_safe: bool | None = None
    fields: Lines | None = None
    poll: Line | None = Field(None, examples=["*/15 * * * *", "auto"])
    poll_fastest: Line | None = Field(None, examples=["1m"])
    poll_slowest: Line | None = Field(None, examples=["1h"])
    label: Line | None = None
    tags: list[Line] | None = None
    owner: Line | None = Field(None, description="Whose it is; fixed when it is made.")
    email: Line | None = Field(None, description="This customer's own mail: told of this account alone.")
    timezone: Line | None = Field(None, examples=["Europe/Berlin"])


class BatchedAccount(AccountBody):
    """One account of a batch, with its id."""

    id: str = Field(pattern=ID)


class AccountBatch(Said):
    """At most 500 accounts, made or replaced all or none."""

    accounts: list[BatchedAccount] = Field(min_length=1, max_length=500)


class SubscriptionBody(Described):
    """A webhook: which events of which accounts are sent where."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"event": "balance.low", "threshold": 5.0, "url": "https://acme.example/hooks/balance"}]
        }
    )
    url: Line
    event: Line | None = None
    events: list[Line] | None = None
    threshold: Amount | None = None
    account: Line | None = None
    accounts: list[Line] | None = None
    label: Line | None = None


class RuleBody(Described):
    """A rule: `kind` says which of the other keys it has."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"kind": "low_balance", "below": "5.00"}]})
    kind: Literal["low_balance", "runway", "quota", "budget", "spike", "stale"] | None = None
    enabled: bool | None = None
    accounts: list[Line] | None = None
    severity: Severity_ | None = None
    for_readings: int | None = Field(None, ge=1, le=1000)
    remind_every: Line | None = None
    below: Amount | None = None
    below_usd: Amount | None = None
    measure: Literal["available", "balance"] | None = None
    clear_above: Amount | None = None
    clear_above_usd: Amount | None = None
    below_days: Quantity | None = None
    clear_above_days: Quantity | None = None
    at_percent: list[Quantity] | None = None
    clear_below_percent: Quantity | None = None
    forecast_days: Quantity | None = None
    period: Literal["day", "week", "month", "quarter", "billing"] | None = None
    limit: Amount | None = None
    limit_usd: Amount | None = None
    limit_gb: Amount | None = None
    projected: bool | None = None
    factor: Quantity | None = None
    window: Line | None = None
    min_usd_per_day: Amount | None = None
    after: Line | None = None


class TokenBody(Said):
    """A token: `owner` and `accounts` narrow what exists for it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"role": "subscribe", "owner": "acme"}]})
    role: Role
    name: str = Field("", max_length=128)
    owner: str = Field("", max_length=64)
    accounts: list[Annotated[str, Field(pattern=ID)]] | None = Field(None, min_length=1, max_length=500)
    expires_at: Instant | None = None


class RotationBody(Said):
    """How long the old secret goes on signing beside the new one."""

    overlap: str = Field("24h", max_length=16, examples=["24h"])


def described_by(model: type[BaseModel]) -> Any:
    """Return a type for any JSON object, which the document describes as `model`: it is checked elsewhere."""

    def schema(core: Any, handler: Any) -> Any:
        return handler(model.__pydantic_core_schema__)

    return Annotated[dict[str, Any], GetPydanticSchema(get_pydantic_json_schema=schema)]


def _patch(name: str, of: type[BaseModel]) -> type[BaseModel]:
    """Return the merge patch of a body: every key may be left out, and null takes it away."""
    keys: dict[str, Any] = {key: (info.annotation | None, None) for key, info in of.model_fields.items()}  # type: ignore[operator]
    return create_model(name, __base__=Said, __doc__=f"A merge patch (RFC 7396) of {of.__name__}.", **keys)


AccountObject = described_by(AccountBody)
AccountPatch = described_by(_patch("AccountPatchBody", AccountBody))
TopupObject = described_by(TopupBody)
BatchObject = described_by(AccountBatch)
SubscriptionObject = described_by(SubscriptionBody)
SubscriptionPatch = described_by(_patch("SubscriptionPatchBody", SubscriptionBody))
RuleObject = described_by(RuleBody)
