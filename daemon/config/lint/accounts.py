"""Accounts: where they are asked, how often, and with which key."""

from __future__ import annotations

import re
from datetime import timedelta

import jmespath
from jmespath.exceptions import JMESPathError

from daemon.config.cron import gaps
from daemon.config.durations import format_duration
from daemon.config.lint.facts import Facts, Has
from daemon.config.model import JSON_FIELDS, Provider
from daemon.config.problems import ProblemId, suggestion
from daemon.config.reading import Item
from daemon.config.schema import AccountTable
from daemon.config.urls import Plain, origin

DEFAULT_BASE_URLS = {
    Provider.CONTENTSTATS: "https://contentstats.io",
    Provider.TORNADO: "https://api.tornadoapi.io",
}
USAGE_PATHS = {Provider.CONTENTSTATS: "/api/v1/usage", Provider.TORNADO: "/usage"}
"""Where each provider answers, below its base URL."""

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}", re.ASCII)
_JSON_ONLY = ("url", "headers", "fields")
_RARE = timedelta(hours=24)


def lint(facts: Facts) -> None:
    if not facts.tables.accounts:
        said = "no account is configured: there is nothing to watch"
        facts.problems.add(ProblemId.ACCOUNTS_NONE, "accounts", said, "write [accounts.NAME]")
    for id, account in facts.tables.accounts.items():
        _lint_keys(facts, account)
        _lint_secrets(facts, account)
        _lint_url(facts, account)
        _lint_poll(facts, id, account)
        if account.table.provider is Provider.JSON:
            _lint_fields(facts, account)
    _lint_twins(facts)


def base_url(account: AccountTable) -> str:
    """Return the account's base URL, without a slash at its end; empty where it cannot be told."""
    if account.provider is Provider.JSON:
        return origin(account.url) if account.url else ""
    if account.base_url is not None:
        return account.base_url.rstrip("/")
    return DEFAULT_BASE_URLS[account.provider] if account.provider is not None else ""


def identity(facts: Facts, account: Item[AccountTable]) -> tuple[str, str] | None:
    """Return where and by what secret the account is asked: two with the same are one. None where it cannot be told."""
    table = account.table
    if table.provider is Provider.JSON:
        secrets = [f"{name.lower()}={facts.secret(account.at(f'headers.{name}'))}" for name in sorted(table.headers)]
        return (table.url, "\n".join(secrets)) if table.url and secrets else None
    key = facts.secret(account.at("api_key")) or table.api_key or ""
    base = base_url(table).lower()
    return (base, key) if base and key else None


def _lint_keys(facts: Facts, account: Item[AccountTable]) -> None:
    table = account.table
    if table.provider is None:
        return
    if table.provider is Provider.JSON:
        for key in ("url", "fields"):
            if key not in table.given:
                said = 'an account of the provider "json" needs this key'
                facts.note(ProblemId.KEY_MISSING, account, key, said)
        for key, instead in (("base_url", "write url"), ("api_key", "write it as one of the headers")):
            if key in table.given:
                facts.note(ProblemId.ACCOUNT_KEYS, account, key, f'the provider "json" has no {key}', instead)
        for name in table.headers:
            if not _HEADER.fullmatch(name):
                said = "this is not the name of a header"
                facts.note(ProblemId.VALUE_INVALID, account, f"headers.{name}", said)
        return
    if "api_key" not in table.given:
        facts.note(ProblemId.KEY_MISSING, account, "api_key", "this key is needed", 'write "env:NAME"')
    for key in _JSON_ONLY:
        if key in table.given:
            said = f'only the provider "json" has {key}'
            facts.note(ProblemId.ACCOUNT_KEYS, account, key, said, "write base_url" if key == "url" else "")


def _lint_secrets(facts: Facts, account: Item[AccountTable]) -> None:
    for key in ("api_key", *(f"headers.{name}" for name in account.table.headers)):
        if not facts.secret(account.at(key)).isascii():
            said = "it holds letters that a request header cannot carry"
            facts.note(ProblemId.SECRET_INVALID, account, key, said)


def _lint_url(facts: Facts, account: Item[AccountTable]) -> None:
    key = "url" if account.table.provider is Provider.JSON else "base_url"
    url = account.table.url if key == "url" else account.table.base_url
    if url is None:
        return
    facts.note_url(account, key, url, Plain.OWN)
    path = USAGE_PATHS.get(account.table.provider) if account.table.provider is not None else None
    if path is not None and (url.rstrip("/").endswith(path) or "?" in url):
        facts.note(ProblemId.URL_INVALID, account, key, f"the path {path} is added to it", "write the URL without it")


def _lint_poll(facts: Facts, id: str, account: Item[AccountTable]) -> None:
    _, longest = gaps(account.table.poll, facts.zone)
    if longest > _RARE and id in facts.tables.topups:
        said = f"up to {format_duration(longest)} pass between two polls of an account that is topped up"
        facts.note(ProblemId.POLL_RARE, account, "poll", said, 'every five minutes is "*/5 * * * *"')


def _lint_fields(facts: Facts, account: Item[AccountTable]) -> None:
    for name, expression in account.table.fields_.items():
        if name not in JSON_FIELDS:
            hint = suggestion(name, JSON_FIELDS) or f"known: {', '.join(JSON_FIELDS)}"
            facts.note(ProblemId.FIELD_UNKNOWN, account, f"fields.{name}", "there is no such field", hint)
        try:
            jmespath.compile(expression)
        except JMESPathError as error:
            said = f"this is no JMESPath expression: {str(error).splitlines()[0]}"
            facts.note(ProblemId.FIELD_EXPRESSION, account, f"fields.{name}", said)
    if account.table.fields_ and facts.has(account).isdisjoint({Has.BALANCE, Has.VOLUME}):
        said = "neither balance_usd nor used_gb is read: no rule could judge anything"
        facts.note(ProblemId.KEY_MISSING, account, "fields", said)


def _lint_twins(facts: Facts) -> None:
    """Two accounts on one key are told twice of everything (with top-ups they are an error, noted there)."""
    seen: dict[tuple[str, str], str] = {}
    for id, account in facts.tables.accounts.items():
        same = identity(facts, account)
        first = seen.setdefault(same, id) if same is not None else id
        if first != id and not {first, id} <= facts.tables.topups.keys():
            said = f'it asks the same URL with the same key as the account "{first}"'
            facts.note(ProblemId.ACCOUNT_TWICE, account, "", said, "one account would do")
