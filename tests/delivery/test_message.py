"""Every event reads well, as a mail, as plain text and as a chat message."""

from __future__ import annotations

import json
import re
from zoneinfo import ZoneInfo

import pytest

from alerts.channels.content import NOTE_LINES, write_chat, write_mail
from alerts.events.messages.context import AccountContext, MessageContext, TopupTerms
from alerts.events.messages.event_fields import DASH
from alerts.events.messages.message import render_event
from alerts.model.events import EventType, JsonValue, Tone
from alerts.templating import Templates
from tests.helpers_events import example_event

BERLIN = MessageContext(ZoneInfo("Europe/Berlin"))


@pytest.mark.parametrize("type", list(EventType))
def test_every_event_has_a_title_a_sentence_numbers_and_what_to_do(type: EventType) -> None:
    message = render_event(example_event(type), BERLIN)
    assert 5 < len(message.title) <= 80
    for text in (message.sentence, message.next):
        assert text[0].isupper() or not text[0].isalpha()
        assert text.endswith((".", "!", "?"))
        assert ".." not in text
    whole = " ".join((message.title, message.sentence, message.next))
    assert DASH not in whole, whole
    assert "None" not in whole
    assert "_" not in re.sub(r"`[^`]+`|\w+_usd|base_url|(pi|tok)_\w+", "", whole), whole
    assert message.command == "" or message.command.startswith("brimful ")


@pytest.mark.parametrize("type", list(EventType))
def test_every_event_reads_well_alone_as_plain_text(type: EventType) -> None:
    mail = write_mail([example_event(type)], Templates(), BERLIN)
    assert max(len(line) for line in mail.text.splitlines()) <= 200
    assert "<" not in mail.text
    assert "&" not in mail.text
    assert "CET" in mail.text
    assert "\n\n\n" not in mail.text
    assert mail.html.count("<html") == 1


@pytest.mark.parametrize("type", list(EventType))
def test_nulls_never_read_as_zero_and_break_nothing(type: EventType) -> None:
    event = example_event(type)
    data = json.loads(event.body)["data"]
    kept = ("account", "provider", "severity", "observed_at", "action", "command", "reason", "changes", "findings")
    empty = example_event(type, **{name: None for name in data if name not in kept})
    message = render_event(empty, BERLIN)
    assert "$0.00" not in message.sentence + message.title
    write_mail([empty], Templates(), BERLIN)


def test_money_is_exact_and_signed() -> None:
    message = render_event(example_event(EventType.BALANCE_DEPLETED), BERLIN)
    assert "−$0.25 is available" in message.sentence
    assert message.tone is Tone.CRITICAL


def test_a_code_of_the_bank_is_read_as_words() -> None:
    event = example_event(EventType.TOPUP_SUSPENDED, message="authentication_required: Your card was declined.")
    assert render_event(event, BERLIN).sentence == "Authentication required: Your card was declined."


def test_a_reminder_says_so() -> None:
    message = render_event(example_event(EventType.BALANCE_LOW, reminder=True), BERLIN)
    assert message.title == "clips: balance low, $4.21 left (reminder)"


CHARGED = MessageContext(BERLIN.zone, lambda _: AccountContext("Video tracking", TopupTerms(10_000_000, "$25.00")))
NONE, ADD = "Nothing needs to be done.", "Add credit by hand."


@pytest.mark.parametrize(
    ("state", "reason", "does", "next"),
    [
        ("none", "no top-up is configured", "Nothing: no top-up is configured for this account.", ADD),
        ("none", "no top-up is open: …", "Whether the card is charged is decided after this reading.", NONE),
        ("shadow", "mode is shadow", "Nothing is charged: the mode of the top-up is shadow.", ADD),
        (
            "suspended",
            "declined, since 2026-11-01T07:00:00Z",
            "The top-up is suspended: declined, since Sun 1 Nov 2026, 08:00 CET.",
            f"{ADD} The command says what holds the charge back.",
        ),
        ("charging", "", "The top-up is charging.", NONE),
        ("charging", "$50.00 is being charged", "The top-up is charging: $50.00 is being charged.", NONE),
    ],
)
def test_what_is_said_of_the_top_up_fits_its_state(state: str, reason: str, does: str, next: str) -> None:
    topup = {"state": state, "reason": reason, "id": None}
    message = render_event(example_event(EventType.BALANCE_LOW, topup=topup), BERLIN)
    assert (message.does, message.next) == (does, next)


