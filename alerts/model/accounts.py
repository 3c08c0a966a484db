"""An account as the rules see it: its name and its provider. Keys, URLs and cards stay in the daemon."""

from dataclasses import dataclass
from datetime import timedelta

from alerts.model.units import GB, USD


@dataclass(frozen=True, slots=True)
class AccountInfo:
    """One API key at one provider. `id` is the table's name in the configuration."""

    id: str
    provider: str
    label: str = ""
    tags: tuple[str, ...] = ()
    unit: str = USD
    """What its balance and its spend are in."""
    quota_unit: str = GB
    """What its used volume and its quota are in."""
    believe_falls_after: timedelta | None = None
    """How long `funded` must stay lower before the fall is accepted and charging goes on; None: a person decides."""

    owner: str = ""
    """The customer whose account it is, as the API's tokens name owners; empty: the operator's own."""

    @property
    def name(self) -> str:
        """What a person reads: the label where there is one, else the id."""
        return self.label or self.id
