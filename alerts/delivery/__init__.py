"""Delivery from the outbox: send first, mark after, with a stable id."""
