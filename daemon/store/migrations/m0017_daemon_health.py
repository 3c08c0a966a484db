"""How each daemon of a fleet fares by its own judgement, beside its row: as JSON text, empty until it has judged."""

STATEMENTS: tuple[str, ...] = ("ALTER TABLE daemon ADD COLUMN health TEXT NOT NULL DEFAULT ''",)
