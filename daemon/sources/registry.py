"""The providers that there are: the `PROVIDER` of each module in `providers/`, and a preset a file in `presets/`."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from daemon.sources import providers
from daemon.sources.preset import preset, preset_names
from daemon.sources.provider import Provider


def _found() -> dict[str, Provider]:
    modules = (import_module(f"{providers.__name__}.{one.name}") for one in iter_modules(providers.__path__))
    records: list[Provider] = [module.PROVIDER for module in modules]
    return {record.name: record for record in records}


PROVIDERS = _found()
"""Those that are code; presets are found by name alone, so that none is read that nobody uses."""


def names() -> tuple[str, ...]:
    """Return what an account's `provider` can be."""
    return (*PROVIDERS, *preset_names())


def find(name: str) -> Provider | None:
    """Return the provider or the preset of this name."""
    return PROVIDERS.get(name) or (_of_preset(name) if name in preset_names() else None)


@cache
def _of_preset(name: str) -> Provider:
    found, any_api = preset(name), next(one for one in PROVIDERS.values() if one.by_account)
    return Provider(name=name, title=found.title, table=any_api.table, reader=any_api.reader, preset=found)
