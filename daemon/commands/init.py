"""`init`: write a first configuration, by asking or by flags, never over another one, and check it online."""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated

import typer

from daemon.commands.check import run_check
from daemon.commands.common import USAGE, Options, fail
from daemon.config.load import ConfigError, inspect
from daemon.config.problems import Level, listing
from daemon.sources.provider import Has, Provider
from daemon.sources.registry import PROVIDERS


def _providers(*, by_account: bool = False) -> dict[str, Provider]:
    """Return the providers that `init` can write; `by_account`, those whose accounts are written by hand."""
    return {name: one for name, one in PROVIDERS.items() if one.by_account is by_account}


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


def register(app: typer.Typer) -> None:
    """Add `init`."""
    app.command()(init)


def init(
    context: typer.Context,
    provider: Annotated[str, typer.Option(help=f"{' or '.join(_providers())}.")] = "",
    account: Annotated[str, typer.Option(help="The account's id: small letters, digits, '-' and '_'.")] = "",
    key_env: Annotated[str, typer.Option(help="The environment variable that holds the API key.")] = "",
    base_url: Annotated[str, typer.Option(help="Default: the provider's own.")] = "",
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
        timezone,
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
    provider = answer(given.provider, f"Provider ({' or '.join(known)})", next(iter(known)) if ask else "")
    if provider not in known:
        hint = f"an account of {listing(_providers(by_account=True))} is written by hand: see config.example.toml"
        fail(f"--provider is {listing(known)}; {hint}", USAGE)
    chosen = known[provider]
    account = answer(given.account, "A short name for the account", provider)
    key_env = answer(given.key_env, "Environment variable with the API key", chosen.key_env)
    below = percent = ""
    if Has.BALANCE in chosen.tells:
        below = answer(given.below, "Alert when fewer dollars are available than", "5.00")
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
    )


def text_of(answers: Answers) -> str:
    """Return the TOML text."""
    bare = re.fullmatch(r"[A-Za-z0-9_-]+", answers.account, re.ASCII)
    account = f"accounts.{answers.account if bare else _quoted(answers.account)}"
    parts = [[f"timezone = {_quoted(answers.timezone)}"]]
    parts.append([f"[{account}]", f"provider = {_quoted(answers.provider)}"])
    if answers.base_url:
        parts[-1].append(f"base_url = {_quoted(answers.base_url)}")
    parts[-1].append(f"api_key = {_quoted('env:' + answers.key_env)}")
    if answers.below:
        below = f"below_usd = {_number(answers.below, '--below')}"
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


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


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
