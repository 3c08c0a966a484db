"""From bodies to what the process uses: the file's own tables, checks and building, for the objects that changed alone.

An account and its top-up are one unit. Key paths of problems are paths in the body.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from alerts.mail_address import AddressError, parse_address
from alerts.model.patterns import is_glob
from alerts.model.receivers import EmailReceiver, RetiringSecret, WebhookReceiver
from alerts.model.specs import LowBalance, RuleSpec
from alerts.model.values import replace
from daemon.config import build
from daemon.config.lint import accounts as lint_accounts
from daemon.config.lint import receivers as lint_receivers
from daemon.config.lint import rules as lint_rules
from daemon.config.lint import topups as lint_topups
from daemon.config.lint.facts import LintFacts
from daemon.config.load import composed, resolved
from daemon.config.model import AccountConfig, Config, ManagedBy
from daemon.config.problems import Problem, ProblemId, Problems
from daemon.config.reading import Item, Tables, table_of
from daemon.config.schema import (
    AccountTable,
    ApiTable,
    HeartbeatTable,
    HttpTable,
    Root,
    RuleTable,
    SmtpTable,
    StoreTable,
    StripeTable,
    WebhookTable,
)
from daemon.resources.bodies import ApiAccountTable, as_table, table_of_kind
from daemon.resources.keyring import Keyring
from daemon.resources.model import BodyFault, Kind
from daemon.resources.reach import refused_at
from daemon.resources.secrets import StoredSecrets

CUSTOMERS_MAIL = (
    "balance.*", "runway.*", "quota.*", "budget.*", "usage.*",
    "topup.succeeded", "topup.credited", "topup.declined", "topup.action_required",
)  # fmt: skip
"""What an account's own mail address is told."""
AT_ONCE = 1000
"""Objects compiled together: what is needed meanwhile is freed."""
_IGNORED = {ProblemId.ACCOUNT_UNKNOWN}
"""Whether an account is there is asked where the actor is known: nobody reads the names of others in a hint."""


class ObjectSource(NamedTuple):
    """One object to compile, in its normal form."""

    kind: Kind
    id: str
    owner: str
    body: Mapping[str, Any]


Unit = tuple[ObjectSource, ...]
"""An account with its top-up, or one other object: what is compiled together."""


