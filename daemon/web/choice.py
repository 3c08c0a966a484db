"""Which accounts the front page shows: trouble first, filtered, a page at a time. Costs a comparison an account."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlencode

from alerts.model.accounts import AccountInfo
from alerts.model.events import Severity
from daemon.config.model import AccountConfig, Config
from daemon.limits import PAGE_ACCOUNTS
from daemon.store import readings, states
from daemon.store.connection import Connection


class RowTone(StrEnum):
    """How an account fares, the worst first."""

    CRITICAL = "critical"
    WARNING = "warning"
    QUIET = "quiet"  # never read
    GOOD = "good"


_WORDS = {
    RowTone.CRITICAL: "critical",
    RowTone.WARNING: "warning",
    RowTone.QUIET: "never read",
    RowTone.GOOD: "without trouble",
}
_ORDER = {tone: number for number, tone in enumerate(RowTone)}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reader asked for: a text in an id, label or owner, a tag, a tone, a page (from 1)."""

    text: str = ""
    tag: str = ""
    tone: str = ""
    page: int = 1

    @property
    def narrows(self) -> bool:
        """Whether it leaves anything out."""
        return bool(self.text or self.tag or self.tone)

    def link(self, **changes: str | int) -> str:
        """Return the query of the same choice with something changed; what is not asked for is left out."""
        said: dict[str, str | int] = {"q": self.text, "tag": self.tag, "state": self.tone, "page": 1, **changes}
        return "?" + urlencode({name: value for name, value in said.items() if value not in ("", 1)})


@dataclass(frozen=True, slots=True)
class ChoiceCount:
    """How many accounts fare so, in words, and the link that shows them alone."""

    tone: RowTone
    count: int
    words: str
    link: str
    is_wanted: bool


@dataclass(frozen=True, slots=True)
class Chosen:
    """The accounts of one page, and what there is beside them."""

    accounts: tuple[AccountConfig, ...]
    all: int
    matching: int
    counts: tuple[ChoiceCount, ...]
    tags: tuple[str, ...]
    wanted: Wanted
    pages: int

    @property
    def before(self) -> str:
        """The link to the page before; empty on the first."""
        return self.wanted.link(page=self.wanted.page - 1) if self.wanted.page > 1 else ""

    @property
    def after(self) -> str:
        """The link to the next page; empty on the last."""
        return self.wanted.link(page=self.wanted.page + 1) if self.wanted.page < self.pages else ""


def choose(config: Config, connection: Connection, wanted: Wanted) -> Chosen:
    """Return what is shown; a page beyond the last is the last."""
    by_account = tones(config, connection)
    counted = Counter(by_account.values())
    text = wanted.text.casefold()
    found = [
        account
        for account in config.accounts.values()
        if (not text or any(text in said for said in texts_of(account.info)))
        and (not wanted.tag or wanted.tag in account.info.tags)
        and (not wanted.tone or by_account[account.id] == wanted.tone)
    ]
    found.sort(key=lambda account: _ORDER[by_account[account.id]])
    pages = max(-(-len(found) // PAGE_ACCOUNTS), 1)
    wanted = Wanted(wanted.text, wanted.tag, wanted.tone, min(wanted.page, pages))
    first = (wanted.page - 1) * PAGE_ACCOUNTS
    return Chosen(
        accounts=tuple(found[first : first + PAGE_ACCOUNTS]),
        all=len(config.accounts),
        matching=len(found),
        counts=tuple(
            ChoiceCount(tone, counted[tone], _WORDS[tone], wanted.link(state=tone.value), tone == wanted.tone)
            for tone in RowTone
            if counted[tone]
        ),
        tags=_tags(config.accounts.values()),
        wanted=wanted,
        pages=pages,
    )


def texts_of(info: AccountInfo) -> tuple[str, str, str]:
    """Return what an account is found by: its id, label and owner, in small letters."""
    return info.id, info.label.casefold(), info.owner.casefold()


def tones(config: Config, connection: Connection) -> dict[str, RowTone]:
    """Return how every account fares."""
    poll_states, severities = readings.poll_states(connection), states.open_severities(connection)
    return {
        account: tone_of(*poll_states.get(account, (False, False)), severities.get(account, ()))
        for account in config.accounts
    }


def tone_of(was_read: bool, is_out: bool, severities: Collection[Severity]) -> RowTone:
    """Return how an account fares: by its open alerts, by an outage that goes on, by whether it was ever read."""
    if Severity.CRITICAL in severities:
        return RowTone.CRITICAL
    if severities or is_out:
        return RowTone.WARNING
    return RowTone.GOOD if was_read else RowTone.QUIET


def _tags(accounts: Iterable[AccountConfig]) -> tuple[str, ...]:
    """The tags that most accounts have, in the order of the alphabet."""
    counted = Counter(tag for account in accounts for tag in account.info.tags)
    return tuple(sorted(tag for tag, _ in counted.most_common(_TAGS_SHOWN)))


_TAGS_SHOWN = 30
