"""The events of rules: balance, runway, quota, budget and usage."""

from __future__ import annotations

from alerts.events.fields import (
    BALANCES,
    BURN,
    DAYS,
    FLAG,
    INSTANT,
    NOUGHT,
    NUMBER,
    PERCENT,
    SPAN,
    TOPUP,
    UNIT,
    Field,
    in_its_unit,
    one_of,
)
from alerts.events.messages import sentences
from alerts.events.spec import ANY, BOTH, CRITICAL, MONEY, OPERATOR, EventSpec, of_alert
from alerts.model.events import EventType, Tone
from alerts.model.specs import Measure, Period

_LINES = (
    *in_its_unit("threshold", "The line that was compared"),
    *in_its_unit("clear_above", "Above this it has recovered"),
    Field("measure", one_of(Measure), "What was compared"),
)
_NOUGHT = (
    Field("threshold", NOUGHT, "Nought"),
    Field("threshold_usd", NOUGHT, "Nought", in_unit="USD"),
)
_LOW = (*BALANCES, *_LINES, *BURN, *TOPUP)

BALANCE = (
    EventSpec(
        EventType.BALANCE_LOW,
        "The measure (available unless configured) is strictly below the threshold. Told once an episode, and again "
        'every `remind_every` with the same `episode` and `"reminder": true`. `topup` says what is under way for the '
        "account, or why nothing is.",
        Tone.WARNING,
        ANY,
        BOTH,
        sentences.balance_low,
        of_alert(ANY, *_LOW, reminded=True, to_one=True),
        ended_by=EventType.BALANCE_RECOVERED,
    ),
    EventSpec(
        EventType.BALANCE_RECOVERED,
        "The end of the same episode: the measure is above the clear line again.",
        Tone.GOOD,
        ANY,
        BOTH,
        sentences.balance_recovered,
        of_alert(ANY, *_LOW, to_one=True),
    ),
    EventSpec(
        EventType.BALANCE_DEPLETED,
        "Nothing is available any more: the provider pauses its service.",
        Tone.CRITICAL,
        CRITICAL,
        BOTH,
        sentences.balance_depleted,
        of_alert(CRITICAL, *BALANCES, *_NOUGHT, *BURN, *TOPUP),
    ),
)

_RUNWAY = (
    *BALANCES,
    Field("threshold_days", DAYS, "The line that was compared"),
    Field("clear_above_days", DAYS, "Above this it has recovered"),
    *BURN,
    Field("days_p10", DAYS, "Days that it lasts in nine cases of ten", nullable=True),
    Field("days_p50", DAYS, "Days that it lasts in one case of two", nullable=True),
    Field("days_p90", DAYS, "Days that it lasts in one case of ten", nullable=True),
    Field("runs_out_at", SPAN, "When the available balance runs out; null where that is not known", nullable=True),
    *TOPUP,
)
RUNWAY = (
    EventSpec(
        EventType.RUNWAY_SHORT,
        "What is available lasts fewer days than configured. `runs_out_at` carries an earliest, a likely and a latest "
        "instant; it is null where nothing burns.",
        Tone.WARNING,
        ANY,
        OPERATOR,
        sentences.runway_short,
        of_alert(ANY, *_RUNWAY, reminded=True),
        ended_by=EventType.RUNWAY_RECOVERED,
    ),
    EventSpec(
        EventType.RUNWAY_RECOVERED,
        "It lasts long enough again.",
        Tone.GOOD,
        ANY,
        OPERATOR,
        sentences.runway_recovered,
        of_alert(ANY, *_RUNWAY),
    ),
)

