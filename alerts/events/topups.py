"""The events of top-ups: what is told of a charge, and why an account is not charged."""

from __future__ import annotations

from alerts.events.fields import (
    A_TOPUP_OR_NONE,
    ACTION,
    CHARGE,
    COUNT,
    FLAG,
    INSTANT,
    LOOSE,
    NO_TOPUP,
    TEXT,
    USD,
    Field,
    FieldKind,
    list_of,
    one_of,
)
from alerts.events.messages import sentences
from alerts.events.spec import CRITICAL, INFO, MONEY, OPERATOR, WARNING, EventSpec, Reader, of_topup
from alerts.model.events import EventType, Severity, Tone
from alerts.model.reasons import CapReason, CreditedBy, ReviewReason, SuspendedReason, TopupLimit
from alerts.model.values import replace

_EVERYBODY = tuple(Reader)
_OF_A_PAYMENT = (ReviewReason.MISSING, ReviewReason.AUDIT)
_REVIEWED = FieldKind(
    ", ".join(f"`{reason}{':…' if reason in _OF_A_PAYMENT else ''}`" for reason in ReviewReason),
    {
        "type": "string",
        "pattern": f"^({'|'.join(reason for reason in ReviewReason if reason not in _OF_A_PAYMENT)}"
        f"|({'|'.join(_OF_A_PAYMENT)}):.+)$",
    },
)
_LATE_ACTION = (
    replace(ACTION[0], says="What a person must do, where it is late", optional=True),
    replace(ACTION[1], optional=True),
)
_LIMITS = list_of(
    Field("limit", one_of(TopupLimit), "Its key in the configuration"),
    Field("old", LOOSE, "Its value before", nullable=True),
    Field("new", LOOSE, "Its value now", nullable=True),
)
_ATTEMPT = Field("attempt", COUNT, "Which attempt")
_STRIPE_SAYS = Field("message", TEXT, "Stripe's message")
_IN_WORDS = Field("message", TEXT, "In words")
_OF_ACCOUNT = (*NO_TOPUP, Field("reason", _REVIEWED, "What stopped it; `missing` and `audit` are followed by a colon "
               "and the PaymentIntent"), _IN_WORDS)  # fmt: skip
_OF_CHARGE = (*CHARGE, Field("reason", TEXT, "What is wrong with the charge, in words"))

TOPUPS = (
    EventSpec(
        EventType.TOPUP_PLANNED,
        "A charge is about to be made.",
        Tone.INFO,
        INFO,
        OPERATOR,
        sentences.topup_planned,
        of_topup(INFO, CHARGE),
    ),
    EventSpec(
        EventType.TOPUP_SUCCEEDED,
        "The card was charged. **Credit once per `payment_intent`**: the same payment is never told under two "
        "intents, but the same event may come twice.",
        Tone.GOOD,
        INFO,
        _EVERYBODY,
        sentences.topup_succeeded,
        of_topup(INFO, CHARGE),
    ),
    EventSpec(
        EventType.TOPUP_CREDITED,
        "The charged amount was seen in the provider's balance. `late: true`: it came after `topup.not_credited` was "
        "told, so it may as well be a purchase by hand; a person confirms it (`command`), and until then the audit "
        "does not agree.",
        Tone.GOOD,
        (Severity.INFO, Severity.WARNING),
        _EVERYBODY,
        sentences.topup_credited,
        of_topup(
            (Severity.INFO, Severity.WARNING),
            CHARGE,
            Field("credited_by", one_of(CreditedBy), "What showed it"),
            Field(
                "late",
                FLAG,
                "Whether it came after `topup.not_credited` was told: it may be a purchase by hand, and a person "
                "confirms it",
            ),
            *_LATE_ACTION,
        ),
    ),
    EventSpec(
        EventType.TOPUP_DECLINED,
        "The bank declined the charge. `action` and `command` say what a person does.",
        Tone.WARNING,
        (*WARNING, *CRITICAL),
        OPERATOR,
        sentences.topup_declined,
        of_topup(
            (*WARNING, *CRITICAL),
            CHARGE,
            Field("decline_code", TEXT, "Stripe's code", nullable=True),
            _STRIPE_SAYS,
            _ATTEMPT,
            Field("next_attempt_at", INSTANT, "When the card is tried again; null is not by itself", nullable=True),
            *ACTION,
        ),
    ),
    EventSpec(
        EventType.TOPUP_ACTION_REQUIRED,
        "The bank wants the cardholder, whom nobody can ask: the charge is given up.",
        Tone.CRITICAL,
        CRITICAL,
        OPERATOR,
        sentences.topup_action_required,
        of_topup(CRITICAL, CHARGE, _STRIPE_SAYS, _ATTEMPT, *ACTION),
    ),
    EventSpec(
        EventType.TOPUP_SUSPENDED,
        "Nothing is charged for this account: until a person resumes it or, where `action` says so, until what "
        "`reason` names is put right. A refund or a dispute adds `returned_usd`, its own amount.",
        Tone.CRITICAL,
        CRITICAL,
        MONEY,
        sentences.topup_suspended,
        of_topup(
            CRITICAL,
            A_TOPUP_OR_NONE,
            Field("returned_usd", USD, "How much was refunded or is disputed; only there", optional=True),
            Field("reason", one_of(SuspendedReason), "What stopped it"),
            _IN_WORDS,
            *ACTION,
        ),
    ),
    EventSpec(
        EventType.TOPUP_NOT_CREDITED,
        "Charged, and no reading shows it in the balance. Nothing further is charged meanwhile.",
        Tone.WARNING,
        CRITICAL,
        MONEY,
        sentences.topup_not_credited,
        of_topup(CRITICAL, CHARGE, Field("paid_at", INSTANT, "When it was charged", optional=True), *ACTION),
    ),
    EventSpec(
        EventType.TOPUP_NEEDS_REVIEW,
        "A person has to look: at a charge of which it cannot be told what became (`reason` is a sentence then), or "
        "at an account (`topup` is null, `reason` one word, and `message` says more).",
        Tone.CRITICAL,
        CRITICAL,
        OPERATOR,
        sentences.topup_needs_review,
        of_topup(CRITICAL, (), *ACTION),
        forms=(_OF_CHARGE, _OF_ACCOUNT),
    ),
    EventSpec(
        EventType.TOPUP_CAPPED,
        "A top-up is needed, and a cap leaves no room for it. Told once a window.",
        Tone.WARNING,
        CRITICAL,
        OPERATOR,
        sentences.topup_capped,
        of_topup(
            CRITICAL,
            NO_TOPUP,
            Field("reason", one_of(CapReason), "Which cap"),
            _IN_WORDS,
            *ACTION,
            Field("cap", one_of(CapReason), "Which cap"),
            Field("window", TEXT, "Its window: a day or a month"),
            Field("needed_usd", USD, "What was needed"),
            Field("cap_usd", USD, "The cap"),
            Field("spent_and_open_usd", USD, "What counts against it already"),
            Field("left_usd", USD, "What is left"),
        ),
    ),
    EventSpec(
        EventType.TOPUP_LIMITS_CHANGED,
        "A top-up was added by the API, or may charge more than before. Told to the operator's own receivers alone, "
        "and not where limits were only lowered.",
        Tone.WARNING,
        WARNING,
        OPERATOR,
        sentences.topup_limits_changed,
        of_topup(
            WARNING,
            (),
            Field("actor", TEXT, "Who did it, as the audit names it"),
            Field("added", FLAG, "Whether the account had no top-up before"),
            Field("changes", _LIMITS, "What is not as it was; of one that was added, all that bounds it"),
        ),
    ),
)
