"""Build the frozen `Config` from tables without errors, and fill in the defaults."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from pydantic import SecretStr

from alerts.model.accounts import AccountInfo
from alerts.model.receivers import ChatReceiver, EmailReceiver, Receiver, Receivers, WebhookReceiver
from alerts.model.specs import Budget, LowBalance, Quota, RuleSpec, Runway, Spike, Stale
from daemon.config.lint.accounts import base_url
from daemon.config.lint.facts import LintFacts
from daemon.config.lint.process import listen_at, master_key_paths
from daemon.config.lint.receivers import events_of, secret_paths
from daemon.config.lint.rules import CLEAR_ABOVE, CLEAR_BELOW_POINTS
from daemon.config.lint.topups import DEFAULT_COOLDOWN, least_charge
from daemon.config.model import (
    AccountConfig,
    ApiConfig,
    Config,
    ReportConfig,
    SmtpConfig,
    SmtpSecurity,
    StoreConfig,
    StripeConfig,
    TopupConfig,
    WebConfig,
)
from daemon.config.reading import DEFAULT_RULES, Item
from daemon.config.schema import (
    AccountTable,
    BudgetTable,
    LowBalanceTable,
    QuotaTable,
    ReportTable,
    RuleTable,
    RunwayTable,
    SpikeTable,
    StaleTable,
    TopupTable,
)
from daemon.config.urls import origin
from daemon.places import Place
from daemon.sources.provider import AnswerSpec, JsonMapping

DEFAULT_KEEP = timedelta(days=90)
DEFAULT_REMINDER = timedelta(hours=24)
DEFAULT_PORTS = {SmtpSecurity.NONE: 25, SmtpSecurity.STARTTLS: 587, SmtpSecurity.TLS: 465}

V = TypeVar("V")


def build(facts: LintFacts, path: Path, store: Place, warnings: tuple[str, ...]) -> Config:
    """Return the configuration; `facts` must hold no error."""
    tables = facts.tables
    host, port = listen_at(tables.http.table.listen) or (None, 0)
    heartbeat = facts.secret("heartbeat.url")
    return Config(
        path=path,
        timezone=facts.zone,
        store=StoreConfig(
            path=store if isinstance(store, Path) else Path(),
            url=None if isinstance(store, Path) else store,
            keep_readings=tables.store.table.keep_readings or DEFAULT_KEEP,
        ),
        accounts={id: account_of(facts, id) for id in tables.accounts},
        rules=(*_rules(facts), *own_thresholds(facts)),
        receivers=Receivers(receivers(facts)),
        reports=tuple(_report(item.table) for item in tables.reports),
        templates=templates_at(facts.tables.root.templates, path),
        stripe=_stripe(facts),
        smtp=_smtp(facts),
        web=WebConfig(host=host, port=port, token=_secret(facts, "http.token")),
        heartbeat_url=SecretStr(heartbeat) if heartbeat else None,
        api=_api(facts),
        warnings=warnings,
    )


def store_at(written: str, environ: Mapping[str, str]) -> Path:
    """Return the database's path: a relative one is in systemd's state folder, else in the working folder."""
    state = environ.get("STATE_DIRECTORY", "").split(os.pathsep)[0]
    return Path(state) / Path(written or "brimful.db").expanduser()


def templates_at(written: str, path: Path) -> Path | None:
    """Return the folder of the operator's templates: a relative one is beside the configuration."""
    return path.parent / Path(written).expanduser() if written else None


def _need(value: V | None) -> V:
    if value is None:
        raise AssertionError("a table without an error has every key that it needs")
    return value


def _secret(facts: LintFacts, path: str) -> SecretStr:
    return facts.secrets.get(path, SecretStr(""))


def account_of(facts: LintFacts, id: str) -> AccountConfig:
    """Return one account of tables without an error."""
    item = facts.tables.accounts[id]
    table, provider = item.table, _need(item.table.provider)
    base, url = (base_url(table), "") if not provider.by_account else _shown_url(facts, item)
    topup = facts.tables.topups.get(id)
    unit, quota_unit = table.units
    return AccountConfig(
        info=AccountInfo(
            id=id,
            provider=provider.name,
            label=table.label,
            tags=tuple(table.tags),
            unit=unit,
            quota_unit=quota_unit,
            believe_falls_after=topup.table.believe_falls_after if topup is not None else None,
        ),
        provider=provider,
        base_url=base,
        url=url or base + provider.path,
        api_key=_secret(facts, item.at("api_key")),
        poll=table.schedule,
        json=_mapping(facts, item) if provider.by_account else None,
        topup=_topup(topup.table, least_charge(facts, id)) if topup is not None else None,
    )


