"""Reconciliation: refunds, disputes, and the audit of ledger, Stripe and balance history. Nothing here charges."""
