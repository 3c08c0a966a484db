"""A person's word for a fall and for a credit that came late; a customer's PaymentIntents by their time."""

STATEMENTS: tuple[str, ...] = (
    "CREATE TABLE accepted_fall (account TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    "UPDATE topups SET told_at = NULL WHERE state = 'credited'",
    "CREATE INDEX topups_late ON topups (planned_at) WHERE state = 'credited' AND told_at IS NOT NULL",
    "CREATE INDEX stripe_intents_by_customer ON stripe_intents (customer, created_at)",
)
