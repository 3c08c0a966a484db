"""The file's objects in the API's words: what it says of them may be read, and changed in the file alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

from alerts.model.instants import EPOCH
from alerts.model.money import to_decimal
from alerts.model.polling import AUTO, AutoPoll, Poll
from alerts.model.receivers import WebhookReceiver
from alerts.model.specs import Budget, LowBalance, Quota, RuleSpec, Runway, Spike, Stale
from daemon.config.durations import format_duration
from daemon.config.model import AccountConfig, Config, ManagedBy, TopupConfig
from daemon.config.urls import origin
from daemon.resources.model import Kind, Resource

_KINDS: Mapping[type[RuleSpec], str] = {
    LowBalance: "low_balance",
    Runway: "runway",
    Quota: "quota",
    Budget: "budget",
    Spike: "spike",
    Stale: "stale",
}
_NOT_SAID = ("id", "only_receiver", "unit")


def resource_of_file(config: Config, kind: Kind, id: str) -> Resource | None:
    """Return an object that the file names, None where it names none."""
    body: dict[str, Any] | None = None
    owner = ""
    match kind:
        case Kind.ACCOUNT | Kind.TOPUP:
            account = config.accounts.get(id)
            if account is not None and kind is Kind.ACCOUNT:
                body = account_body(account)
            elif account is not None and account.topup is not None:
                body = topup_body(account.topup)
        case Kind.RULE:
            body = next(
                (rule_body(rule) for rule in config.rules if rule.id == id and rule.only_receiver is None), None
            )
        case Kind.SUBSCRIPTION:
            receivers = (r for r in config.receivers.all if isinstance(r, WebhookReceiver) and r.id == id)
            body = next((_webhook_body(receiver) for receiver in receivers), None)
    if body is None:
        return None
    return Resource(
        kind=kind,
        id=id,
        owner=owner,
        version=1,
        body=body,
        created_at=EPOCH,
        changed_at=EPOCH,
        managed_by=ManagedBy.FILE,
    )


def account_body(account: AccountConfig) -> dict[str, Any]:
    """Return what is known of an account, without a secret."""
    body: dict[str, Any] = {"provider": account.provider.name}
    mapping = account.json
    if mapping is None:
        body["base_url"] = account.base_url
    else:
        body |= {"url": account.url, "method": mapping.method}
        if account.provider.preset is None:
            body["fields"] = dict(mapping.answer.fields)
        body["unit"] = account.info.unit
    body |= _poll(account.poll)
    if account.info.label:
        body["label"] = account.info.label
    if account.info.tags:
        body["tags"] = list(account.info.tags)
    if account.timezone is not None:
        body["timezone"] = account.timezone.key
    return body


def _poll(poll: Poll) -> dict[str, Any]:
    if not isinstance(poll, AutoPoll):
        return {"poll": poll}
    bounds = {"poll_fastest": format_duration(poll.fastest), "poll_slowest": format_duration(poll.slowest)}
    return {"poll": AUTO, **bounds}


def topup_body(topup: TopupConfig) -> dict[str, Any]:
    """Return a top-up in the words of its table."""
    return _said(topup, {})


def rule_body(rule: RuleSpec) -> dict[str, Any]:
    """Return a rule in the words of its table."""
    in_usd = isinstance(rule, LowBalance) and rule.unit is not None
    names = {"below_microusd": "below_usd", "clear_above_microusd": "clear_above_usd"} if in_usd else {}
    names |= {"below_microusd": "below", "clear_above_microusd": "clear_above"} if not in_usd else {}
    return {"kind": _KINDS[type(rule)], **_said(rule, names | {"limit_micro": "limit", "limit_microgb": "limit_gb"})}


def _webhook_body(receiver: WebhookReceiver) -> dict[str, Any]:
    body: dict[str, Any] = {"url": origin(receiver.url), "events": list(receiver.events)}
    body["accounts"] = list(receiver.accounts)
    if receiver.own_threshold_microusd is not None:
        body["threshold"] = f"{to_decimal(receiver.own_threshold_microusd):f}"
    return body


def _said(value: Any, names: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of a dataclass by the keys of its table: `…_microusd` is an amount in dollars."""
    found: dict[str, Any] = {}
    for field in value.__dataclass_fields__:
        said = getattr(value, field)
        if said is None or said == "" or field in _NOT_SAID:
            continue
        key = names.get(field) or field.replace("_microusd_per_day", "_usd_per_day").replace("_microusd", "_usd")
        found[key] = _amount(said) if "micro" in field else _plain(said)
    return found


def _amount(micro: int) -> str:
    exact = to_decimal(micro)
    return f"{exact:.2f}" if exact == round(exact, 2) else f"{exact.normalize():f}"


def _plain(value: Any) -> Any:
    match value:
        case Enum():
            return value.value
        case timedelta():
            return format_duration(value)
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case tuple():
            return [_plain(item) for item in value]
    return value
