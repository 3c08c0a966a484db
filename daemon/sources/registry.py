"""The providers that there are: the `PROVIDER` of each module in `providers/`, by name."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from daemon.sources import providers
from daemon.sources.provider import Provider


def _found() -> dict[str, Provider]:
    modules = (import_module(f"{providers.__name__}.{one.name}") for one in iter_modules(providers.__path__))
    records: list[Provider] = [module.PROVIDER for module in modules]
    return {record.name: record for record in records}


PROVIDERS = _found()
