"""Stored history lived through again, under this or another configuration. It reads; it writes and sends nothing."""
