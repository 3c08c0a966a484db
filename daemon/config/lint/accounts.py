"""Accounts: their URLs, poll schedules and keys."""

from __future__ import annotations

from datetime import timedelta

from alerts.model.polling import AUTO
from alerts.model.units import GB, USD
from daemon.config.cron import gaps
from daemon.config.durations import format_duration
from daemon.config.lint.facts import LintFacts
from daemon.config.problems import ProblemId, listing, suggestion
from daemon.config.reading import Item
from daemon.config.schema import AccountTable
from daemon.config.urls import Plain
from daemon.sources.auth import HEADER_NAME, AuthKind
from daemon.sources.preset import is_param, params_in, with_params
from daemon.sources.provider import Has, Provider

BY_ACCOUNT = (
    "url", "params", "method", "body", "auth", "headers", "ok", "error", "unit", "currency", "unlimited", "topup_safe",
    "fields",
)  # fmt: skip
"""The keys of an account that says itself where it is asked and how its answer is read."""
_RARE = timedelta(hours=24)


def lint(facts: LintFacts) -> None:
    if not facts.tables.accounts and not facts.tables.api.table.enabled:
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
    """Return the base URL of an account that does not define its own URL, without a trailing slash."""
    if account.base_url is not None:
        return account.base_url.rstrip("/")
    return account.provider.base_url if account.provider is not None else ""


def identity(facts: LintFacts, account: Item[AccountTable]) -> tuple[str, str] | None:
    """Return the account's URL and secret: two accounts with the same are one. None if unknown."""
    table = account.table
    key = facts.secret(account.at("api_key")) or table.api_key or ""
    if table.by_account:
        said = [
            f"{name.lower()}={facts.text(account.at(f'headers.{name}'))}" for name in sorted(table.effective_headers)
        ]
        sent = [key, facts.text(account.at("body")), *said]
        return (facts.text(account.at("url")), "\n".join(sent)) if table.effective("url") and any(sent) else None
    base = base_url(table).lower()
    return (base, key) if base and key else None


def _lint_keys(facts: LintFacts, account: Item[AccountTable]) -> None:
    table, provider, given = account.table, account.table.provider, account.table.given
    if provider is None:
        return
    if not provider.by_account:
        if "api_key" not in given:
            facts.note(ProblemId.KEY_MISSING, account, "api_key", "this key is needed", 'write "env:NAME"')
        for key in BY_ACCOUNT:
            if key in given:
                hint = "write base_url" if key == "url" else ""
                facts.note(ProblemId.ACCOUNT_KEYS, account, key, _has_no(provider, key), hint)
        return
    for key, value in (("url", table.effective("url")), ("fields", table.effective_fields)):
        if not value and key not in given:
            said = f'an account of the provider "{provider.name}" needs this key'
            facts.note(ProblemId.KEY_MISSING, account, key, said)
    if "base_url" in given:
        facts.note(ProblemId.ACCOUNT_KEYS, account, "base_url", _has_no(provider, "base_url"), "write url")
    if table.effective("method") == "GET" and table.effective("body"):
        facts.note(ProblemId.ACCOUNT_KEYS, account, "body", "a GET request has no body", 'write method = "POST"')
    _lint_auth(facts, account)
    _lint_params(facts, account)


def _lint_auth(facts: LintFacts, account: Item[AccountTable]) -> None:
    table, auth = account.table, account.table.effective_auth
    if "auth" in table.broken:
        return
    if auth.kind is AuthKind.NONE:
        if "api_key" in table.given:
            hint = 'say how by auth, or put it into a header, the URL or the body as "${env:NAME}"'
            facts.note(ProblemId.ACCOUNT_KEYS, account, "api_key", 'with auth = "none" no key is sent', hint)
    elif "api_key" not in table.given:
        kind = f"the key is {table.preset.key}; " if table.preset is not None else ""
        facts.note(ProblemId.KEY_MISSING, account, "api_key", "this key is needed", f'{kind}write "env:NAME"')
    key = facts.secret(account.at("api_key"))
    if auth.kind is AuthKind.BASIC and key and ":" not in key:
        said = 'for auth = "basic" the key is "user:password", and it holds no colon'
        facts.note(ProblemId.SECRET_INVALID, account, "api_key", said)


def _lint_params(facts: LintFacts, account: Item[AccountTable]) -> None:
    table = account.table
    wanted = params_in(table.effective("url") or "")
    for name in wanted:
        if name not in table.params:
            said, hint = f"the URL has a place {{{name}}}", f'write params = {{ {name} = "…" }}'
            facts.note(ProblemId.KEY_MISSING, account, f"params.{name}", said, hint)
    for name in table.params:
        value = facts.text(account.at(f"params.{name}"))
        if name not in wanted:
            hint = suggestion(name, wanted) or (f"known: {', '.join(wanted)}" if wanted else "leave it out")
            facts.note(ProblemId.KEY_UNKNOWN, account, f"params.{name}", "the URL has no such place", hint)
        elif value and not is_param(value):
            said = "what is filled into a URL is letters, digits, '-', '_' and '.', at most 128 of them"
            facts.note(ProblemId.VALUE_INVALID, account, f"params.{name}", said)


def _has_no(provider: Provider, key: str) -> str:
    return f'the provider "{provider.name}" has no {key}'


