"""Remedies: what a person must do about a top-up that stands still, by the reason, and the command to type."""

from __future__ import annotations

from dataclasses import dataclass

RESUME = "brimful topups resume {account}"
ACK = "brimful topups ack {topup}"
EXPLAIN = "brimful topups explain {topup}"
EXPLAIN_ACCOUNT = "brimful topups explain {account}"


@dataclass(frozen=True, slots=True)
class Remedy:
    """What a person must do, in a sentence, and the command to type then.

    `named`: what instead, where the configuration names the payment method: another card of the customer is not used.
    """

    action: str
    command: str
    named: str = ""


_KEY = "`accounts.{account}.topup.payment_method`"
ANOTHER_CARD = Remedy(
    "Save another card for the customer in Stripe and make it the default there, then resume.",
    RESUME,
    named=f"Save another card for the customer in Stripe, name it in {_KEY} and reload, then resume: none is charged "
    "that is not named there.",
)
SAVE_AGAIN = Remedy(
    "Save the card again, or another one, for use off session in Stripe, and make it the customer's default there; "
    "then resume.",
    RESUME,
    named="Save the card again, or another one, for use off session in Stripe, name the new payment method in "
    f"{_KEY} and reload, then resume.",
)

TRIED_AGAIN = Remedy("Nothing yet: the card is tried again. See that it has funds.", EXPLAIN)
CREDITED_LATE = Remedy(
    "The credit came after it was told as missing: see that it is this charge's, and not a purchase by hand; then "
    "acknowledge it.",
    ACK,
)
_UNTIL_THEN = "ask the provider to credit the payment, or say that it did. No second charge is made until then."
NOT_CREDITED = Remedy(f"The card was charged and the balance does not show it: {_UNTIL_THEN}", ACK)
CREDIT_UNREAD = Remedy(
    "The card was charged and since the credit was due no two reads in a row could say whether it came: see that its "
    f"usage API answers, and twice in a row (it may allow too few requests); {_UNTIL_THEN}",
    ACK,
)
LONG_PROCESSING = Remedy(
    "The bank has not decided for over an hour: look at the PaymentIntent in Stripe. It is read back until it "
    "ends, and nothing else is charged until then.",
    EXPLAIN,
)
REVIEW = Remedy("Look at the PaymentIntent in Stripe; acknowledging cancels it if it is alive, else closes it.", ACK)
RAISE_CAP = Remedy("Raise the cap, or buy credit by hand.", EXPLAIN_ACCOUNT)
PUT_RIGHT = Remedy("Put right what Stripe refused, then resume.", RESUME)
"""What a person must do about what suspended an account, where its reason has no words of its own."""

REVIEW_REMEDIES = {
    "metadata": Remedy(
        "Put the PaymentIntent's metadata right in Stripe (app, account, seq, topup, funded), or take `app` away where "
        "it is not of this account; then resume.",
        RESUME,
    ),
    "burn_brake": Remedy("Find out what used so much; when it is in order, resume.", RESUME),
    "second_look": Remedy("Find the other daemon that charges this account; with one of them left, resume.", RESUME),
    "charges_unread": Remedy(
        "See in Stripe whether one of the charges was refunded or disputed, and that the key may read charges; they "
        "are asked for again every day, and charging goes on meanwhile.",
        "brimful check --online",
    ),
    "missing": Remedy(
        "Stripe forgot a payment that is watched: see that the key is of the same Stripe account and mode as before; "
        "charging goes on meanwhile.",
        "brimful check --online",
    ),
    "events_forbidden": Remedy("Let the key read events in Stripe; charging goes on meanwhile.", "brimful check"),
    "credits_fell": Remedy(
        "The usage API shows less than was ever credited, which usage cannot do: see whether it is right (credits that "
        "expired, a refund); only then accept it. Nothing is charged until then, or until all of it shows again.",
        "brimful topups accept {account}",
    ),
    "audit": Remedy("See which of the three is wrong; charging goes on meanwhile.", "brimful topups audit {account}"),
}
"""What a person must do, by the reason; for `audit:pi_…` by what stands before the colon."""

SUSPENDED_REMEDIES = {
    "stripe_credentials": Remedy(
        "Stripe refuses the key: give it a valid one with write permission. Charging goes on with the next good read.",
        "brimful check --online",
    ),
    "stripe_unreachable": Remedy("Stripe cannot be reached: charging goes on when it can.", "brimful check --online"),
    "stripe_list": Remedy(
        "What was charged already cannot be listed: see that the customer is in this Stripe account and mode. Where it "
        "has over 50 pages of payments, give the account a customer in Stripe that pays for nothing else; until the "
        "earlier one's last 35 days fit, buy credit by hand. Charging goes on with the next good list.",
        "brimful check --online",
    ),
    "second_read": Remedy(
        "An account is read twice before it is charged, and the second read goes wrong: see that its usage API answers "
        "twice in a row (it may allow too few requests), and what. Charging goes on with the next good read.",
        "brimful check --online",
    ),
    "twin": Remedy(
        "Another account of the same customer shows the same totals: both may be keys of one provider account, and one "
        "need is charged once. Keep the top-up of one of them; charging goes on when the other's credit is seen.",
        "brimful check --online",
    ),
    "stripe_clock": Remedy(
        "The clock of this machine and Stripe's differ by over five minutes: set it (timedatectl). Charging goes on by "
        "itself when they agree.",
        "timedatectl",
    ),
    "database": Remedy(
        "The database file was deleted, moved or replaced under the running daemon, and nothing is charged: move it "
        "back, or restart the daemon, which starts with what then lies at its path.",
        "brimful status",
    ),
    "clock_behind_ledger": Remedy(
        "The clock is behind what the ledger has seen: set it. If it is right and the ledger is days ahead, resume.",
        RESUME,
    ),
    "payment_method": Remedy(
        f"Save a card for the customer in Stripe and make it the default there, or name one in {_KEY} and reload.",
        "brimful check",
        named=f"What {_KEY} names cannot be charged: name a card or Link of this customer there, and reload.",
    ),
    "card": Remedy(
        "The card was refused too often to be tried again: save another for the customer in Stripe and make it the "
        "default there: it is charged.",
        "brimful topups",
        named="The card was refused too often to be tried again: save another for the customer in Stripe, name it in "
        f"{_KEY} and reload: it is charged.",
    ),
    "size": Remedy("No amount lies within the bounds: put `max_charge_usd` or the amount right.", "brimful check"),
    "declined": ANOTHER_CARD,
    "authentication_required": SAVE_AGAIN,
    "customer_gone": Remedy(
        "See in Stripe that no payment of this earlier customer is still open; then acknowledge that it is gone. It is "
        "looked at no more, and charging goes on.",
        ACK,
    ),
    "refunded": Remedy("A charge was refunded: see why, then resume.", RESUME),
    "disputed": Remedy("A charge is disputed: answer it in Stripe, then resume.", RESUME),
}
