"""The burn that a provider says itself: money a day, in micro-units."""

STATEMENTS: tuple[str, ...] = (
    "ALTER TABLE latest ADD COLUMN burn_said_microusd_per_day INTEGER",
    "ALTER TABLE runs ADD COLUMN burn_said_microusd_per_day INTEGER",
)
