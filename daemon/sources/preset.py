"""Presets: usage APIs that are one data file each, `presets/NAME.toml`, with the documented answer that each reads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import tomli

from alerts.model.units import USD

_PARAM = re.compile(r"(?<!\$)\{([A-Za-z_][A-Za-z0-9_]*)\}", re.ASCII)
"""A place in a URL that each account fills in; `${…}` is a secret's."""
_PARAM_VALUE = re.compile(r"[A-Za-z0-9_.-]{1,128}", re.ASCII)
DEFAULT_POLL = "*/5 * * * *"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """What an account of this API need not say; the names are those of an account's keys in the configuration."""

    name: str
    title: str
    documented: str
    """Where its makers document it, or who read it for a client."""
    key: str
    """Which kind of key it needs."""
    url: str
    fields: Mapping[str, str]
    topup_safe: bool
    """Whether its balance is complete and prompt enough to charge on."""
    answer: str
    """The documented answer, JSON."""
    reads: Mapping[str, str]
    """What each field of that answer is."""
    auth: str = "bearer"
    method: str = "GET"
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    ok: str = ""
    error: str = ""
    unit: str = USD
    currency: str = ""
    unlimited: str = ""
    poll: str = DEFAULT_POLL
    """As often as its rate limit and the age of its figures make sense of."""
    quirks: tuple[str, ...] = ()

    @property
    def params(self) -> tuple[str, ...]:
        """What each account has to say itself, as it stands in the URL."""
        return params_in(self.url)


def params_in(url: str) -> tuple[str, ...]:
    """Return the names of what an account fills into a URL."""
    return tuple(dict.fromkeys(_PARAM.findall(url)))


def is_param(value: str) -> bool:
    """Whether a value may be filled into a URL."""
    return _PARAM_VALUE.fullmatch(value) is not None and set(value) != {"."}


def with_params(url: str, params: Mapping[str, str]) -> str:
    """Return the URL with what the account fills in; what it does not stays as it is."""
    return _PARAM.sub(lambda place: params.get(place[1], place[0]), url)


_FOLDER = Path(__file__).parent / "presets"


@cache
def preset_names() -> tuple[str, ...]:
    """Return the names of all presets, in order. None is read for it."""
    return tuple(sorted(file.stem for file in _FOLDER.glob("*.toml")))


@cache
def preset(name: str) -> Preset:
    """Return a preset that there is."""
    said: dict[str, Any] = tomli.loads((_FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    return Preset(name=name, **{**said, "quirks": tuple(said.get("quirks", ()))})
