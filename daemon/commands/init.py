"""`init`: write a first configuration, by asking or by flags, never over another one, and check it online."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated

import typer

from alerts.model.units import USD
from daemon.commands.check import run_check
from daemon.commands.common import USAGE, Options, fail
from daemon.config.load import ConfigError, inspect
from daemon.config.problems import Level, listing, suggestion
from daemon.config.starter import account_text, below_key, needed_params
from daemon.config.starter import quoted as _quoted
from daemon.sources.provider import Has, Provider
from daemon.sources.registry import find, names


def _providers(*, by_hand: bool = False) -> dict[str, Provider]:
    """Return the providers that `init` can write, presets included; `by_hand`, those whose accounts are not."""
    every = {name: one for name in names() if (one := find(name)) is not None}
    return {name: one for name, one in every.items() if (one.by_account and one.preset is None) is by_hand}


@dataclass(frozen=True, slots=True)
class Answers:
    """What the configuration is written from. Empty text leaves its part out."""

    provider: str
    account: str
    key_env: str
    base_url: str
    below: str
    percent: str
    webhook: str
    webhook_secret_env: str
    email: str
    smtp_host: str
    sender: str
    timezone: str
    params: tuple[str, ...] = ()
    """`NAME=VALUE`, as many as the provider's URL has places."""


def register(app: typer.Typer) -> None:
    """Add `init`."""
    app.command()(init)


def init(
    context: typer.Context,
    provider: Annotated[str, typer.Option(help="One of those that `brimful providers` lists.")] = "",
    account: Annotated[str, typer.Option(help="The account's id: small letters, digits, '-' and '_'.")] = "",
    key_env: Annotated[str, typer.Option(help="The environment variable that holds the API key.")] = "",
    base_url: Annotated[str, typer.Option(help="Default: the provider's own.")] = "",
    param: Annotated[list[str] | None, typer.Option(help="NAME=VALUE: what the provider's URL needs.")] = None,
    below: Annotated[str, typer.Option(help="Alert when fewer dollars are available.")] = "",
    percent: Annotated[str, typer.Option(help="Alert at these percents of a quota, as 80,90,100.")] = "",
    webhook: Annotated[str, typer.Option(help="Where to send signed webhooks.")] = "",
    webhook_secret_env: Annotated[str, typer.Option(help="The variable that holds their secret.")] = "",
    email: Annotated[str, typer.Option(help="Whom to mail.")] = "",
    smtp_host: Annotated[str, typer.Option(help="The mail server.")] = "",
    sender: Annotated[str, typer.Option(help="The mails' sender.")] = "",
    timezone: Annotated[str, typer.Option(help="Of cron, months and reports, as Europe/Berlin.")] = "",
    ask: Annotated[bool, typer.Option("--ask/--no-ask", help="Ask for what no flag says (on a terminal).")] = True,
    online: Annotated[bool, typer.Option("--online/--no-online", help="Check it online afterwards.")] = True,
) -> None:
    """Write a configuration to --config (else ./config.toml) by asking or by flags, and check it."""
    options: Options = context.obj
    path = options.config or Path("config.toml")
    if path.exists() or path.is_symlink():
        fail(f"{path} exists already, and is left as it is: name another file by --config", USAGE)
    given = Answers(
        provider, account, key_env, base_url, below, percent, webhook, webhook_secret_env, email, smtp_host, sender,
        timezone, tuple(param or ()),
    )  # fmt: skip
    answers = _completed(given, ask=ask and _on_terminal())
    _write(path, text_of(answers))
    typer.echo(f"wrote {path}; config.example.toml explains every other key, top-ups among them")
    missing = [name for name in _variables(answers) if not os.environ.get(name)]
    if online and missing:
        typer.echo(f"not checked online: set {', '.join(missing)}, then `brimful --config {path} check --online`")
    raise typer.Exit(run_check(path, online=online and not missing, as_json=False))


def _on_terminal() -> bool:
    return sys.stdin.isatty()


