"""A provider: one usage API, and all that Brimful knows of it. Each stands in one file of `providers/`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING

from pydantic import SecretStr

from alerts.model.readings import Metrics, Reading
from alerts.model.units import GB, USD
from daemon.sources.auth import NO_AUTH, Auth
from daemon.sources.payload import NotThere, Table, decode, extra, fill, read
from daemon.sources.preset import Preset

if TYPE_CHECKING:
    from daemon.net.http import HttpAnswer  # at run time it would load the HTTP client into commands that ask nobody


class Has(StrEnum):
    """What a reading of an account can hold."""

    BALANCE = "a balance"
    TOTAL = "a running total of what was charged"
    VOLUME = "a used volume"
    LIMIT = "a quota"
    PERIOD = "a billing period"


_METRIC_OF = {
    Has.BALANCE: "balance_microusd",
    Has.TOTAL: "total_charged_microusd",
    Has.VOLUME: "used_microgb",
    Has.LIMIT: "limit_microgb",
    Has.PERIOD: "period_start_at",
}
_MONEY = frozenset({"balance_microusd", "uncharged_microusd", "total_charged_microusd"})

Parser = Callable[[str, datetime, "HttpAnswer"], Reading]
"""Turns an account's id, the time and one answer into a reading; never raises."""
Build = Callable[[bytes], Metrics]
"""Turns the body of a good answer into metrics; raises BadPayload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerSpec:
    """How an answer is read where its provider does not say: an expression by field name, and what must hold of it."""

    fields: Mapping[str, str] = field(default_factory=dict)
    ok: str = ""
    """Anything but true makes the answer none; empty: every answer with a good status is one."""
    error: str = ""
    """Where the API's own words stand, shown where `ok` is not true."""
    currency: str = ""
    """Where the answer says its currency: it must be the unit."""
    unlimited: str = ""
    """True where the answer says that there is no limit."""
    unit: str = USD


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonMapping:
    """What an account says itself where its provider does not: how it is asked, and how its answer is read."""

    answer: AnswerSpec
    headers: Mapping[str, SecretStr] = field(default_factory=dict)
    url: SecretStr | None = None
    """The whole URL where a secret stands in it; else the account's own is whole."""
    method: str = "GET"
    body: SecretStr | None = None
    auth: Auth = NO_AUTH
    secrets: tuple[SecretStr, ...] = ()
    """What was put into URL, headers and body, as it is and as it was encoded: no message may hold it."""


def by_name(table: Table, spec: AnswerSpec) -> Build:
    """Read the names of the table at the top level of the answer; fields that are not in it are kept unjudged."""
    names, needed = frozenset(table), needed_of(table)

    def build(body: bytes) -> Metrics:
        document = decode(body)

        def say(name: str) -> object:
            value = document.get(name)
            if value is None and name in needed:
                raise NotThere(f"{name} is null" if name in document else f"{name} is missing")
            return value

        return fill(table, say, needed, extra(document, names))

    return build


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Provider:
    """One usage API. What follows from its table (what it tells, what is needed) is written nowhere else."""

    name: str
    """In the configuration, and of its module."""
    title: str
    """What people call it."""
    table: Table
    """Which metric each name of its answer is, and how it is read; the names that `/api/v1/usage` gives again."""
    base_url: str = ""
    """Empty where each account says the whole URL, headers and fields itself."""
    path: str = ""
    """Where it answers, below its base URL."""
    key_header: str = ""
    """The request header that carries the API key."""
    min_charge_microusd: int = 0
    """The smallest credit that it sells, in micro-dollars."""
    reader: Callable[[Table, AnswerSpec], Build] = by_name
    """How an answer is read: by the table, and by the account's own expressions where there are some."""
    preset: Preset | None = None
    """What an account leaves to it, where this is any JSON API with a name."""
    provides: frozenset[Has] = field(init=False)
    """What a reading can hold."""

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "provides", provided_by(self._mapped(self.preset.fields) if self.preset else self.table)
        )
        if self.provides.isdisjoint({Has.BALANCE, Has.VOLUME}):
            raise ValueError(f"{self.name}: a provider provides a balance or a used volume")

    @property
    def by_account(self) -> bool:
        """Whether each account says itself where it is asked and how its answer is read."""
        return not self.base_url

    @property
    def unit(self) -> str:
        """The unit of its figures, where no account says another."""
        if self.preset is not None:
            return self.preset.unit
        return USD if self.by_account or Has.BALANCE in self.provides else GB

    @property
    def key_env(self) -> str:
        """The environment variable that `init` proposes for the API key."""
        return f"{self.name.upper().replace('-', '_')}_API_KEY"

    def provided_with(self, fields: Collection[str]) -> frozenset[Has]:
        """Return what a reading of an account can hold that maps these fields."""
        return provided_by(self._mapped(fields)) if self.by_account else self.provides

    def parser(self, spec: AnswerSpec | None = None) -> Parser:
        """Return what turns answers into readings. Raises ValueError where one of the account's expressions is."""
        spec = AnswerSpec() if spec is None else spec
        return partial(read, self.reader(self._mapped(spec.fields) if self.by_account else self.table, spec))

    def _mapped(self, fields: Collection[str]) -> Table:
        return {name: entry for name, entry in self.table.items() if name in fields}


def provided_by(table: Table) -> frozenset[Has]:
    """Return what a reading can hold that is read by the table."""
    metrics = {metric for metric, _ in table.values()}
    return frozenset(has for has, metric in _METRIC_OF.items() if metric in metrics)


def needed_of(table: Table) -> frozenset[str]:
    """Return the names without which there is no reading: all that money is decided on, else the used volume.

    Available money is not computed from a guess, and where there is no money the volume is all that there is to watch.
    """
    money = frozenset(name for name, (metric, _) in table.items() if metric in _MONEY)
    return money or frozenset(name for name, (metric, _) in table.items() if metric == _METRIC_OF[Has.VOLUME])