def units_of(sources: Iterable[ObjectSource]) -> list[Unit]:
    """Return the objects as units: each top-up beside its account."""
    found: dict[tuple[Kind, str], Unit] = {}
    for source in sources:
        key = (Kind.ACCOUNT if source.kind is Kind.TOPUP else source.kind, source.id)
        found[key] = (*found.get(key, ()), source)
    return list(found.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What objects are compiled on. `keyring` None: no secret is needed, and none is read."""

    file: Config
    keyring: Keyring | None
    environ: Mapping[str, str]
    protected: frozenset[str]


@dataclass(slots=True)
class Compiled:
    """What came of the objects; one with a fault is not among them. `unavailable`: works, but for its secrets."""

    accounts: dict[str, AccountConfig] = field(default_factory=dict)
    mails: dict[str, EmailReceiver] = field(default_factory=dict)
    rules: dict[str, RuleSpec] = field(default_factory=dict)
    off: set[str] = field(default_factory=set)
    """The rules that are turned off."""
    webhooks: dict[str, WebhookReceiver] = field(default_factory=dict)
    thresholds: dict[str, LowBalance] = field(default_factory=dict)
    faults: dict[tuple[str, str], list[BodyFault]] = field(default_factory=dict)
    unavailable: dict[tuple[str, str], str] = field(default_factory=dict)

    def take(self, other: Compiled) -> None:
        """Add what another batch came to."""
        for name in Compiled.__dataclass_fields__:
            getattr(self, name).update(getattr(other, name))


def compiled(basis: Basis, units: Iterable[Unit], *, strict: bool, around: Sequence[ObjectSource] = ()) -> Compiled:
    """Compile the objects, in batches. `strict`: an unset secret is a fault, as for who asks for a change; else the
    object is unavailable, as at the start. `around`: accounts that they name, for what those report.
    """
    found = Compiled()
    rest = iter(units)
    while batch := [source for unit in islice(rest, AT_ONCE) for source in unit]:
        found.take(_batch(basis, batch, strict=strict, around=around))
    return found


def _batch(basis: Basis, batch: list[ObjectSource], *, strict: bool, around: Sequence[ObjectSource]) -> Compiled:
    found = Compiled()
    problems = Problems()
    tables = _tables(basis, [*batch, *around], problems)
    secrets = StoredSecrets(
        basis.environ,
        basis.file,
        problems,
        required=strict,
        keyring=basis.keyring,
        protected=basis.protected,
    )
    facts = LintFacts(
        tables, resolved(tables, secrets), basis.file.timezone, problems, composed(tables, secrets, problems)
    )
    for module in (lint_accounts, lint_topups, lint_rules, lint_receivers):
        module.lint(facts)
    _lint_own(basis, facts, batch)
    _sort(problems, {(source.kind.value, source.id) for source in batch}, found)
    made = _Made(
        facts,
        {str(item.table.id): item for item in tables.rules},
        {str(item.table.id): item for item in tables.webhooks},
    )
    for source in batch:
        if (source.kind.value, source.id) not in found.faults:
            _build(made, source, found)
    return found


class _Made(NamedTuple):
    """The tables of a batch, rules and subscriptions by id."""

    facts: LintFacts
    rules: Mapping[str, Item[RuleTable]]
    webhooks: Mapping[str, Item[WebhookTable]]


def _tables(basis: Basis, sources: Sequence[ObjectSource], problems: Problems) -> Tables:
    items: dict[Kind, dict[str, Item[Any]]] = {kind: {} for kind in Kind}
    for kind, id, _, body in sources:
        path, table = f"{kind.value}/{id}", table_of_kind(kind, body)
        if table is None:
            problems.add(ProblemId.RULE_KIND, f"{path}.kind", "there is no such kind of rule")
            continue
        data = as_table(body)
        if kind is Kind.RULE:
            data = {"kind": data.get("kind", id), **data, "id": id}
        elif kind is Kind.SUBSCRIPTION:
            data = {**data, "id": id, "allow_http": True}  # where that may be, `[api]` says
        items[kind][id] = Item(table_of(table, data, path, "", problems), path)
    accounts, topups = items[Kind.ACCOUNT], items[Kind.TOPUP]
    return Tables(
        root=Root(),
        store=Item(StoreTable(), "store"),
        http=Item(HttpTable(), "http"),
        heartbeat=Item(HeartbeatTable(), "heartbeat"),
        api=Item(ApiTable(enabled=True), "api"),
        stripe=Item(StripeTable(), "stripe") if basis.file.stripe is not None else None,
        smtp=Item(SmtpTable(), "smtp") if basis.file.smtp is not None else None,
        accounts=accounts,
        topups={id: item for id, item in topups.items() if id in accounts},
        rules=tuple(items[Kind.RULE].values()),
        webhooks=tuple(items[Kind.SUBSCRIPTION].values()),
        emails=(),
        chats=(),
        reports=(),
    )


def _lint_own(basis: Basis, facts: LintFacts, batch: list[ObjectSource]) -> None:
    """Check what an object made by API has beyond the file's tables, and where it may be reached."""
    api = basis.file.api
    for kind, id, _, body in batch:
        path = f"{kind.value}/{id}"
        if kind is Kind.ACCOUNT and (item := facts.tables.accounts.get(id)) is not None:
            _lint_account(basis, facts, item)
            if api is not None and (url := facts.text(item.at("url")) or lint_accounts.base_url(item.table)):
                key = "url" if item.table.by_account else "base_url"
                _note_reach(facts, f"{path}.{key}", refused_at(url, api.allow_accounts_at))
            if "topup" in body:
                said = "a top-up is an object of its own"
                facts.problems.add(ProblemId.KEY_UNKNOWN, f"{path}.topup", said, f"PUT /accounts/{id}/topup")
        elif kind is Kind.SUBSCRIPTION and api is not None and isinstance(body.get("url"), str):
            _note_reach(facts, f"{path}.url", refused_at(body["url"], api.allow_subscriptions_at))
            if "allow_http" in body:
                said = "there is no such key here: the configuration file says where plain http is taken"
                facts.problems.add(ProblemId.KEY_UNKNOWN, f"{path}.allow_http", said)


def _note_reach(facts: LintFacts, path: str, fault: tuple[ProblemId, str, str] | None) -> None:
    if fault is not None:
        facts.problems.add(fault[0], path, fault[1], fault[2])


def _lint_account(basis: Basis, facts: LintFacts, item: Item[AccountTable]) -> None:
    table = item.table
    assert isinstance(table, ApiAccountTable)
    if table.timezone and _zone(table.timezone) is None:
        hint = 'such as "Europe/Berlin"'
        facts.note(ProblemId.TIMEZONE_UNKNOWN, item, "timezone", "there is no such time zone", hint)
    if not table.email:
        return
    if basis.file.smtp is None:
        facts.note(ProblemId.SMTP_MISSING, item, "email", "there is no [smtp] to send mail by")
    try:
        parse_address(table.email)
    except AddressError as error:
        facts.note(ProblemId.MAIL_ADDRESS, item, "email", str(error), error.hint)


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _sort(problems: Problems, asked: set[tuple[str, str]], found: Compiled) -> None:
    """Give each object its faults; what is only worth a warning is a fault where it is about a secret that is unset."""
    errors = set(problems.errors)
    for problem in problems:
        key, path = _object_of(problem)
        if key not in asked or problem.id in _IGNORED:
            continue
        if problem in errors:
            fault = BodyFault(id=problem.id.value, path=path, said=problem.message, hint=problem.hint)
            found.faults.setdefault(key, []).append(fault)
        elif problem.id in (ProblemId.SECRET_UNSET, ProblemId.SECRET_UNREADABLE):
            found.unavailable.setdefault(key, f"{path}: {problem.message}")


def _object_of(problem: Problem) -> tuple[tuple[str, str], str]:
    place, _, path = problem.key_path.partition(".")
    kind, _, id = place.partition("/")
    return (kind, id), path


def _build(made: _Made, source: ObjectSource, found: Compiled) -> None:
    if source.kind is Kind.ACCOUNT:
        _build_account(made.facts, source, found)
    elif source.kind is Kind.SUBSCRIPTION:
        _build_subscription(made.facts, made.webhooks[source.id], source, found)
    elif source.kind is Kind.RULE:
        item = made.rules[source.id]
        if item.table.enabled:
            found.rules[source.id] = build.rule_of(item)
        else:
            found.off.add(source.id)


def _build_account(facts: LintFacts, source: ObjectSource, found: Compiled) -> None:
    id = source.id
    if (Kind.TOPUP.value, id) in found.faults:
        facts = replace(facts, tables=replace(facts.tables, topups={}))
    account = build.account_of(facts, id)
    table = facts.tables.accounts[id].table
    assert isinstance(table, ApiAccountTable)
    found.accounts[id] = replace(
        account,
        info=replace(account.info, owner=source.owner) if source.owner else account.info,
        managed_by=ManagedBy.API,
        timezone=_zone(table.timezone) if table.timezone else None,
        unavailable=found.unavailable.get((source.kind.value, id), ""),
    )
    if table.email:
        found.mails[id] = EmailReceiver(
            id=f"account:{id}", to=(table.email,), events=CUSTOMERS_MAIL, accounts=(id,), owner=source.owner
        )


def _build_subscription(facts: LintFacts, item: Item[WebhookTable], source: ObjectSource, found: Compiled) -> None:
    narrowed = replace(facts, tables=replace(facts.tables, webhooks=(item,)))
    (receiver,) = build.receivers(narrowed)
    assert isinstance(receiver, WebhookReceiver)
    until, retiring = source.body.get("overlap_until"), tuple[RetiringSecret, ...]()
    if isinstance(until, str):
        retiring = tuple(RetiringSecret(one, datetime.fromisoformat(until)) for one in receiver.secrets[1:])
    found.webhooks[receiver.id] = replace(
        receiver, secrets=receiver.secrets[:1], retiring=retiring, owner=source.owner, untrusted=True
    )
    for rule in build.own_thresholds(narrowed):
        found.thresholds[rule.id] = rule


def named_ids(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the accounts that a rule or a subscription names by their ids."""
    said = body.get("accounts")
    texts = [name for name in said if isinstance(name, str)] if isinstance(said, list) else []
    return tuple(name for name in texts if not is_glob(name))
