"""Measurements: each prints its figures and what was wanted of them."""
