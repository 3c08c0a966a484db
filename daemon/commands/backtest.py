"""Registered by `daemon.cli`."""

import typer


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
