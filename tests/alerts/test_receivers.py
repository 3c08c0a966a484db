"""Who hears what: types, accounts, own thresholds."""

from pydantic import SecretStr

from alerts.model.events import EventDraft, EventType
from alerts.model.receivers import ChatReceiver, EmailReceiver, Receivers, WebhookReceiver
from alerts.model.specs import LowBalance
from tests.helpers_alerts import START


def webhook(id: str, **more: object) -> WebhookReceiver:
    return WebhookReceiver(id=id, url="https://yourapp.example/hook", secrets=(), **more)  # type: ignore[arg-type]


def draft(type: EventType, **more: object) -> EventDraft:
    return EventDraft(type=type, at=START, data={}, account="clips", **more)  # type: ignore[arg-type]


EVERYONE = Receivers(
    (
        webhook("app", events=("balance.low",)),
        webhook("own", events=("balance.low",), own_threshold_microusd=9_000_000),
        webhook("both", events=("balance.*", "topup.*"), own_threshold_microusd=9_000_000),
        EmailReceiver(id="ops", to=("ops@example.com",)),
        EmailReceiver(id="other", to=("x@example.com",), accounts=("vault*",)),
    )
)


def test_limits_of_a_top_up_are_told_to_the_operator_alone() -> None:
    everybody = Receivers(
        (
            webhook("app"),
            EmailReceiver(id="ops", to=("ops@example.com",)),
            webhook("sub_1", owner="acme", untrusted=True),
            webhook("sub_2", untrusted=True),
            EmailReceiver(id="account:clips", to=("x@example.com",), untrusted=True),
        )
    )
    assert everybody.route(draft(EventType.TOPUP_LIMITS_CHANGED)) == ("webhook:app", "email:ops")
    assert len(everybody.route(draft(EventType.TOPUP_SUCCEEDED))) == 5


def test_a_rules_event_goes_to_everyone_who_asked_but_not_to_own_thresholds() -> None:
    assert EVERYONE.route(draft(EventType.BALANCE_LOW)) == ("webhook:app", "email:ops")
    assert EVERYONE.route(draft(EventType.BALANCE_RECOVERED)) == ("email:ops",)


def test_an_own_threshold_is_heard_by_its_receiver_alone() -> None:
    assert EVERYONE.route(draft(EventType.BALANCE_LOW, only_receiver="webhook:own")) == ("webhook:own",)


def test_its_end_is_heard_only_where_it_was_asked_for() -> None:
    assert EVERYONE.route(draft(EventType.BALANCE_RECOVERED, only_receiver="webhook:own")) == ()
    assert EVERYONE.route(draft(EventType.BALANCE_RECOVERED, only_receiver="webhook:both")) == ("webhook:both",)


def test_what_is_no_threshold_reaches_a_receiver_with_its_own_threshold() -> None:
    assert EVERYONE.route(draft(EventType.TOPUP_SUCCEEDED)) == ("webhook:both", "email:ops")
    assert EVERYONE.route(draft(EventType.BALANCE_DEPLETED)) == ("webhook:both", "email:ops")


def test_a_test_reaches_its_receiver_whatever_it_asked_for() -> None:
    assert EVERYONE.route(draft(EventType.TEST_PING, only_receiver="webhook:own")) == ("webhook:own",)


def test_events_that_were_not_asked_for_reach_nobody() -> None:
    quiet = Receivers((ChatReceiver(id="team", url=SecretStr("json://x"), events=("topup.*",)),))
    assert quiet.route(draft(EventType.BALANCE_LOW)) == ()
    assert quiet.route(draft(EventType.TOPUP_CREDITED)) == ("chat:team",)


def test_a_failing_receiver_is_not_notified_of_itself() -> None:
    failing = EventDraft(type=EventType.DELIVERY_FAILING, at=START, data={}, not_receiver="email:ops")
    assert EVERYONE.route(failing) == ("email:other",)


def test_a_rule_covers_the_accounts_that_its_globs_name() -> None:
    rule = LowBalance(id="low", below_microusd=5, clear_above_microusd=6, accounts=("clips", "vault-*"))
    assert [rule.covers(id) for id in ("clips", "vault-1", "Clips", "vault")] == [True, True, False, False]


def test_a_failing_receiver_is_notified_by_mail_where_no_mail_asked_for_it() -> None:
    some = Receivers((webhook("app"), EmailReceiver(id="ops", to=("ops@example.com",), events=("topup.*",))))
    failing = EventDraft(type=EventType.DELIVERY_FAILING, at=START, data={}, not_receiver="webhook:app")
    assert some.route(failing) == ("email:ops",)
