"""What the judgement knows of an account: its name and its provider. Keys, URLs and cards stay in the daemon."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AccountInfo:
    """One API key at one provider. `id` is the table's name in the configuration."""

    id: str
    provider: str
    label: str = ""
    tags: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What a person reads: the label where there is one, else the id."""
        return self.label or self.id
