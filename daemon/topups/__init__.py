"""Top-ups: the pure plan and its transitions, the ledger's states, the gateway to Stripe, recovery and audit."""
