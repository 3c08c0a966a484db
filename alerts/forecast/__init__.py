"""Forecasts: burn, runway, the day a quota is full, the projected end of a period; each with a range."""
