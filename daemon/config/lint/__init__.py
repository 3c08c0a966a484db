"""Checks of a configuration's meaning, after its syntax: each module checks its tables and notes problems."""

from __future__ import annotations

from daemon.config.lint import accounts, process, receivers, rules, topups
from daemon.config.lint.facts import LintFacts

__all__ = ["LintFacts", "lint"]


def lint(facts: LintFacts) -> None:
    """Note every problem."""
    for module in (process, accounts, topups, rules, receivers):
        module.lint(facts)
