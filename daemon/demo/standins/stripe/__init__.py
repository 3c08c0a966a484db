"""A local stand-in for Stripe: what the tests, the simulator and `brimful demo` charge."""

from daemon.demo.standins.stripe.faults import Fault, Strike
from daemon.demo.standins.stripe.objects import Charge, Intent, Method
from daemon.demo.standins.stripe.outcomes import (
    AUTHENTICATE,
    DECLINES,
    SUCCEED,
    Decline,
    Ending,
    Outcome,
    declined,
    processing,
)
from daemon.demo.standins.stripe.standin import StripeStandin
from daemon.demo.standins.stripe.wire import Exchange, Reply, Request

__all__ = [
    "AUTHENTICATE",
    "DECLINES",
    "SUCCEED",
    "Charge",
    "Decline",
    "Ending",
    "Exchange",
    "Fault",
    "Intent",
    "Method",
    "Outcome",
    "Reply",
    "Request",
    "Strike",
    "StripeStandin",
    "declined",
    "processing",
]
