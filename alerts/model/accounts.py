"""What the judgement knows of an account: its name and its provider. Keys, URLs and cards stay in the daemon."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class AccountInfo:
    """One API key at one provider. `id` is the table's name in the configuration."""

    id: str
    provider: str
    label: str = ""
    tags: tuple[str, ...] = ()
    believe_falls_after: timedelta | None = None
    """How long an impossible fall of the balance must stand before it is charged on; None: a person decides."""

    @property
    def name(self) -> str:
        """What a person reads: the label where there is one, else the id."""
        return self.label or self.id
