"""Indexes by which what is asked of the ledger at every pass costs the same however many charges it holds."""

_CHARGED = "state IN ('paid', 'credited')"

STATEMENTS: tuple[str, ...] = (
    f"CREATE INDEX topups_charged ON topups (account, paid_at) WHERE {_CHARGED}",
    f"CREATE INDEX topups_charged_by_stripe ON topups (account, charged_at) WHERE {_CHARGED}",
    f"CREATE INDEX topups_charged_when ON topups (paid_at) WHERE {_CHARGED}",
    f"CREATE INDEX topups_charged_when_by_stripe ON topups (charged_at) WHERE {_CHARGED}",
    "CREATE INDEX topup_steps_abandoned ON topup_steps_taken (at) WHERE after = 'abandoned'",
)