@pytest.mark.parametrize(
    ("available", "does"),
    [
        (4.21, "Brimful will charge $25.00, as less than $10.00 is available. Another message says how it ended."),
        (10, "Brimful will charge $25.00 when less than $10.00 is available."),
        (None, "Brimful will charge $25.00 when less than $10.00 is available."),
    ],
)
def test_what_brimful_will_charge_and_when_is_said_beside_the_low_balance(available: float | None, does: str) -> None:
    topup = {"state": "none", "reason": "no top-up is open: …", "id": None}
    event = example_event(EventType.BALANCE_LOW, topup=topup, available_usd=available)
    assert render_event(event, CHARGED).does == does


def test_an_account_is_named_by_its_label_and_its_id_and_commands_by_its_id() -> None:
    message = render_event(example_event(EventType.QUOTA_HIGH), CHARGED)
    assert message.title == "Video tracking: quota at 80.2 %"
    assert message.command == "brimful history downloads --since 30d"
    mail = write_mail([example_event(EventType.QUOTA_HIGH)], Templates(), CHARGED)
    assert "(account downloads)" in mail.text
    assert re.search(r"Video tracking <span[^>]*>downloads</span>", mail.html)
    both = write_mail([example_event(EventType.QUOTA_HIGH), example_event(EventType.BALANCE_LOW)], Templates(), CHARGED)
    assert "Video tracking: quota at 80.2 % (account downloads)" in both.text
    assert "account" not in write_mail([example_event(EventType.TEST_PING)], Templates(), CHARGED).text.split("--")[0]


def test_a_payment_links_to_where_stripe_shows_it() -> None:
    linked = MessageContext(BERLIN.zone, payments="https://dashboard.stripe.com/payments/")
    mail = write_mail([example_event(EventType.TOPUP_SUCCEEDED)], Templates(), linked)
    url = "https://dashboard.stripe.com/payments/pi_hXoXxbaRaNZIBBbeT5ksvqtv"
    assert f"    {url}\n" in mail.text
    assert f'<a href="{url}"' in mail.html


@pytest.mark.parametrize(
    ("type", "numbers", "said"),
    [
        (EventType.BALANCE_LOW, {"available_usd": 4.999999, "threshold_usd": 5}, "balance low, $4.99 left"),
        (EventType.BALANCE_LOW, {"available_usd": 4.999999, "threshold_usd": 5}, "below the threshold of $5.00"),
        (EventType.BALANCE_LOW, {"available_usd": 0.124, "threshold_usd": 0.125}, "$0.124 is available, below the"),
        (EventType.BALANCE_LOW, {"available_usd": 0.124, "threshold_usd": 0.125}, "threshold of $0.125"),
        (
            EventType.BALANCE_LOW,
            {"measure": "balance", "balance_usd": 4.996, "available_usd": 3, "threshold_usd": 5},
            "$4.99 is the balance, below the threshold of $5.00",
        ),
        (
            EventType.BALANCE_RECOVERED,
            {"measure": "balance", "balance_usd": 6.5, "available_usd": 4, "threshold_usd": 5},
            "$6.50 is the balance, above the threshold of $5.00",
        ),
        (
            EventType.BALANCE_RECOVERED,
            {"available_usd": 5.000001, "threshold_usd": 5},
            "$5.000001 is available, above the threshold of $5.00",
        ),
        (EventType.RUNWAY_SHORT, {"days_remaining": 2.99}, "clips: 2.9 days left"),
        (EventType.QUOTA_HIGH, {"effective_gb": 99.999999, "limit_gb": 100}, "99.99 GB of 100.00 GB is used"),
        (EventType.BUDGET_REACHED, {"spent_usd": 49.999, "limit_usd": 50}, "$49.99 of $50.00 is spent"),
        (EventType.BUDGET_PROJECTED, {"projected_usd": 100.004, "limit_usd": 100}, "heading for $100.004"),
        (
            EventType.BUDGET_PROJECTED,
            {"projected_usd": 100.004, "limit_usd": 100},
            "above the month's budget of $100.00",
        ),
    ],
)
def test_no_amount_reads_as_a_line_that_it_has_not_reached_or_is_beyond(
    type: EventType, numbers: dict[str, JsonValue], said: str
) -> None:
    message = render_event(example_event(type, **numbers), BERLIN)
    assert said in f"{message.title} {message.sentence}"


