"""The keys of the TOML file, table by table. Every key is optional here; `required` names those that a table needs.

So one invalid value does not hide another: it is noted and left out, and the rest of its table is still checked.
`broken` names the keys that were given and left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from decimal import Decimal
from typing import Annotated, Any, ClassVar
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, PrivateAttr

from alerts.model.events import Severity
from alerts.model.polling import AUTO, FASTEST, SLOWEST, AutoPoll, Poll
from alerts.model.specs import Measure, Period
from alerts.model.units import CURRENCIES, GB, UNIT, USD
from daemon.config.cron import gaps
from daemon.config.model import ReportPeriod, SmtpSecurity, StripeMode, TopupMode
from daemon.config.problems import ProblemId, suggestion
from daemon.config.values import (
    Body,
    Charge,
    Count,
    Cron,
    Duration,
    Flag,
    Id,
    Mails,
    Money,
    Networks,
    OptionalDuration,
    OptionalMail,
    Percents,
    PollBound,
    PollText,
    Port,
    Positive,
    Reminder,
    Secret,
    Secrets,
    Sender,
    Text,
    Texts,
    Volume,
    named,
    refuse,
    text_of,
    words,
)
from daemon.sources.auth import BEARER, NO_AUTH, Auth, parse_auth
from daemon.sources.payload import Table as Names
from daemon.sources.preset import DEFAULT_POLL, Preset
from daemon.sources.provider import Provider
from daemon.sources.registry import find, names


def _provider(value: Any) -> Provider:
    found = find(value) if isinstance(value, str) else None
    if found is None:
        near = suggestion(value, names()) if isinstance(value, str) else ""
        hint = near or '`brimful providers` lists them; "json" reads any other API'
        said = f'there is no provider "{value}"' if isinstance(value, str) else "a provider is named by a text"
        raise refuse(ProblemId.VALUE_INVALID, said, hint)
    return found


def _auth(value: Any) -> Auth:
    try:
        return parse_auth(text_of(value))
    except ValueError as error:
        raise refuse(ProblemId.VALUE_INVALID, str(error)) from error


def _unit(value: Any) -> str:
    unit = text_of(value)
    if not UNIT.fullmatch(unit):
        said = "a unit is a currency or one word: a letter, then letters, digits, '-' and '_', at most 32 in all"
        raise refuse(ProblemId.VALUE_INVALID, said, 'such as "EUR", "credits" or "characters"')
    if unit != unit.upper() and unit.upper() in {*CURRENCIES, GB}:
        raise refuse(ProblemId.VALUE_INVALID, "this unit is written in capitals", f'write "{unit.upper()}"')
    return unit


class Table(BaseModel):
    """A TOML table. `given`: every key that was written, valid or not."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True)
    required: ClassVar[tuple[str, ...]] = ()
    aliases: ClassVar[Mapping[str, str]] = {}
    """The written form of keys that cannot be field names in Python or pydantic."""
    _broken: frozenset[str] = PrivateAttr(default=frozenset())

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        """Show the keys alone: a literal secret never gets into a log or a traceback."""
        return [(None, key) for key in sorted(self.given)]

    @property
    def given(self) -> Set[str]:
        names, aliases = self.model_fields_set, self.aliases
        given = {aliases.get(name, name) for name in names} if aliases else names
        return given | self.broken

    @property
    def broken(self) -> frozenset[str]:
        private = self.__pydantic_private__  # as a private attribute it would cost five times as much
        assert private is not None
        found: frozenset[str] = private["_broken"]
        return found

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        cls.aliases = {name: field.alias for name, field in cls.model_fields.items() if field.alias}


class StoreTable(Table):
    path: Text = ""
    url: Secret = ""
    keep_readings: Duration | None = None


class StripeTable(Table):
    required: ClassVar[tuple[str, ...]] = ("api_key", "mode")
    api_key: Secret | None = None
    mode: Annotated[StripeMode, words(StripeMode)] | None = None
    api_base: Text = "https://api.stripe.com"


class SmtpTable(Table):
    required: ClassVar[tuple[str, ...]] = ("host", "sender")
    host: Text | None = None
    port: Port | None = None
    security: Annotated[SmtpSecurity, words(SmtpSecurity)] = SmtpSecurity.NONE
    username: Text = ""
    password: Secret = ""
    sender: Sender | None = None


class HttpTable(Table):
    listen: Text = "127.0.0.1:9750"
    token: Secret = ""


