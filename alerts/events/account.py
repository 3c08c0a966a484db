"""The events that need no rule: readings, what the provider says of the account, receivers, and a test."""

from __future__ import annotations

from alerts.events.fields import ACTION, COUNT, FLAG, INSTANT, LOOSE, NUMBER, TEXT, WORDS, Field, list_of, one_of
from alerts.events.messages import sentences
from alerts.events.spec import ANY, BOTH, CRITICAL, INFO, OPERATOR, WARNING, EventSpec, Reader, of_alert
from alerts.model.events import EventType, Tone
from alerts.model.readings import Reason
from alerts.model.reasons import FALL, STALE, AnomalyKind, Limit, ReceiverFailure, SuspectReason

_REASON = Field(
    "reason",
    one_of([*(reason for reason in Reason if reason is not Reason.SUSPECT), STALE]),
    "Why there is no reading; `stale` is sent by the rule of that kind",
)
_POLLS = Field("polls", COUNT, "Polls in a row without an answer")
_FINDINGS = list_of(
    Field("field", TEXT, "The field"),
    Field(
        "kind",
        one_of([*AnomalyKind, FALL]),
        "A counter that fell, more gone than the burn explains, up by orders of magnitude, or less than was ever "
        "credited",
    ),
    Field("before", NUMBER, "At the last believed reading"),
    Field("after", NUMBER, "Now"),
)
READINGS = (
    EventSpec(
        EventType.READING_UNAVAILABLE,
        "There is no reading, and why. Told at once for reasons that do not pass by themselves, after three polls for "
        "those that do. Every rule keeps its state and nothing is charged.",
        Tone.WARNING,
        ANY,
        OPERATOR,
        sentences.reading_unavailable,
        of_alert(
            ANY,
            _REASON,
            Field("detail", TEXT, "One line for a person", operators=True),
            _POLLS,
            Field("since", INSTANT, "The first of them", nullable=True),
            Field("last_good_at", INSTANT, "The last good reading", nullable=True),
            reminded=True,
        ),
        ended_by=EventType.READING_RESTORED,
    ),
    EventSpec(
        EventType.READING_RESTORED,
        "Readings are back.",
        Tone.GOOD,
        ANY,
        OPERATOR,
        sentences.reading_restored,
        of_alert(
            ANY,
            _REASON,
            Field("since", INSTANT, "The first poll without an answer"),
            Field("unavailable_s", COUNT, "Seconds without a good reading"),
            _POLLS,
        ),
    ),
    EventSpec(
        EventType.READING_SUSPECT,
        "A counter ran backwards, the balance jumped implausibly, or less shows than was ever credited "
        "(`credits_fell`, which usage cannot do). Where `confirmed` is false no rule fires on it; an account that is "
        "topped up is not charged on a fall: not before the credit shows again or a person says `brimful topups "
        "accept`, nor on a drop before it has stood for 15 minutes.",
        Tone.WARNING,
        WARNING,
        OPERATOR,
        sentences.reading_suspect,
        of_alert(
            WARNING,
            Field("reason", one_of(SuspectReason), "The first finding's kind"),
            Field("detail", TEXT, "One line for a person"),
            Field(
                "confirmed",
                FLAG,
                "A second read agrees: the counter has started again, and spend goes on from the new base",
            ),
            Field("findings", _FINDINGS, "Every field that cannot be believed"),
        ),
    ),
)

_CHANGES = list_of(
    Field("limit", one_of(Limit), "Which"),
    Field("old", LOOSE, "Before; null where there was none", nullable=True),
    Field("new", LOOSE, "Now; null where there is none any more", nullable=True),
    Field("unit", TEXT, "What `limit` is in", optional=True),
)
BILLING = (
    EventSpec(
        EventType.BILLING_ERROR,
        "The provider reports a billing error of its own; told again where its words change.",
        Tone.WARNING,
        CRITICAL,
        OPERATOR,
        sentences.billing_error,
        of_alert(CRITICAL, Field("billing_error", WORDS, "The provider's own words"), reminded=True),
        ended_by=EventType.BILLING_RESTORED,
    ),
    EventSpec(
        EventType.BILLING_RESTORED,
        "That error is gone.",
        Tone.GOOD,
        CRITICAL,
        OPERATOR,
        sentences.billing_restored,
        of_alert(CRITICAL, Field("billing_error", TEXT, "What it was")),
    ),
    EventSpec(
        EventType.LIMITS_CHANGED,
        "A quota, a limit or the unit price changed: old and new.",
        Tone.INFO,
        INFO,
        BOTH,
        sentences.limits_changed,
        of_alert(INFO, Field("changes", _CHANGES, "Every limit or price that changed")),
    ),
)

_OBSERVED_AT = Field("observed_at", INSTANT, "When")
_RECEIVER = Field("receiver", TEXT, "The receiver: its kind and id")
_SINCE = Field("failing_since", INSTANT, "The first of them")
_PENDING = Field("pending", COUNT, "Events that wait for it")
PROCESS = (
    EventSpec(
        EventType.DELIVERY_FAILING,
        "A receiver is failing. Told by mail and to the other receivers, never to itself. `state`: `failing` (tried "
        "again by itself), `paused` (five days; probed daily), `stopped` (it answered 410), `refused` (a mail server "
        "refuses an address), `dead` (one event was given up).",
        Tone.WARNING,
        (*WARNING, *CRITICAL),
        OPERATOR,
        sentences.delivery_failing,
        (
            _RECEIVER,
            Field("state", one_of(ReceiverFailure), "What became of it"),
            Field("failures", COUNT, "Failures in a row"),
            _SINCE,
            Field("last_error", TEXT, "What it answered last"),
            _PENDING,
            Field("event_id", TEXT, "The event that was not taken"),
            Field("action", TEXT, "What a person does"),
            _OBSERVED_AT,
        ),
        ended_by=EventType.DELIVERY_RECOVERED,
        in_steps=True,
    ),
    EventSpec(
        EventType.DELIVERY_RECOVERED,
        "The receiver takes events again.",
        Tone.GOOD,
        INFO,
        OPERATOR,
        sentences.delivery_recovered,
        (_RECEIVER, Field("failures", COUNT, "Failures before it recovered"), _SINCE, _PENDING, _OBSERVED_AT),
    ),
    EventSpec(
        EventType.REPORT_FAILED,
        "A report cannot be made. Its recipients have a plain mail with what is known; it is tried again by itself. "
        "Told once a period, and anew where the reason changes.",
        Tone.WARNING,
        WARNING,
        (Reader.OPERATOR, Reader.FINANCE),
        sentences.report_failed,
        (
            Field("report", TEXT, "The report's id"),
            Field("period", TEXT, "Its period: a month, a week or a day"),
            Field("message", TEXT, "Why, with the template's file and line where it is the template's"),
            *ACTION,
            _OBSERVED_AT,
        ),
    ),
    EventSpec(
        EventType.TEST_PING,
        "`brimful test webhook ID` sends it, to that receiver alone.",
        Tone.INFO,
        INFO,
        BOTH,
        sentences.test_ping,
        (Field("receiver", TEXT, "The receiver that is tested"), Field("message", TEXT, "A greeting"), _OBSERVED_AT),
    ),
)
