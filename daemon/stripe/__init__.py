"""Stripe: one gateway that raises nothing, what it answers as values, and what its answers and declines mean."""