class ApiTable(Table):
    enabled: Flag = False
    master_key: Secrets | None = None
    max_charge_usd: Charge = 200_000_000
    max_per_day_usd: Charge = 200_000_000
    max_per_month_usd: Charge = 1_000_000_000
    max_per_day_total_usd: Charge = 5_000_000_000
    allow_accounts_at: Networks = ()
    allow_subscriptions_at: Networks = ()
    first_charge: Annotated[TopupMode, named({mode.value: mode for mode in (TopupMode.SHADOW, TopupMode.CHARGE)})] = (
        TopupMode.SHADOW
    )


class HeartbeatTable(Table):
    url: Secret = ""


class TopupTable(Table):
    required: ClassVar[tuple[str, ...]] = (
        "when_below_usd",
        "customer",
        "max_charge_usd",
        "max_per_day_usd",
        "max_per_month_usd",
    )
    when_below_usd: Money | None = None
    amount_usd: Charge | None = None
    to_usd: Charge | None = None
    cover_days: Positive | None = None
    customer: Text | None = None
    payment_method: Text | None = None
    min_charge_usd: Charge | None = None
    max_charge_usd: Charge | None = None
    max_per_day_usd: Charge | None = None
    max_per_month_usd: Charge | None = None
    cooldown: Duration | None = None
    believe_falls_after: OptionalDuration = None
    mode: Annotated[TopupMode, words(TopupMode)] = TopupMode.CHARGE
    statement_descriptor_suffix: Text = ""
    receipt_email: OptionalMail = ""


class AccountTable(Table):
    required: ClassVar[tuple[str, ...]] = ("provider",)
    provider: Annotated[Provider, PlainValidator(_provider)] | None = None
    base_url: Text | None = None
    url: Secret | None = None
    params: dict[str, Secret] = Field(default_factory=dict)
    method: Annotated[str, named({"GET": "GET", "POST": "POST"})] = "GET"
    body: Body = ""
    auth: Annotated[Auth, PlainValidator(_auth)] | None = None
    api_key: Secret | None = None
    headers: dict[str, Secret] = Field(default_factory=dict)
    ok: Text = ""
    error: Text = ""
    unit: Annotated[str, BeforeValidator(_unit)] = USD
    currency: Text = ""
    unlimited: Text = ""
    topup_safe: Flag = True
    fields_: dict[str, Text] = Field(default_factory=dict, alias="fields")
    poll: PollText = DEFAULT_POLL
    poll_fastest: PollBound | None = None
    poll_slowest: PollBound | None = None
    label: Text = ""
    tags: list[Text] = Field(default_factory=list)
    topup: Any = None

    @property
    def by_account(self) -> bool:
        """Whether the account, or its preset, defines its URL and mapping."""
        return self.provider is not None and self.provider.by_account

    @property
    def preset(self) -> Preset | None:
        return self.provider.preset if self.provider is not None else None

    def effective(self, key: str) -> Any:
        """Return what the account says, else its preset, else the default."""
        preset = self.preset
        own = getattr(self, key)
        return own if preset is None or key in self.model_fields_set else getattr(preset, key)

    @property
    def schedule(self) -> Poll:
        """When it is asked. With "auto", unless it says so itself, no faster than its preset finds sensible."""
        poll = str(self.effective("poll"))
        if poll != AUTO:
            return poll
        usual = DEFAULT_POLL if self.preset is None else self.preset.poll
        sensible = FASTEST if usual in (DEFAULT_POLL, AUTO) else gaps(usual, ZoneInfo("UTC"))[0]
        fastest = self.poll_fastest or min(sensible, self.poll_slowest or sensible)
        return AutoPoll(fastest, self.poll_slowest or max(SLOWEST, fastest))

    @property
    def effective_headers(self) -> Mapping[str, str]:
        return self.headers if self.preset is None else {**self.preset.headers, **self.headers}

    @property
    def effective_fields(self) -> Mapping[str, str]:
        """The account's own expressions, and those of its preset for what it says nothing of."""
        if self.preset is None or not self.fields_:
            return self.fields_ if self.preset is None else self.preset.fields
        table = self.preset_table
        own = {table[name][0] for name in self.fields_ if name in table}
        left = {name: text for name, text in self.preset.fields.items() if table[name][0] not in own}
        return {**left, **self.fields_}

    @property
    def units(self) -> tuple[str, str]:
        """Return what its balance and what its quota are in."""
        if not self.by_account:
            return USD, GB
        unit = self.effective("unit")
        in_gb = any(name.endswith("_gb") for name in self.effective_fields)
        return unit, GB if in_gb else unit

    @property
    def preset_table(self) -> Names:
        return self.provider.table if self.provider is not None else {}

    @property
    def effective_auth(self) -> Auth:
        """By a bearer's token where there is a key and nobody says how it is sent."""
        if self.auth is not None:
            return self.auth
        if self.preset is not None:
            return parse_auth(self.preset.auth)
        return BEARER if "api_key" in self.given else NO_AUTH