_QUOTA = (
    UNIT,
    *in_its_unit("used", "Used", nullable=True),
    *in_its_unit("reserved", "Reserved by jobs under way"),
    *in_its_unit("effective", "Used and reserved: what the limit is enforced on", nullable=True),
    *in_its_unit("limit", "The limit; null where it is gone", nullable=True, units=("GB",)),
    Field("percent", PERCENT, "Effective in percent of the limit, rounded down to a tenth", nullable=True),
    Field(
        "step_percent",
        PERCENT,
        "The deepest step that was reached; null for a forecast and at the end",
        nullable=True,
    ),
    Field("clear_below_percent", PERCENT, "Below this it has recovered"),
    Field("forecast_days", DAYS, "Told also when it will be full within so many days", nullable=True),
    Field("full_at", SPAN, "When effective usage reaches the limit; null where that is not known", nullable=True),
    Field("partial", FLAG, "The forecast rests on less than three days of history"),
)
QUOTA = (
    EventSpec(
        EventType.QUOTA_HIGH,
        "A configured step of the quota is reached, or it will be full within `forecast_days`. A jump over several "
        "steps tells the deepest only, in `step_percent`. `full_at` carries an earliest, a likely and a latest "
        "instant; it is null while that is not known.",
        Tone.WARNING,
        ANY,
        BOTH,
        sentences.quota_high,
        of_alert(ANY, *_QUOTA, reminded=True),
        ended_by=EventType.QUOTA_RECOVERED,
        in_steps=True,
    ),
    EventSpec(
        EventType.QUOTA_EXCEEDED,
        "100 % (or a step above it) is reached: the provider refuses new jobs.",
        Tone.CRITICAL,
        ANY,
        BOTH,
        sentences.quota_exceeded,
        of_alert(ANY, *_QUOTA, reminded=True),
        ended_by=EventType.QUOTA_RECOVERED,
        in_steps=True,
    ),
    EventSpec(
        EventType.QUOTA_RECOVERED,
        "Effective usage is below the clear line again, or the limit is gone.",
        Tone.GOOD,
        ANY,
        BOTH,
        sentences.quota_recovered,
        of_alert(ANY, *_QUOTA),
    ),
)

_PROJECTED = "What the period likely ends at; null before a twentieth of it has passed"
_BUDGET = (
    Field("period", one_of(Period), "The kind of period"),
    Field("period_start", INSTANT, "The period's first instant"),
    Field("period_end", INSTANT, "The first instant after the period"),
    Field("counted_since", INSTANT, "From when spend is really counted"),
    UNIT,
    *in_its_unit("spent", "Spent, or used, in the period"),
    *in_its_unit("limit", "The budget"),
    *in_its_unit("projected", _PROJECTED, nullable=True),
    *in_its_unit("projected_low", "One period in ten ends below this", nullable=True),
    *in_its_unit("projected_high", "One period in ten ends above this", nullable=True),
    Field("percent", PERCENT, "Spent in percent of the budget, rounded down to a tenth"),
    Field("step_percent", PERCENT, "The deepest step that was reached; null before the first", nullable=True),
    Field("partial", FLAG, "History begins inside the period, or its start was interpolated"),
)
BUDGET = (
    EventSpec(
        EventType.BUDGET_REACHED,
        "A configured step of the period's budget is reached. Once a step and period.",
        Tone.WARNING,
        ANY,
        MONEY,
        sentences.budget_reached,
        of_alert(ANY, *_BUDGET),
    ),
    EventSpec(
        EventType.BUDGET_PROJECTED,
        "The period is projected to end above its limit. Once a period. `step_percent` is the deepest step that was "
        "reached so far, as `budget.reached` told it; null before the first.",
        Tone.WARNING,
        ANY,
        MONEY,
        sentences.budget_projected,
        of_alert(ANY, *_BUDGET),
    ),
)

_SPIKE = (
    UNIT,
    *in_its_unit("burn_per_day", "Burn a day over the window", nullable=True),
    *in_its_unit("usual_per_day", "The median day of the last two weeks", nullable=True),
    *in_its_unit("peak_per_day", "The highest such window of the last week, as burn a day", nullable=True),
    Field("factor", NUMBER, "How many times the usual is a spike"),
    Field("window_hours", NUMBER, "The window's length"),
    *in_its_unit("spent", "Spent within the window", nullable=True, units=("USD",)),
)
USAGE = (
    EventSpec(
        EventType.USAGE_SPIKE,
        "Burn is far above the account's own past.",
        Tone.WARNING,
        ANY,
        OPERATOR,
        sentences.usage_spike,
        of_alert(ANY, *_SPIKE, reminded=True),
        ended_by=EventType.USAGE_SPIKE_ENDED,
    ),
    EventSpec(
        EventType.USAGE_SPIKE_ENDED,
        "Burn is back to its usual.",
        Tone.GOOD,
        ANY,
        OPERATOR,
        sentences.usage_spike_ended,
        of_alert(ANY, *_SPIKE),
    ),
)