def _completed(given: Answers, *, ask: bool) -> Answers:
    """Return the answers with what was asked for and with defaults. Exits where a flag is nonsense."""

    def answer(value: str, question: str, default: str = "") -> str:
        if value or not ask:
            return value or default
        said: str = typer.prompt(question, default=default, show_default=bool(default))
        return said.strip()

    known = _providers()
    provider = answer(given.provider, "Provider (`brimful providers` lists them)", next(iter(known)) if ask else "")
    if provider not in known:
        hint = f"an account of {listing(_providers(by_hand=True))} is written by hand: see config.example.toml"
        near = suggestion(provider, known) or "`brimful providers` lists them"
        fail(f"--provider: there is no provider {provider!r}: {near}; {hint}", USAGE)
    chosen = known[provider]
    account = answer(given.account, "A short name for the account", provider)
    key_env = answer(given.key_env, "Environment variable with the API key", chosen.key_env)
    params = _params(given, chosen, answer)
    below = percent = ""
    if Has.BALANCE in chosen.tells:
        unit = "dollars" if chosen.unit == USD else chosen.unit
        below = answer(given.below, f"Alert when fewer {unit} are available than", "5.00")
    if Has.LIMIT in chosen.tells:
        percent = answer(given.percent, "Alert at these percents of the quota", "80,90,100")
    webhook = answer(given.webhook, "Send webhooks to (empty: none)")
    secret = answer(given.webhook_secret_env, "Variable with their secret", "WEBHOOK_SECRET") if webhook else ""
    email = answer(given.email, "Mail alerts to (empty: nobody)")
    return Answers(
        provider=provider,
        account=account,
        key_env=key_env,
        base_url=given.base_url,
        below=below,
        percent=percent,
        webhook=webhook,
        webhook_secret_env=secret,
        email=email,
        smtp_host=answer(given.smtp_host, "Mail server", "127.0.0.1") if email else "",
        sender=answer(given.sender, "Sender of the mails", "Brimful <brimful@localhost>") if email else "",
        timezone=answer(given.timezone, "Time zone", "UTC"),
        params=params,
    )


def _params(given: Answers, provider: Provider, answer: Callable[[str, str], str]) -> tuple[str, ...]:
    """Return what the provider's URL needs, asked for where no flag says it. Exits where it is not all there."""
    places = needed_params(provider)
    said = {name: value for name, _, value in (pair.partition("=") for pair in given.params)}
    if wrong := [name for name in said if name not in places]:
        fail(f"--param {wrong[0]}: {provider.name} needs {listing(places)}", USAGE)
    filled = {name: answer(said.get(name, ""), f"{name}, which stands in the URL") for name in places}
    if missing := [name for name, value in filled.items() if not value]:
        fail(f"--param {missing[0]}=VALUE is needed: it stands in the URL of {provider.name}", USAGE)
    return tuple(f"{name}={value}" for name, value in filled.items())


def text_of(answers: Answers) -> str:
    """Return the TOML text."""
    bare = re.fullmatch(r"[A-Za-z0-9_-]+", answers.account, re.ASCII)
    account = answers.account if bare else _quoted(answers.account)
    params = {name: value for name, _, value in (pair.partition("=") for pair in answers.params)}
    parts = [[f"timezone = {_quoted(answers.timezone)}"]]
    parts.append([account_text(_providers()[answers.provider], account, answers.key_env, params, answers.base_url)])
    if answers.below:
        below = f"{below_key(answers.provider)} = {_number(answers.below, '--below')}"
        parts.append(["[[rules]]", 'id = "low"', 'kind = "low_balance"', below])
    if answers.percent:
        steps = ", ".join(_number(step, "--percent") for step in answers.percent.split(","))
        parts.append(["[[rules]]", 'id = "quota"', 'kind = "quota"', f"at_percent = [{steps}]"])
    if answers.webhook:
        secret = f"secret = {_quoted('env:' + answers.webhook_secret_env)}"
        parts.append(["[[webhooks]]", 'id = "app"', f"url = {_quoted(answers.webhook)}", secret])
        if answers.webhook.startswith("http:"):
            parts[-1].append("allow_http = true")
    if answers.email:
        parts.append(["[smtp]", f"host = {_quoted(answers.smtp_host)}", f"sender = {_quoted(answers.sender)}"])
        parts.append(["[[emails]]", 'id = "ops"', f"to = [{_quoted(answers.email)}]"])
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _variables(answers: Answers) -> tuple[str, ...]:
    return tuple(name for name in (answers.key_env, answers.webhook_secret_env) if name)


def _number(text: str, flag: str) -> str:
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        fail(f"{flag}: {text.strip()} is not a number", USAGE)
    return f"{number:f}"


def _write(path: Path, text: str) -> None:
    """Write `text` at `path` where it is a good configuration and nothing is there, whole or not at all."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=".brimful-", suffix=".toml", dir=path.parent)
    except OSError as error:
        fail(f"cannot write {path}: {(error.strerror or str(error)).lower()}")
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        found = inspect(draft, secrets=False)
        if found.config is None:
            raise ConfigError(path, tuple(p for p in found.problems if p.severity is Level.ERROR))
        os.link(draft, path)
    except FileExistsError:
        fail(f"{path} exists already, and is left as it is", USAGE)
    finally:
        draft.unlink(missing_ok=True)
