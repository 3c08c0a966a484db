"""The events of top-ups, deliveries and tests, each validated by its schema."""

import json
from collections.abc import Callable
from datetime import timedelta

import pytest

from alerts.delivery import notices
from alerts.delivery.policy import ReceiverNotice
from alerts.model.accounts import AccountInfo
from alerts.model.events import Event, EventDraft, EventType, Severity, encode_body
from alerts.model.outbox import ReceiverState
from alerts.model.values import replace
from daemon.resources.ceiling import limits_changed_draft
from daemon.store.topup_rows import State, Topup
from daemon.stripe.declines import Decline, DeclineKind
from daemon.topups.policy import messages as events
from daemon.topups.policy.gate import Gate, GateName, Usd
from daemon.topups.policy.step import Account
from tests.helpers_alerts import START, validator
from tests.helpers_topups import topup_config

TOPUP = Topup(
    id="clips-7",
    account="clips",
    customer="cus_123",
    seq=7,
    own=True,
    state=State.PLANNED,
    amount_cents=5000,
    create_key="brimful:cus_123:clips:7:create",
    create_params="{}",
    planned_at=START,
    state_at=START,
    payment_intent="pi_123",
    available_microusd=4_210_000,
    funded_before_microusd=105_000_000,
    reading_at=START,
)
BARE = replace(
    TOPUP, payment_intent=None, available_microusd=None, funded_before_microusd=None, reading_at=None, own=False
)
ACCOUNT = Account("clips", "contentstats", None)
DECLINE = Decline(DeclineKind.SOFT, "insufficient_funds", "Your card has insufficient funds.", "fp_1")
CAP = Gate(
    GateName.CAP_DAY,
    False,
    "spent and open {spent_and_open} of {cap}",
    {"window": "2026-11-03", "cap": Usd(100_000_000), "spent_and_open": Usd(100_000_000), "left": Usd(0)},
)


def _limits_changed() -> EventDraft:
    draft = limits_changed_draft(AccountInfo("clips", "contentstats"), None, topup_config(), "cli:ops", START)
    assert draft is not None
    return draft


DRAFTS: list[Callable[[Topup], EventDraft]] = [
    lambda t: events.planned(t, ACCOUNT, START),
    lambda t: events.succeeded(t, ACCOUNT, START),
    lambda t: events.credited(t, ACCOUNT, START),
    lambda t: events.credited(replace(t, credited_microusd=50_000_000), ACCOUNT, START),
    lambda t: events.declined(t, ACCOUNT, START, DECLINE, 1, START + timedelta(hours=1)),
    lambda t: events.declined(t, ACCOUNT, START, DECLINE, 4, None),
    lambda t: events.action_required(t, ACCOUNT, START, "authentication required", 1),
    lambda t: events.not_credited(t, ACCOUNT, START),
    lambda t: events.not_credited(replace(t, paid_at=START), ACCOUNT, START),
    lambda t: events.needs_review(t, ACCOUNT, START, "the list fails"),
    lambda t: events.account_stopped(ACCOUNT, START, "burn_brake", "a leak", "2026-11-03"),
    lambda t: events.account_stopped(ACCOUNT, START, "declined", "twice", "1", t),
    lambda t: events.account_stopped(ACCOUNT, START, "stripe_credentials", "401", "1"),
    lambda t: events.capped(ACCOUNT, START, CAP, "cus_123", 50_000_000),
    lambda t: _limits_changed(),
]


@pytest.mark.parametrize("topup", [TOPUP, BARE], ids=["own", "bare"])
@pytest.mark.parametrize("make", DRAFTS)
def test_every_event_of_a_top_up_is_what_its_schema_says(make: Callable[[Topup], EventDraft], topup: Topup) -> None:
    draft = make(topup)
    validator(draft.type).validate(json.loads(encode_body(draft, 3, "store_1")))


def test_all_types_of_top_up_events_are_among_them() -> None:
    told = {make(TOPUP).type for make in DRAFTS}
    assert told == {type for type in EventType if type.value.startswith("topup.")}


@pytest.mark.parametrize("notice", [notice for notice in ReceiverNotice if notice is not ReceiverNotice.RECOVERED])
def test_what_is_notified_of_receivers_is_what_its_schema_says(notice: ReceiverNotice) -> None:
    state = ReceiverState(key="webhook:app", failures=3, failing_since=START, last_error="500")
    event = Event("evt_1", EventType.BALANCE_LOW, START, "clips", Severity.WARNING, "low", "ep_1", 1, b"{}")
    for draft in (notices.failing(notice, state, event, 4, START), notices.recovered(state, 4, START)):
        validator(draft.type).validate(json.loads(encode_body(draft, None, "store_1")))


def test_a_test_is_what_its_schema_says() -> None:
    data = {"receiver": "webhook:app", "message": "This is a test.", "observed_at": "2026-11-03T12:00:00Z"}
    draft = EventDraft(type=EventType.TEST_PING, at=START, data=data, only_receiver="webhook:app")
    validator(draft.type).validate(json.loads(encode_body(draft, None, "store_1")))
