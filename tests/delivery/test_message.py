"""Every event reads well, as a mail, as plain text and as a chat message."""

from __future__ import annotations

import json
import re
from zoneinfo import ZoneInfo

import pytest

from alerts.channels.letter import NOTE_LINES, write_letter, write_note
from alerts.events.messages.event_fields import DASH
from alerts.events.messages.message import render_event
from alerts.model.events import EventType, JsonValue, Tone
from alerts.templating import Templates
from tests.helpers_events import example_event

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize("type", list(EventType))
def test_every_event_has_a_title_a_sentence_numbers_and_what_to_do(type: EventType) -> None:
    wording = render_event(example_event(type), BERLIN)
    assert 5 < len(wording.title) <= 80
    for text in (wording.sentence, wording.next):
        assert text[0].isupper() or not text[0].isalpha()
        assert text.endswith((".", "!", "?"))
        assert ".." not in text
    whole = " ".join((wording.title, wording.sentence, wording.next))
    assert DASH not in whole, whole
    assert "None" not in whole
    assert "_" not in re.sub(r"`[^`]+`|\w+_usd|base_url|pi_\w+", "", whole), whole
    assert wording.command == "" or wording.command.startswith("brimful ")


@pytest.mark.parametrize("type", list(EventType))
def test_every_event_reads_well_alone_as_plain_text(type: EventType) -> None:
    letter = write_letter([example_event(type)], Templates(), BERLIN)
    assert max(len(line) for line in letter.text.splitlines()) <= 200
    assert "<" not in letter.text
    assert "&" not in letter.text
    assert "CET" in letter.text
    assert "\n\n\n" not in letter.text
    assert letter.html.count("<html") == 1


@pytest.mark.parametrize("type", list(EventType))
def test_nulls_never_read_as_zero_and_break_nothing(type: EventType) -> None:
    event = example_event(type)
    data = json.loads(event.body)["data"]
    kept = ("account", "provider", "severity", "observed_at", "action", "command", "reason", "changes", "findings")
    empty = example_event(type, **{name: None for name in data if name not in kept})
    wording = render_event(empty, BERLIN)
    assert "$0.00" not in wording.sentence + wording.title
    write_letter([empty], Templates(), BERLIN)


def test_money_is_exact_and_signed() -> None:
    wording = render_event(example_event(EventType.BALANCE_DEPLETED), BERLIN)
    assert "−$0.25 is available" in wording.sentence
    assert wording.tone is Tone.CRITICAL


def test_a_code_of_the_bank_is_read_as_words() -> None:
    event = example_event(EventType.TOPUP_SUSPENDED, message="authentication_required: Your card was declined.")
    assert "this account: authentication required: Your card was declined." in render_event(event, BERLIN).sentence


def test_a_reminder_says_so() -> None:
    assert render_event(example_event(EventType.BALANCE_LOW, reminder=True), BERLIN).title.startswith("Still: clips")


def test_a_top_up_under_way_is_said_beside_the_low_balance() -> None:
    topup = {"state": "charging", "reason": "$50.00 is being charged", "id": "tu_1"}
    wording = render_event(example_event(EventType.BALANCE_LOW, topup=topup), BERLIN)
    assert wording.next == "The top-up is charging: $50.00 is being charged."


@pytest.mark.parametrize(
    ("state", "reason", "said"),
    [
        ("none", "no top-up is configured", "No top-up is configured: add credit by hand."),
        (
            "none",
            "no top-up is open: it is judged after this reading",
            "No top-up is open: it is judged after this reading.",
        ),
        (
            "suspended",
            "declined, since 2026-11-01T07:00:00Z",
            "The top-up is suspended: declined, since Sun 1 Nov 2026, 08:00 CET.",
        ),
        ("charging", "", "The top-up is charging."),
    ],
)
def test_what_is_said_of_the_top_up_fits_its_state(state: str, reason: str, said: str) -> None:
    topup = {"state": state, "reason": reason, "id": None}
    assert render_event(example_event(EventType.BALANCE_LOW, topup=topup), BERLIN).next == said


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
        (EventType.BUDGET_PROJECTED, {"projected_usd": 100.004, "limit_usd": 100}, "above the limit of $100.00"),
    ],
)
def test_no_amount_reads_as_a_line_that_it_has_not_reached_or_is_beyond(
    type: EventType, numbers: dict[str, JsonValue], said: str
) -> None:
    wording = render_event(example_event(type, **numbers), BERLIN)
    assert said in f"{wording.title} {wording.sentence}"


def test_days_left_are_never_overstated() -> None:
    assert (
        "it lasts 10.8 days"
        in render_event(example_event(EventType.BALANCE_LOW, days_remaining=10.89), BERLIN).sentence
    )


def test_a_digest_of_few_begins_with_what_tells_most() -> None:
    events = [example_event(EventType.TOPUP_PLANNED), example_event(EventType.TOPUP_SUCCEEDED)]
    letter = write_letter(events, Templates(), BERLIN)
    assert letter.subject == "clips: $50.00 charged, and 1 more"
    assert "topup.planned, topup.succeeded" in letter.text


def test_times_are_in_the_configured_zone_and_name_it() -> None:
    span = {"earliest": "2026-11-04T11:00:00Z", "likely": "2026-11-05T05:00:00Z", "latest": "2026-11-06T02:00:00Z"}
    event = example_event(EventType.RUNWAY_SHORT, runs_out_at=span)
    figures = {one.label: one.value for one in render_event(event, BERLIN).figures}
    assert figures["Runs out"].startswith("Thu 5 Nov 2026, 06:00 CET (between Wed 4 Nov 2026, 12:00 CET")


def test_what_others_wrote_is_escaped() -> None:
    event = example_event(EventType.BILLING_ERROR, billing_error="<img src=x onerror=alert(1)>")
    assert "<img" not in write_letter([event], Templates(), BERLIN).html


def test_a_chat_message_is_short_whatever_falls_together() -> None:
    title, body = write_note([example_event(EventType.BALANCE_LOW)] * 50, BERLIN)
    assert title.startswith("50 events: clips: balance low")
    assert len(body.splitlines()) == NOTE_LINES + 1
    assert "and 30 more" in body
    one_title, one_body = write_note([example_event(EventType.BALANCE_LOW)], BERLIN)
    assert one_title == "clips: balance low, $4.21 left"
    assert "At $1.08 a day it lasts 3.8 days." in one_body


def test_a_word_in_backticks_is_a_command_only_where_none_is_named_apart() -> None:
    action = "put `max_charge_usd` or the amount right"
    wording = render_event(example_event(EventType.TOPUP_SUSPENDED, action=action, command="brimful check"), BERLIN)
    assert (wording.next, wording.command) == ("Put `max_charge_usd` or the amount right.", "brimful check")
    wording = render_event(example_event(EventType.DELIVERY_FAILING, action="look: `brimful deliveries`"), BERLIN)
    assert (wording.next, wording.command) == ("Look.", "brimful deliveries")
    wording = render_event(example_event(EventType.DELIVERY_FAILING, action="look at its server"), BERLIN)
    assert wording.next == "Look at its server."
