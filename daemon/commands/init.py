"""`init`: write a first configuration, by asking or by flags, never over another one, and check it online."""

from __future__ import annotations

import base64
import os
import re
import secrets
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
from daemon.commands.common import OK, USAGE, JsonOption, Options, fail
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
    key: str
    """The reference of the API key: env:NAME, or file:PATH."""
    base_url: str
    below: str
    percent: str
    webhook: str
    webhook_secret: str
    """The reference of the webhooks' secret."""
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
    as_json: JsonOption = False,
) -> None:
    """Write a configuration to --config (else ./config.toml) by asking or by flags, and check it."""
    options: Options = context.obj
    path = options.config or Path("config.toml")
    if path.exists() or path.is_symlink():
        fail(f"{path} exists already, and is left as it is: name another file by --config", USAGE)
    given = Answers(
        provider, account, _env(key_env), base_url, below, percent, webhook, _env(webhook_secret_env), email, smtp_host,
        sender, timezone, tuple(param or ()),
    )  # fmt: skip
    asking = ask and _on_terminal()
    keys = Keys(path.absolute().parent / "secrets")
    answers = _completed(given, keys, ask=asking)
    _write(path, text_of(answers), keys)
    typer.echo(f"wrote {path}; config.example.toml explains every other key, top-ups among them", err=as_json)
    missing = [name for name in _variables(answers) if not os.environ.get(name)]
    if online and missing:
        said = f"not checked online: set {', '.join(missing)}, then `brimful --config {path} check --online`"
        typer.echo(said, err=as_json)
    code = run_check(path, online=online and not missing, as_json=as_json)
    if asking and online and not missing and code == OK:
        _ping(context, path, answers)
    raise typer.Exit(code)


def _ping(context: typer.Context, path: Path, answers: Answers) -> None:
    """Offer to send each receiver a test.ping: the first real message is no time to find out."""
    from daemon.commands.test import try_receiver

    receivers = [key for key, said in (("webhook:app", answers.webhook), ("email:ops", answers.email)) if said]
    if receivers and typer.confirm(f"Send a test.ping to {' and '.join(receivers)} now?", default=True):
        context.obj = Options(path)
        for key in receivers:
            try_receiver(context, key)


def _env(name: str) -> str:
    return f"env:{name}" if name else ""


class Keys:
    """Keys that were typed: each goes into a file of its own, for its owner alone, and nowhere else."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._typed: dict[str, str] = {}

    def add(self, name: str, key: str) -> str:
        """Return the reference to write in the configuration."""
        self._typed[name] = key
        return f"file:{self._folder / name}"

    def write(self) -> None:
        """Write the files; none is written over another one."""
        for name, key in self._typed.items():
            self._folder.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(self._folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(key + "\n")


def _on_terminal() -> bool:
    return sys.stdin.isatty()


def _completed(given: Answers, keys: Keys, *, ask: bool) -> Answers:
    """Return the answers with what was asked for and with defaults. Exits where a flag is nonsense."""

    def answer(value: str, question: str, default: str = "", *, hidden: bool = False) -> str:
        if value or not ask:
            return value or default
        said: str = typer.prompt(question, default=default, show_default=bool(default), hide_input=hidden)
        return said.strip()

    known = _providers()
    provider = answer(given.provider, "Provider (`brimful providers` lists them)", next(iter(known)) if ask else "")
    if provider not in known:
        hint = f"an account of {listing(_providers(by_hand=True))} is written by hand: see config.example.toml"
        near = suggestion(provider, known) or "`brimful providers` lists them"
        fail(f"--provider: there is no provider {provider!r}: {near}; {hint}", USAGE)
    chosen = known[provider]
    account = answer(given.account, "A short name for the account", provider)
    question = "API key: env:NAME where a variable holds it, or the key itself"
    key = answer(given.key, question, _env(chosen.key_env), hidden=True)
    key = key if _is_reference(key) else keys.add(account, key)
    params = _params(given, chosen, answer)
    below = percent = ""
    if Has.BALANCE in chosen.provides:
        unit = "dollars" if chosen.unit == USD else chosen.unit
        below = answer(given.below, f"Alert when fewer {unit} are available than", "5.00")
    if Has.LIMIT in chosen.provides:
        percent = answer(given.percent, "Alert at these percents of the quota", "80,90,100")
    webhook = answer(given.webhook, "Send webhooks to (empty: none)")
    secret = ""
    if webhook:
        default = _NEW if ask else "env:WEBHOOK_SECRET"
        secret = answer(given.webhook_secret, "Their secret: env:NAME, or the secret itself", default, hidden=True)
        secret = secret if _is_reference(secret) else keys.add("webhook", _drawn() if secret == _NEW else secret)
    email = answer(given.email, "Mail alerts to (empty: nobody)")
    return Answers(
        provider=provider,
        account=account,
        key=key,
        base_url=given.base_url,
        below=below,
        percent=percent,
        webhook=webhook,
        webhook_secret=secret,
        email=email,
        smtp_host=answer(given.smtp_host, "Mail server", "127.0.0.1") if email else "",
        sender=answer(given.sender, "Sender of the mails", "Brimful <brimful@localhost>") if email else "",
        timezone=answer(given.timezone, "Time zone", "UTC"),
        params=params,
    )


_NEW = "a new one"


def _drawn() -> str:
    """Draw a secret for signing webhooks, and show it: the receiver needs it too."""
    secret = f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}"
    typer.echo(f"their secret, for the receiver: {secret}")
    return secret


def _is_reference(text: str) -> bool:
    return text.startswith(("env:", "file:", "credential:"))


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
    parts.append([account_text(_providers()[answers.provider], account, answers.key, params, answers.base_url)])
    if answers.below:
        below = f"{below_key(answers.provider)} = {_number(answers.below, '--below')}"
        parts.append(["[[rules]]", 'id = "low"', 'kind = "low_balance"', below])
    if answers.percent:
        steps = ", ".join(_number(step, "--percent") for step in answers.percent.split(","))
        parts.append(["[[rules]]", 'id = "quota"', 'kind = "quota"', f"at_percent = [{steps}]"])
    if answers.webhook:
        secret = f"secret = {_quoted(answers.webhook_secret)}"
        parts.append(["[[webhooks]]", 'id = "app"', f"url = {_quoted(answers.webhook)}", secret])
        if answers.webhook.startswith("http:"):
            parts[-1].append("allow_http = true")
    if answers.email:
        parts.append(["[smtp]", f"host = {_quoted(answers.smtp_host)}", f"sender = {_quoted(answers.sender)}"])
        parts.append(["[[emails]]", 'id = "ops"', f"to = [{_quoted(answers.email)}]"])
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _variables(answers: Answers) -> tuple[str, ...]:
    said = (answers.key, answers.webhook_secret)
    return tuple(text.removeprefix("env:") for text in said if text.startswith("env:"))


def _number(text: str, flag: str) -> str:
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        fail(f"{flag}: {text.strip()} is not a number", USAGE)
    return f"{number:f}"


def _write(path: Path, text: str, keys: Keys) -> None:
    """Write `text` at `path`, and the keys, where it is a good configuration and nothing is there: all or nothing."""
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
        keys.write()
        os.link(draft, path)
    except FileExistsError as error:
        fail(f"{error.filename2 or error.filename} exists already, and is left as it is", USAGE)
    finally:
        draft.unlink(missing_ok=True)
