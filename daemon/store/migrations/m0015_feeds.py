"""The events of one account, and the deliveries of one receiver, in the order of their numbers: feeds read them so."""

STATEMENTS: tuple[str, ...] = (
    "CREATE INDEX event_by_account ON event (account, number)",
    "CREATE INDEX delivery_by_receiver ON delivery (receiver, number)",
)