class RuleTable(Table):
    """What every kind of rule has."""

    required: ClassVar[tuple[str, ...]] = ("id",)
    id: Id | None = None
    kind: Text | None = None
    enabled: Flag = True
    accounts: Texts = Field(default_factory=lambda: ["*"])
    severity: Annotated[Severity, words(Severity)] = Severity.WARNING
    for_readings: Count = 1
    remind_every: Reminder = None


class LowBalanceTable(RuleTable):
    below: Money | None = None
    below_usd: Money | None = None
    measure: Annotated[Measure, words(Measure)] = Measure.AVAILABLE
    clear_above: Money | None = None
    clear_above_usd: Money | None = None

    @property
    def line(self) -> int | None:
        """The threshold, in the account's unit or in dollars."""
        return self.below if self.below is not None else self.below_usd

    @property
    def clear_line(self) -> int | None:
        return self.clear_above if self.clear_above is not None else self.clear_above_usd

    @property
    def unit(self) -> str | None:
        """What the threshold is in; None: whatever the account is in."""
        return None if "below" in self.given else USD


class RunwayTable(RuleTable):
    required: ClassVar[tuple[str, ...]] = ("id", "below_days")
    below_days: Positive | None = None
    clear_above_days: Positive | None = None


class QuotaTable(RuleTable):
    required: ClassVar[tuple[str, ...]] = ("id",)
    at_percent: Percents = Field(default_factory=lambda: [Decimal(80), Decimal(90), Decimal(100)])
    clear_below_percent: Positive | None = None
    forecast_days: Positive | None = None


class BudgetTable(RuleTable):
    required: ClassVar[tuple[str, ...]] = ("id", "period")
    period: Annotated[Period, words(Period)] | None = None
    limit: Money | None = None
    limit_usd: Money | None = None
    limit_gb: Volume | None = None
    at_percent: Percents = Field(default_factory=lambda: [Decimal(50), Decimal(80), Decimal(100)])
    projected: Flag = True


class SpikeTable(RuleTable):
    factor: Positive | None = None
    window: Duration | None = None
    min_usd_per_day: Money | None = None


class StaleTable(RuleTable):
    after: Duration | None = None


RULE_TABLES: dict[str, type[RuleTable]] = {
    "low_balance": LowBalanceTable,
    "runway": RunwayTable,
    "quota": QuotaTable,
    "budget": BudgetTable,
    "spike": SpikeTable,
    "stale": StaleTable,
}


class ReceiverTable(Table):
    """What every kind of receiver has."""

    required: ClassVar[tuple[str, ...]] = ("id",)
    id: Id | None = None
    events: Texts = Field(default_factory=lambda: ["*"])
    accounts: Texts = Field(default_factory=lambda: ["*"])


class WebhookTable(ReceiverTable):
    required: ClassVar[tuple[str, ...]] = ("id", "url", "secret")
    url: Secret | None = None
    event: Text | None = None
    threshold: Money | None = None
    secret: Secrets | None = None
    allow_http: Flag = False


class EmailTable(ReceiverTable):
    required: ClassVar[tuple[str, ...]] = ("id", "to")
    to: Mails | None = None
    max_per_hour: Count = 10


class ChatTable(ReceiverTable):
    required: ClassVar[tuple[str, ...]] = ("id", "url")
    url: Secret | None = None


class ReportTable(Table):
    required: ClassVar[tuple[str, ...]] = ("id", "period", "cron", "to")
    id: Id | None = None
    period: Annotated[ReportPeriod, words(ReportPeriod)] | None = None
    cron: Cron | None = None
    to: Mails | None = None
    csv: Flag = True
    xlsx: Flag = False
    journal: Flag = False
    accounts: Texts = Field(default_factory=lambda: ["*"])


class IncludedRoot(Table):
    """The top level of an included file: the tables that may occur many times. Each is validated later."""

    accounts: Any = None
    rules: Any = None
    webhooks: Any = None
    emails: Any = None
    chat: Any = None
    reports: Any = None


class Root(IncludedRoot):
    """The top level of the configuration."""

    timezone: Text = "UTC"
    templates: Text = ""
    include: Texts | None = None
    store: Any = None
    stripe: Any = None
    smtp: Any = None
    http: Any = None
    heartbeat: Any = None
    api: Any = None
