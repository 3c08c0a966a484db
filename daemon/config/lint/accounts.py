"""Accounts: their URLs, poll schedules and keys."""

from __future__ import annotations

import re
from datetime import timedelta

import jmespath
from jmespath.exceptions import JMESPathError

from daemon.config.cron import gaps
from daemon.config.durations import format_duration
from daemon.config.lint.facts import LintFacts
from daemon.config.problems import ProblemId, suggestion
from daemon.config.reading import Item
from daemon.config.schema import AccountTable
from daemon.config.urls import Plain, origin
from daemon.sources.provider import Has, Provider

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}", re.ASCII)
_BY_ACCOUNT = ("url", "headers", "fields")
"""The keys of an account that defines its own URL and mapping."""
_RARE = timedelta(hours=24)


def lint(facts: LintFacts) -> None:
    if not facts.tables.accounts:
        said = "no account is configured: there is nothing to watch"
        facts.problems.add(ProblemId.ACCOUNTS_NONE, "accounts", said, "write [accounts.NAME]")
    for id, account in facts.tables.accounts.items():
        _lint_keys(facts, account)
        _lint_secrets(facts, account)
        _lint_url(facts, account)
        _lint_poll(facts, id, account)
        if account.table.by_account:
            _lint_fields(facts, account)
    _lint_twins(facts)


def base_url(account: AccountTable) -> str:
    """Return the account's base URL without a trailing slash; empty if unknown."""
    if account.by_account:
        return origin(account.url) if account.url else ""
    if account.base_url is not None:
        return account.base_url.rstrip("/")
    return account.provider.base_url if account.provider is not None else ""


def identity(facts: LintFacts, account: Item[AccountTable]) -> tuple[str, str] | None:
    """Return the account's URL and secret: two accounts with the same are one. None if unknown."""
    table = account.table
    if table.by_account:
        secrets = [f"{name.lower()}={facts.secret(account.at(f'headers.{name}'))}" for name in sorted(table.headers)]
        return (table.url, "\n".join(secrets)) if table.url and secrets else None
    key = facts.secret(account.at("api_key")) or table.api_key or ""
    base = base_url(table).lower()
    return (base, key) if base and key else None


def _lint_keys(facts: LintFacts, account: Item[AccountTable]) -> None:
    table, provider = account.table, account.table.provider
    if provider is None:
        return
    if provider.by_account:
        for key in ("url", "fields"):
            if key not in table.given:
                said = f'an account of the provider "{provider.name}" needs this key'
                facts.note(ProblemId.KEY_MISSING, account, key, said)
        for key, instead in (("base_url", "write url"), ("api_key", "write it as one of the headers")):
            if key in table.given:
                facts.note(ProblemId.ACCOUNT_KEYS, account, key, _has_no(provider, key), instead)
        for name in table.headers:
            if not _HEADER.fullmatch(name):
                said = "this is not the name of a header"
                facts.note(ProblemId.VALUE_INVALID, account, f"headers.{name}", said)
        return
    if "api_key" not in table.given:
        facts.note(ProblemId.KEY_MISSING, account, "api_key", "this key is needed", 'write "env:NAME"')
    for key in _BY_ACCOUNT:
        if key in table.given:
            hint = "write base_url" if key == "url" else ""
            facts.note(ProblemId.ACCOUNT_KEYS, account, key, _has_no(provider, key), hint)


def _has_no(provider: Provider, key: str) -> str:
    return f'the provider "{provider.name}" has no {key}'


def _lint_secrets(facts: LintFacts, account: Item[AccountTable]) -> None:
    for key in ("api_key", *(f"headers.{name}" for name in account.table.headers)):
        if not facts.secret(account.at(key)).isascii():
            said = "it holds letters that a request header cannot carry"
            facts.note(ProblemId.SECRET_INVALID, account, key, said)


def _lint_url(facts: LintFacts, account: Item[AccountTable]) -> None:
    provider = account.table.provider
    key = "url" if account.table.by_account else "base_url"
    url = account.table.url if key == "url" else account.table.base_url
    if url is None:
        return
    facts.note_url(account, key, url, Plain.OWN)
    path = provider.path if provider is not None else ""
    if path and (url.rstrip("/").endswith(path) or "?" in url):
        facts.note(ProblemId.URL_INVALID, account, key, f"the path {path} is added to it", "write the URL without it")


def _lint_poll(facts: LintFacts, id: str, account: Item[AccountTable]) -> None:
    _, longest = gaps(account.table.poll, facts.zone)
    if longest > _RARE and id in facts.tables.topups:
        said = f"up to {format_duration(longest)} pass between two polls of an account that is topped up"
        facts.note(ProblemId.POLL_RARE, account, "poll", said, 'every five minutes is "*/5 * * * *"')


def _lint_fields(facts: LintFacts, account: Item[AccountTable]) -> None:
    known = account.table.provider.table if account.table.provider is not None else {}
    for name, expression in account.table.fields_.items():
        if name not in known:
            hint = suggestion(name, known) or f"known: {', '.join(known)}"
            facts.note(ProblemId.FIELD_UNKNOWN, account, f"fields.{name}", "there is no such field", hint)
        try:
            jmespath.compile(expression)
        except JMESPathError as error:
            said = f"this is no JMESPath expression: {str(error).splitlines()[0]}"
            facts.note(ProblemId.FIELD_EXPRESSION, account, f"fields.{name}", said)
    if account.table.fields_ and facts.has(account).isdisjoint({Has.BALANCE, Has.VOLUME}):
        said = "neither balance_usd nor used_gb is read: no rule could evaluate anything"
        facts.note(ProblemId.KEY_MISSING, account, "fields", said)


def _lint_twins(facts: LintFacts) -> None:
    """Warn of two accounts with one key: every alert comes twice (with top-ups it is an error, noted there)."""
    seen: dict[tuple[str, str], str] = {}
    for id, account in facts.tables.accounts.items():
        same = identity(facts, account)
        first = seen.setdefault(same, id) if same is not None else id
        if first != id and not {first, id} <= facts.tables.topups.keys():
            said = f'it asks the same URL with the same key as the account "{first}"'
            facts.note(ProblemId.ACCOUNT_TWICE, account, "", said, "one account would do")
