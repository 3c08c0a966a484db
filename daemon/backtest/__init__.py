"""Backtest: replays stored history under this or another configuration. It only reads, and sends nothing."""
