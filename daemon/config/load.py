"""From TOML to \`Config\`."""

from pathlib import Path

from daemon.config.model import Config


class ConfigError(Exception):
    """Every problem of a configuration at once; \`str()\` is what a person reads."""


def load(path: Path) -> Config:
    """Return the checked configuration at \`path\`; raises ConfigError."""
    raise ConfigError(f"cannot read {path}")
