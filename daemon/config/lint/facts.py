"""The input of the checks: the tables, their secrets, and what each account reports."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import SecretStr

from alerts.model.patterns import is_glob
from daemon.config.problems import Level, ProblemId, Problems, suggestion
from daemon.config.reading import Item, Tables
from daemon.config.schema import AccountTable
from daemon.config.secret import Composed
from daemon.config.urls import Plain, fault
from daemon.sources.provider import Has

_NAMED = 20


def listed(accounts: Collection[str]) -> str:
    """Return the first ids as text, and how many more there are."""
    more = f" and {len(accounts) - _NAMED} more" if len(accounts) > _NAMED else ""
    return (", ".join(islice(accounts, _NAMED)) or "none") + more


@dataclass(frozen=True, slots=True)
class LintFacts:
    """`secrets` by key path, empty where one is unset; `zone` is UTC where the configured one is unknown."""

    tables: Tables
    secrets: Mapping[str, SecretStr]
    zone: ZoneInfo
    problems: Problems
    texts: Mapping[str, Composed] = field(default_factory=dict)
    """By key path, what accounts say with secrets in it."""

    def note(self, id: ProblemId, item: Item[Any], key: str, message: str, hint: str = "") -> None:
        """Note a problem at a key of a table."""
        self.problems.add(id, item.at(key) if key else item.path, message, hint, item=item.name)

    def secret(self, path: str) -> str:
        """Return the secret of a key path, empty if there is none."""
        found = self.secrets.get(path)
        return found.get_secret_value() if found is not None else ""

    def text(self, path: str) -> str:
        """Return what an account says at a key path with its secrets in it, empty where it says nothing."""
        found = self.texts.get(path)
        return found.text.get_secret_value() if found is not None else ""

    def has(self, account: Item[AccountTable]) -> frozenset[Has]:
        """Return what a reading of the account can hold; everything if its provider is unknown."""
        provider = account.table.provider
        return frozenset(Has) if provider is None else provider.provided_with(account.table.effective_fields)

    def covered(self, patterns: Iterable[str]) -> tuple[str, ...]:
        """Return the ids of the accounts that match one of the patterns."""
        wanted = dict.fromkeys(patterns)
        if "*" in wanted:
            return tuple(self.tables.accounts)
        globs = [pattern for pattern in wanted if is_glob(pattern)]
        if not globs:
            return tuple(id for id in wanted if id in self.tables.accounts)
        return tuple(id for id in self.tables.accounts if id in wanted or any(fnmatchcase(id, glob) for glob in globs))

    def note_accounts(self, item: Item[Any], patterns: Iterable[str]) -> None:
        """Note every pattern that matches no account."""
        for pattern in patterns:
            if pattern == "*" or self.covered([pattern]):
                continue
            said = f'no account matches "{pattern}"' if is_glob(pattern) else f'there is no account "{pattern}"'
            hint = (
                suggestion(pattern.strip("*?"), self.tables.accounts) or f"configured: {listed(self.tables.accounts)}"
            )
            by_api = is_glob(pattern) and self.tables.api.table.enabled  # accounts made by API may match it
            level = Level.WARNING if by_api else None
            path = item.at("accounts")
            self.problems.add(ProblemId.ACCOUNT_UNKNOWN, path, said, hint, item=item.name, level=level)

    def note_twins(self, items: Iterable[Item[Any]]) -> None:
        """Note every id that an earlier table of the same kind uses."""
        first: dict[str, str] = {}
        for item in items:
            id = item.table.id
            if id is not None and first.setdefault(id, item.path) != item.path:
                said = f'{first[id]} has the id "{id}" already'
                self.note(ProblemId.ID_DUPLICATE, item, "id", said, "give it an id of its own")

    def note_url(self, item: Item[Any], key: str, url: str, plain: Plain) -> None:
        """Note what is wrong with a URL."""
        found = fault(url, plain)
        if found is not None:
            self.note(found.id, item, key, found.message, found.hint)