def _lint_secrets(facts: LintFacts, account: Item[AccountTable]) -> None:
    names = account.table.effective_headers if account.table.by_account else {}
    sent = {f"headers.{name}": facts.text(account.at(f"headers.{name}")) for name in names}
    for key, value in {"api_key": facts.secret(account.at("api_key")), **sent}.items():
        if not value.isascii():
            said = "it holds letters that a request header cannot carry"
            facts.note(ProblemId.SECRET_INVALID, account, key, said)
    for name in names:
        if not HEADER_NAME.fullmatch(name):
            facts.note(ProblemId.VALUE_INVALID, account, f"headers.{name}", "this is not the name of a header")


def _lint_url(facts: LintFacts, account: Item[AccountTable]) -> None:
    table = account.table
    if table.by_account:
        if table.effective("url") and (url := facts.text(account.at("url"))):
            facts.note_url(account, "url", with_params(url, dict.fromkeys(params_in(url), "x")), Plain.OWN)
        return
    if table.base_url is None:
        return
    facts.note_url(account, "base_url", table.base_url, Plain.OWN)
    path = table.provider.path if table.provider is not None else ""
    if path and (table.base_url.rstrip("/").endswith(path) or "?" in table.base_url):
        said = f"the path {path} is added to it"
        facts.note(ProblemId.URL_INVALID, account, "base_url", said, "write the URL without it")


def _lint_poll(facts: LintFacts, id: str, account: Item[AccountTable]) -> None:
    table = account.table
    bounds = table.given & {"poll_fastest", "poll_slowest"}
    if bounds and "poll" not in table.broken and table.effective("poll") != AUTO:
        said = f'it bounds poll = "{AUTO}", and this account is polled by a cron expression'
        facts.note(ProblemId.ACCOUNT_KEYS, account, min(bounds), said, f'write poll = "{AUTO}", or leave it out')
    if table.poll_fastest is not None and table.poll_slowest is not None and table.poll_fastest > table.poll_slowest:
        said = f"it is longer than poll_slowest, {format_duration(table.poll_slowest)}"
        facts.note(ProblemId.VALUE_RANGE, account, "poll_fastest", said, "it is the shortest time between two polls")
    _, longest = gaps(table.schedule, facts.zone)
    if longest > _RARE and id in facts.tables.topups:
        said = f"up to {format_duration(longest)} pass between two polls of an account that is topped up"
        facts.note(ProblemId.POLL_RARE, account, "poll", said, 'every five minutes is "*/5 * * * *"')


def _lint_fields(facts: LintFacts, account: Item[AccountTable]) -> None:
    table = account.table
    known = table.preset_table
    for name in table.fields_:
        if name not in known:
            hint = suggestion(name, known) or f"known: {', '.join(known)}"
            facts.note(ProblemId.FIELD_UNKNOWN, account, f"fields.{name}", "there is no such field", hint)
    _lint_expressions(facts, account)
    _lint_units(facts, account)
    if table.effective_fields and facts.has(account).isdisjoint({Has.BALANCE, Has.VOLUME}):
        said = "neither balance nor used is read: no rule could judge anything"
        facts.note(ProblemId.KEY_MISSING, account, "fields", said)


def _lint_expressions(facts: LintFacts, account: Item[AccountTable]) -> None:
    from daemon.sources.expressions import ExpressionError, UnknownFunctionError, compiled, function_names

    table = account.table
    checks = {key: getattr(table, key) for key in ("ok", "error", "currency", "unlimited")}
    own = {f"fields.{name}": text for name, text in table.fields_.items()}
    for key, text in (own | {key: text for key, text in checks.items() if text}).items():
        try:
            compiled(text)
        except UnknownFunctionError as error:
            near = suggestion(error.name, function_names()) or f"there are {', '.join(function_names())}"
            facts.note(ProblemId.FIELD_EXPRESSION, account, key, str(error), near)
        except ExpressionError as error:
            facts.note(ProblemId.FIELD_EXPRESSION, account, key, f"this is no JMESPath expression: {error}")


def _lint_units(facts: LintFacts, account: Item[AccountTable]) -> None:
    """Each figure once, and in the account's unit: the names in dollars and gigabytes mean just these."""
    table, unit = account.table, account.table.effective("unit")
    known = table.preset_table
    first: dict[str, str] = {}
    for name in table.fields_:
        if name not in known:
            continue
        twin = first.setdefault(known[name][0], name)
        if twin != name:
            facts.note(ProblemId.ACCOUNT_KEYS, account, f"fields.{name}", f"{twin} says the same", "keep one of them")
        if name.endswith("_usd") and unit != USD:
            said = f"this field is in dollars, and the unit is {unit}"
            hint = f"write {name.removesuffix('_usd').removesuffix('_usage')}"
            facts.note(ProblemId.ACCOUNT_UNIT, account, f"fields.{name}", said, hint)
    volumes = [name for name in table.effective_fields if known.get(name, ("",))[0].endswith("microgb")]
    if len({name.endswith("_gb") for name in volumes}) > 1 and unit != GB:
        said = f"{listing(volumes)} are not all in one unit: without _gb a figure is in {unit}"
        facts.note(ProblemId.ACCOUNT_UNIT, account, "fields", said, "write all of them with _gb, or none")


def _lint_twins(facts: LintFacts) -> None:
    """Warn of two accounts with one key: every alert comes twice (with top-ups it is an error, noted there)."""
    seen: dict[tuple[str, str], str] = {}
    for id, account in facts.tables.accounts.items():
        same = identity(facts, account)
        first = seen.setdefault(same, id) if same is not None else id
        if first != id and not {first, id} <= facts.tables.topups.keys():
            said = f'it asks the same URL with the same key as the account "{first}"'
            facts.note(ProblemId.ACCOUNT_TWICE, account, "", said, "one account would do")
