"""What a configuration means, judged after its words: each room looks at its own tables and notes problems."""

from __future__ import annotations

from daemon.config.lint import accounts, process, receivers, rules, topups
from daemon.config.lint.facts import LintFacts

__all__ = ["LintFacts", "lint"]


def lint(facts: LintFacts) -> None:
    """Note every problem of meaning."""
    for room in (process, accounts, topups, rules, receivers):
        room.lint(facts)
