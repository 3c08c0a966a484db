"""Stripe: the gateway, its answers as values, and what answers and declines mean."""
