"""`providers`: what an account's `provider` can be, and of a preset all that it says."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from daemon.commands.common import USAGE, fail, fields, print_json, print_table
from daemon.config.problems import suggestion
from daemon.config.starter import account_text
from daemon.sources.preset import Preset
from daemon.sources.provider import Provider
from daemon.sources.registry import find, names

_OWN = "docs/configuration.md"


def register(app: typer.Typer) -> None:
    """Add `providers` and `providers show`."""
    group = typer.Typer(invoke_without_command=True, help="What an account's provider can be.")
    group.callback()(providers)
    group.command()(show)
    app.add_typer(group, name="providers")


def providers(
    context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """List the providers and presets: what each reads, in which unit, by which key, and who documents it."""
    if context.invoked_subcommand is not None:
        return
    found = [one for name in names() if (one := find(name)) is not None]
    if as_json:
        print_json({"providers": [document(one) for one in found]})
        return
    rows = [(one.name, reads_of(one), unit_of(one), key_of(one), documented(one)) for one in found]
    print_table("Providers", ("name", "reads", "unit", "key", "documented"), rows)


def show(
    name: Annotated[str, typer.Argument(help="The provider's name.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show one provider: how it is asked, how its answer is read, its quirks, and an account of it to begin with."""
    found = find(name)
    if found is None:
        fail(f"there is no provider {name!r}: {suggestion(name, names()) or '`brimful providers` lists them'}", USAGE)
    if as_json:
        print_json(document(found))
        return
    said = {
        "name": found.name,
        "title": found.title,
        "reads": reads_of(found),
        "unit": unit_of(found),
        "key": key_of(found),
        "documented": documented(found),
    }
    fields(said | (_preset_lines(found.preset) if found.preset is not None else {}))
    if found.preset is not None:
        typer.echo(f"\nits documented answer\n{found.preset.answer.strip()}")
    typer.echo(f"\nin the configuration\n{account_text(found, found.name, f'env:{found.key_env}')}")


def _preset_lines(preset: Preset) -> dict[str, str]:
    checks = {key: getattr(preset, key) for key in ("body", "ok", "error", "currency", "unlimited")}
    return {
        "asked": f"{preset.method} {preset.url}",
        "auth": preset.auth,
        **{key: text for key, text in checks.items() if text},
        **{f"{name} =": expression for name, expression in preset.fields.items()},
        "poll": preset.poll,
        "may be topped up": "yes" if preset.topup_safe else "no: its balance is late, partial or in another unit",
        **{f"note {number}": quirk for number, quirk in enumerate(preset.quirks, 1)},
    }


def document(provider: Provider) -> dict[str, Any]:
    """Return what a program reads of a provider."""
    found: dict[str, Any] = {
        "name": provider.name,
        "title": provider.title,
        "preset": provider.preset is not None,
        "reads": list(_reads(provider)),
        "unit": unit_of(provider) or None,
        "key": key_of(provider),
        "documented": documented(provider),
        "url": provider.base_url + provider.path or None,
    }
    preset = provider.preset
    if preset is None:
        return found
    keys = ("method", "body", "auth", "ok", "error", "currency", "unlimited", "poll", "topup_safe")
    return found | {
        "url": preset.url,
        "params": list(preset.params),
        **{key: getattr(preset, key) for key in keys},
        "fields": dict(preset.fields),
        "quirks": list(preset.quirks),
        "answer": json.loads(preset.answer),
    }


def _reads(provider: Provider) -> tuple[str, ...]:
    if provider.preset is not None:
        return tuple(provider.preset.fields)
    return tuple(sorted(provider.provides)) if not provider.by_account else ()


def reads_of(provider: Provider) -> str:
    """Return what a reading holds, as a person reads it."""
    return ", ".join(_reads(provider)) or "what its fields name"


def unit_of(provider: Provider) -> str:
    """Return the unit of its figures; empty where each account says it."""
    if provider.preset is not None:
        return provider.preset.unit
    return "" if provider.by_account else provider.unit


def key_of(provider: Provider) -> str:
    """Return which kind of key it needs."""
    if provider.preset is not None:
        return provider.preset.key
    return f"an API key, as {provider.key_header}" if provider.key_header else "what the account says"


def documented(provider: Provider) -> str:
    """Return where its API is documented."""
    return provider.preset.documented if provider.preset is not None else _OWN