def test_days_left_are_never_overstated() -> None:
    assert (
        "it lasts 10.8 days"
        in render_event(example_event(EventType.BALANCE_LOW, days_remaining=10.89), BERLIN).sentence
    )


def test_the_subject_of_a_digest_of_one_account_says_each_of_few_headlines() -> None:
    low, high = example_event(EventType.BALANCE_LOW), example_event(EventType.QUOTA_HIGH)
    ended = example_event(EventType.BALANCE_RECOVERED)
    assert write_mail([ended, low], Templates(), BERLIN).subject == (
        "clips: balance low, $4.21 left; balance fine again, $49.75 left"
    )
    assert write_mail([low, high], Templates(), BERLIN).subject == "clips: balance low, $4.21 left, and 1 more"
    several = write_mail([low, high, ended, ended], Templates(), BERLIN)
    assert several.subject == "4 events: clips: balance low, $4.21 left, and 3 more"
    process = [example_event(EventType.DELIVERY_FAILING), example_event(EventType.DELIVERY_RECOVERED)]
    assert write_mail(process, Templates(), BERLIN).subject == (
        "Receiver webhook:app is not reached, 1 event waits, and 1 more"
    )


def test_times_are_in_the_configured_zone_and_name_it() -> None:
    span = {"earliest": "2026-11-04T11:00:00Z", "likely": "2026-11-05T05:00:00Z", "latest": "2026-11-06T02:00:00Z"}
    event = example_event(EventType.RUNWAY_SHORT, runs_out_at=span)
    figures = {one.label: one.value for one in render_event(event, BERLIN).figures}
    assert figures["Runs out"].startswith("Thu 5 Nov 2026, 06:00 CET (between Wed 4 Nov 2026, 12:00 CET")


def test_what_others_wrote_is_escaped() -> None:
    event = example_event(EventType.BILLING_ERROR, billing_error="<img src=x onerror=alert(1)>")
    assert "<img" not in write_mail([event], Templates(), BERLIN).html


def test_a_chat_message_is_short_whatever_falls_together() -> None:
    title, body = write_chat([example_event(EventType.BALANCE_LOW)] * 50, BERLIN)
    assert title.startswith("50 events: clips: balance low")
    assert len(body.splitlines()) == NOTE_LINES + 1
    assert "and 30 more" in body
    one_title, one_body = write_chat([example_event(EventType.BALANCE_LOW)], BERLIN)
    assert one_title == "clips: balance low, $4.21 left"
    assert "At $1.08 a day it lasts 3.8 days." in one_body


def test_a_word_in_backticks_is_a_command_only_where_none_is_named_apart() -> None:
    action = "put `max_charge_usd` or the amount right"
    message = render_event(example_event(EventType.TOPUP_SUSPENDED, action=action, command="brimful check"), BERLIN)
    assert (message.next, message.command) == ("Put `max_charge_usd` or the amount right.", "brimful check")
    message = render_event(example_event(EventType.DELIVERY_FAILING, action="look: `brimful deliveries`"), BERLIN)
    assert (message.next, message.command) == ("Look.", "brimful deliveries")
    message = render_event(example_event(EventType.DELIVERY_FAILING, action="look at its server"), BERLIN)
    assert message.next == "Look at its server."