_LONG_VALUE = re.compile(r"=[^&=]{8,}")
"""A value in the query of a URL that may be a key."""


def _shown_url(facts: LintFacts, item: Item[AccountTable]) -> tuple[str, str]:
    """Return host and URL of an account that says the whole one, without a secret in it; the host for both if it is."""
    text = facts.texts[item.at("url")]
    base = origin(text.text.get_secret_value())
    return base, _LONG_VALUE.sub("=…", text.shown) or base


def _mapping(facts: LintFacts, item: Item[AccountTable]) -> JsonMapping:
    table = item.table
    checks = {key: table.effective(key) for key in ("ok", "error", "currency", "unlimited", "unit")}
    url, body = facts.texts[item.at("url")], facts.texts.get(item.at("body"))
    headers = {name: facts.texts[item.at(f"headers.{name}")] for name in table.effective_headers}
    texts = [url, *headers.values(), *([body] if body is not None else ())]
    return JsonMapping(
        answer=AnswerSpec(fields=table.effective_fields, **checks),
        headers={name: text.text for name, text in headers.items()},
        url=url.text,
        method=table.effective("method"),
        body=body.text if body is not None else None,
        auth=table.effective_auth,
        secrets=tuple(secret for text in texts for secret in text.secrets),
    )


def _topup(table: TopupTable, least_microusd: int) -> TopupConfig:
    return TopupConfig(
        when_below_microusd=_need(table.when_below_usd),
        customer=_need(table.customer),
        max_charge_microusd=_need(table.max_charge_usd),
        max_per_day_microusd=_need(table.max_per_day_usd),
        max_per_month_microusd=_need(table.max_per_month_usd),
        amount_microusd=table.amount_usd,
        to_microusd=table.to_usd,
        cover_days=table.cover_days,
        payment_method=table.payment_method or None,
        min_charge_microusd=table.min_charge_usd or least_microusd,
        cooldown=table.cooldown or DEFAULT_COOLDOWN,
        mode=table.mode,
        statement_descriptor_suffix=table.statement_descriptor_suffix,
        receipt_email=table.receipt_email,
    )


def _rules(facts: LintFacts) -> tuple[RuleSpec, ...]:
    """Return the enabled rules, and the default rules that are not replaced or disabled."""
    written = {_need(item.table.id) for item in facts.tables.rules}
    rules = [rule_of(item) for item in facts.tables.rules if item.table.enabled]
    defaults: tuple[RuleSpec, ...] = (Spike(id="spike"), Stale(id="stale"))
    assert tuple(rule.id for rule in defaults) == DEFAULT_RULES
    return (*rules, *(rule for rule in defaults if rule.id not in written))


def rule_of(item: Item[RuleTable]) -> RuleSpec:
    """Return one rule of a table without an error."""
    table = item.table
    common: dict[str, Any] = {
        "id": _need(table.id),
        "accounts": tuple(table.accounts),
        "severity": table.severity,
        "for_readings": table.for_readings,
        "remind_every": table.remind_every if "remind_every" in table.given else DEFAULT_REMINDER,
    }
    match table:
        case LowBalanceTable():
            below, clear = _need(table.line), table.clear_line
            return LowBalance(
                below_microusd=below,
                clear_above_microusd=clear if clear is not None else int(below * CLEAR_ABOVE),
                measure=table.measure,
                unit=table.unit,
                **common,
            )
        case RunwayTable():
            days = _need(table.below_days)
            return Runway(below_days=days, clear_above_days=table.clear_above_days or days * CLEAR_ABOVE, **common)
        case QuotaTable():
            lowest = table.at_percent[0]
            under = table.clear_below_percent or lowest - min(CLEAR_BELOW_POINTS, lowest / 2)
            return Quota(
                at_percent=tuple(table.at_percent),
                clear_below_percent=under,
                forecast_days=table.forecast_days,
                **common,
            )
        case BudgetTable():
            return Budget(
                period=_need(table.period),
                limit_microusd=table.limit_usd,
                limit_microgb=table.limit_gb,
                limit_micro=table.limit,
                at_percent=tuple(table.at_percent),
                projected=table.projected,
                **common,
            )
        case SpikeTable():
            own = {"factor": table.factor, "window": table.window, "min_microusd_per_day": table.min_usd_per_day}
            common.update({key: value for key, value in own.items() if value is not None})
            return Spike(**common)
        case StaleTable():
            return Stale(after=table.after, **common)
        case _:
            raise AssertionError(f"no rule is made of {type(table).__name__}")


