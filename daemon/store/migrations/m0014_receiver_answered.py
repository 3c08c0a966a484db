"""Which URL of a customer a receiver's state is about, since when, and when it answered its first `test.ping`."""

STATEMENTS: tuple[str, ...] = (
    "ALTER TABLE receiver ADD COLUMN target TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE receiver ADD COLUMN asked_ms INTEGER",
    "ALTER TABLE receiver ADD COLUMN answered_ms INTEGER",
)
