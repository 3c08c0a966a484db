"""The configuration as the process uses it: checked, resolved and frozen. `daemon.config.load` reads it from TOML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from sys import intern
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import SecretStr

from alerts.model.accounts import AccountInfo
from alerts.model.polling import Poll
from alerts.model.receivers import Receivers
from alerts.model.specs import RuleSpec
from daemon.places import Place, ServerUrl
from daemon.sources.provider import JsonMapping, Provider

NO_SECRET = SecretStr("")


class TopupMode(StrEnum):
    CHARGE = "charge"
    SHADOW = "shadow"
    OFF = "off"


class ManagedBy(StrEnum):
    """Who owns an object: the configuration file, or the API. The other only reads it."""

    FILE = "file"
    API = "api"


class StripeMode(StrEnum):
    TEST = "test"
    LIVE = "live"


class SmtpSecurity(StrEnum):
    NONE = "none"
    STARTTLS = "starttls"
    TLS = "tls"


class ReportPeriod(StrEnum):
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@dataclass(frozen=True, slots=True, kw_only=True)
class TopupConfig:
    """When and how much an account is topped up. Exactly one of the three sizes is set. Money in micro-dollars."""

    when_below_microusd: int
    customer: str
    max_charge_microusd: int
    max_per_day_microusd: int
    max_per_month_microusd: int
    amount_microusd: int | None = None
    to_microusd: int | None = None
    cover_days: Decimal | None = None
    payment_method: str | None = None
    min_charge_microusd: int = 500_000
    cooldown: timedelta = timedelta(minutes=60)
    mode: TopupMode = TopupMode.CHARGE
    statement_descriptor_suffix: str = ""
    receipt_email: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountConfig:
    """One account. `url`: base URL and path. `poll`: a cron expression in the configured zone, or by how it lasts."""

    info: AccountInfo
    provider: Provider
    base_url: str
    url: str = field(repr=False)
    api_key: SecretStr
    poll: Poll
    json: JsonMapping | None = None
    topup: TopupConfig | None = None
    managed_by: ManagedBy = ManagedBy.FILE
    timezone: ZoneInfo | None = None
    """In which its days and months are; None: in the configured zone."""
    unavailable: str = ""
    """Why it is never asked: a secret of an account made by API that nothing opens. Its readings say so."""
    host: str = field(init=False)
    """Host and port of the URL: accounts that share it share a queue."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "host", intern(urlsplit(self.url).netloc.rpartition("@")[2]))

    @property
    def id(self) -> str:
        return self.info.id

    @property
    def untrusted(self) -> bool:
        """Whether its URL is a stranger's, who may not point it into our own networks."""
        return self.managed_by is ManagedBy.API

    def is_asked_as(self, other: AccountConfig) -> bool:
        """Whether both are asked by the same request, and their answers are read alike."""
        return (
            self.provider is other.provider
            and self.url == other.url
            and self.api_key == other.api_key
            and self.json == other.json
            and self.managed_by is other.managed_by
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreConfig:
    path: Path
    url: ServerUrl | None = None
    keep_readings: timedelta = timedelta(days=90)

    @property
    def place(self) -> Place:
        """Where the store is: the server where one is named, else the file."""
        return self.url or self.path


@dataclass(frozen=True, slots=True, kw_only=True)
class StripeConfig:
    api_key: SecretStr
    mode: StripeMode
    api_base: str = "https://api.stripe.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpConfig:
    host: str
    port: int
    security: SmtpSecurity
    sender: str
    username: str = ""
    password: SecretStr = NO_SECRET


@dataclass(frozen=True, slots=True, kw_only=True)
class WebConfig:
    """The address of the local page; without a `host` it is off."""

    host: str | None
    port: int
    token: SecretStr = NO_SECRET


Networks = tuple[IPv4Network | IPv6Network, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiConfig:
    """The HTTP API, where it is enabled. The ceilings bound every top-up that it makes, in micro-dollars."""

    max_charge_microusd: int
    max_per_day_microusd: int
    max_per_month_microusd: int
    max_per_day_total_microusd: int
    """Of all accounts together, those of the file included: a gate of its own."""
    master_keys: tuple[SecretStr, ...] = ()
    """32 bytes in base64 each, the current one first; without one the API takes references to secrets alone."""
    allow_accounts_at: Networks = ()
    allow_subscriptions_at: Networks = ()
    first_charge: TopupMode = TopupMode.SHADOW


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportConfig:
    id: str
    period: ReportPeriod
    cron: str
    to: tuple[str, ...]
    csv: bool = True
    xlsx: bool = False
    journal: bool = False
    accounts: tuple[str, ...] = ("*",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    path: Path
    timezone: ZoneInfo
    store: StoreConfig
    accounts: Mapping[str, AccountConfig]
    rules: tuple[RuleSpec, ...]
    """Configured and default rules, and one `webhook:<id>` for each receiver with a threshold of its own."""
    receivers: Receivers
    reports: tuple[ReportConfig, ...] = ()
    templates: Path | None = None
    stripe: StripeConfig | None = None
    smtp: SmtpConfig | None = None
    web: WebConfig = field(default_factory=lambda: WebConfig(host=None, port=0))
    heartbeat_url: SecretStr | None = None
    api: ApiConfig | None = None
    warnings: tuple[str, ...] = ()
    """The warnings of `check`, one line each: `run` logs them."""

    def zone_of(self, account: AccountConfig) -> ZoneInfo:
        """Return the zone of the account's days and months. Schedules and money's caps are in the configured one."""
        return account.timezone or self.timezone


def needs_topups(config: Config) -> bool:
    """Whether an account is topped up, and Stripe is there to do it."""
    return config.stripe is not None and any(account.topup is not None for account in config.accounts.values())