def own_thresholds(facts: LintFacts) -> tuple[LowBalance, ...]:
    """Return the rule of each receiver's own threshold: only that receiver is notified."""
    return tuple(
        LowBalance(
            id=f"webhook:{item.table.id}",
            accounts=tuple(item.table.accounts),
            below_microusd=item.table.threshold,
            clear_above_microusd=int(item.table.threshold * CLEAR_ABOVE),
            only_receiver=f"webhook:{item.table.id}",
            unit=None,
        )
        for item in facts.tables.webhooks
        if item.table.threshold is not None
    )


def receivers(facts: LintFacts) -> tuple[Receiver, ...]:
    """Return the receivers of tables without an error."""
    tables = facts.tables
    webhooks = [
        WebhookReceiver(
            id=_need(item.table.id),
            url=facts.secret(item.at("url")),
            events=events_of(item.table),
            accounts=tuple(item.table.accounts),
            secrets=tuple(_secret(facts, path) for path in secret_paths(item)),
            own_threshold_microusd=item.table.threshold,
            allow_http=item.table.allow_http,
        )
        for item in tables.webhooks
    ]
    emails = [
        EmailReceiver(
            id=_need(item.table.id),
            to=tuple(_need(item.table.to)),
            events=tuple(item.table.events),
            accounts=tuple(item.table.accounts),
            max_per_hour=item.table.max_per_hour,
        )
        for item in tables.emails
    ]
    chats = [
        ChatReceiver(
            id=_need(item.table.id),
            url=_secret(facts, item.at("url")),
            events=tuple(item.table.events),
            accounts=tuple(item.table.accounts),
        )
        for item in tables.chats
    ]
    return (*webhooks, *emails, *chats)


def _api(facts: LintFacts) -> ApiConfig | None:
    item = facts.tables.api
    table = item.table
    if not table.enabled:
        return None
    return ApiConfig(
        max_charge_microusd=table.max_charge_usd,
        max_per_day_microusd=table.max_per_day_usd,
        max_per_month_microusd=table.max_per_month_usd,
        max_per_day_total_microusd=table.max_per_day_total_usd,
        master_keys=tuple(_secret(facts, path) for path in master_key_paths(item)),
        allow_accounts_at=table.allow_accounts_at,
        allow_subscriptions_at=table.allow_subscriptions_at,
        first_charge=table.first_charge,
    )


def _report(table: ReportTable) -> ReportConfig:
    return ReportConfig(
        id=_need(table.id),
        period=_need(table.period),
        cron=_need(table.cron),
        to=tuple(_need(table.to)),
        csv=table.csv,
        xlsx=table.xlsx,
        journal=table.journal,
        accounts=tuple(table.accounts),
    )


def _stripe(facts: LintFacts) -> StripeConfig | None:
    item = facts.tables.stripe
    if item is None:
        return None
    table = item.table
    return StripeConfig(api_key=_secret(facts, item.at("api_key")), mode=_need(table.mode), api_base=table.api_base)


def _smtp(facts: LintFacts) -> SmtpConfig | None:
    item = facts.tables.smtp
    if item is None:
        return None
    table = item.table
    return SmtpConfig(
        host=_need(table.host),
        port=table.port or DEFAULT_PORTS[table.security],
        security=table.security,
        sender=_need(table.sender),
        username=table.username,
        password=_secret(facts, item.at("password")),
    )
