"""Objects as they are answered: their own keys, who manages them, and how an account stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from alerts.model.receivers import WebhookReceiver
from alerts.rules.next_poll import NextPoll
from alerts.rules.state import AccountState
from daemon.api import answers
from daemon.api.context import ApiContext
from daemon.config.model import AccountConfig, ManagedBy
from daemon.resources.model import Resource
from daemon.status.polls import planned
from daemon.status.topups import topup_status
from daemon.store import states
from daemon.store.connection import Connection
from daemon.store.subscriptions import SubscriptionPhase, SubscriptionState, subscription_state
from daemon.web.choice import tone_of


def managed(api: ApiContext, resource: Resource) -> dict[str, Any]:
    """Return an object's own keys, and what every object has."""
    by_api = resource.managed_by is ManagedBy.API
    return {
        "id": resource.id,
        **{key: value for key, value in api.registry.shown(resource).items() if key != "id"},
        "managed_by": resource.managed_by.value,
        "version": resource.version,
        "created_at": answers.at(resource.created_at) if by_api else None,
        "changed_at": answers.at(resource.changed_at) if by_api else None,
        "problem": resource.problem or None,
    }


def owned(api: ApiContext, resource: Resource) -> dict[str, Any]:
    return {**managed(api, resource), "owner": resource.owner}


def subscription(api: ApiContext, resource: Resource) -> dict[str, Any]:
    """Return a subscription with what became of its deliveries, asked of the lane: within `apart`.

    One that was just made has no receiver yet.
    """
    receiver, status = api.config.receivers.find(f"webhook:{resource.id}"), None
    if resource.managed_by is ManagedBy.API and not resource.problem:
        state = SubscriptionState(SubscriptionPhase.PENDING)
        if isinstance(receiver, WebhookReceiver):
            state = subscription_state(api.store.reader, receiver)
        status = {"phase": state.phase.value, "since": answers.at(state.since), "last_error": state.last_error or None}
    return {**owned(api, resource), "status": status}


def account(
    api: ApiContext, resource: Resource, connection: Connection, known: Callable[[str], AccountState | None]
) -> dict[str, Any]:
    """Return an account with its status. `known` is what the process remembers of it."""
    configured = api.config.accounts.get(resource.id)
    return {**owned(api, resource), "status": _status(api, resource.id, configured, connection, known)}


def _status(
    api: ApiContext,
    id: str,
    configured: AccountConfig | None,
    connection: Connection,
    known: Callable[[str], AccountState | None],
) -> Mapping[str, Any]:
    state = known(id) or states.load(connection, id)
    last, now = state.last, api.clock.now()
    episodes = sorted(state.episodes.values(), key=lambda one: (one.opened_at, one.rule))
    severities = {one.severity for one in episodes}
    topup = None if configured is None else topup_status(api.config, connection, id, now)
    return {
        "state": tone_of(last is not None, state.outage is not None, severities).value,
        "available": None if last is None else answers.money(last.metrics.available_microusd),
        "unit": "USD" if configured is None else configured.info.unit,
        "days_remaining": None if last is None else answers.plain(api.forecasts.of(state, last).days_remaining),
        "observed_at": None if last is None else answers.at(last.at),
        "open_alerts": [one.rule for one in episodes],
        "topup": None if topup is None else topup.state,
        "next_poll": None if configured is None else _next_poll(planned(api.config, configured, state)),
    }


def _next_poll(found: NextPoll | None) -> Mapping[str, Any] | None:
    if found is None:
        return None
    return {"at": answers.at(found.at), "interval_s": round(found.interval.total_seconds()), "why": found.why}
