"""Problems of a configuration: each has a stable id, a key path, a sentence and a hint.

`brimful check --json` prints the ids, so they do not change. `docs/checks.md` explains each; a test checks that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path

from daemon.limits import WARNINGS_LOGGED


class Level(StrEnum):
    """With an error the daemon does not start; with a warning it runs, and logs it."""

    ERROR = "error"
    WARNING = "warning"


class ProblemId(StrEnum):
    """Every problem that a configuration can have, with its level."""

    level: Level

    def __new__(cls, value: str, level: Level = Level.ERROR) -> ProblemId:
        member = str.__new__(cls, value)
        member._value_ = value
        member.level = level
        return member

    # the file
    FILE_UNREADABLE = "file-unreadable"
    FILE_TOO_LARGE = "file-too-large"
    TOML_SYNTAX = "toml-syntax"
    # keys and values
    KEY_UNKNOWN = "key-unknown"
    KEY_MISSING = "key-missing"
    VALUE_TYPE = "value-type"
    VALUE_INVALID = "value-invalid"
    VALUE_RANGE = "value-range"
    DURATION_INVALID = "duration-invalid"
    CRON_INVALID = "cron-invalid"
    TIMEZONE_UNKNOWN = "timezone-unknown"
    MONEY_INVALID = "money-invalid"
    MONEY_CENTS = "money-cents"
    MAIL_ADDRESS = "mail-address"
    MAIL_ADDRESS_LETTERS = ("mail-address-letters", Level.WARNING)
    URL_INVALID = "url-invalid"
    URL_PLAIN = "url-plain-http"
    URL_FORBIDDEN = "url-forbidden-address"
    ID_INVALID = "id-invalid"
    ID_DUPLICATE = "id-duplicate"
    # secrets
    SECRET_UNSET = "secret-unset"
    SECRET_UNREADABLE = "secret-unreadable"
    SECRET_INVALID = "secret-invalid"
    SECRET_LITERAL = ("secret-literal", Level.WARNING)
    SECRET_OPEN_FILE = ("secret-open-file", Level.WARNING)
    # accounts
    ACCOUNTS_NONE = ("accounts-none", Level.WARNING)
    ACCOUNT_UNKNOWN = "account-unknown"
    ACCOUNT_KEYS = "account-keys"
    ACCOUNT_TWICE = ("account-twice", Level.WARNING)
    ACCOUNT_UNIT = "account-unit"
    FIELD_UNKNOWN = "field-unknown"
    FIELD_EXPRESSION = "field-expression"
    POLL_RARE = ("poll-rare", Level.WARNING)
    # top-ups and Stripe
    TOPUP_SIZE = "topup-size"
    TOPUP_RESTORE = "topup-restore-below-threshold"
    TOPUP_MINIMUM = "topup-below-minimum"
    TOPUP_OVER_MAXIMUM = "topup-over-max-charge"
    TOPUP_OVER_STRIPE = "topup-over-stripe-maximum"
    TOPUP_UNREACHABLE = "topup-restore-out-of-reach"
    TOPUP_CAP = "topup-cap-below-charge"
    TOPUP_CAPS_ORDER = ("topup-caps-order", Level.WARNING)
    TOPUP_COOLDOWN = ("topup-cooldown-over-runway", Level.WARNING)
    TOPUP_THRESHOLD = ("topup-threshold-below-poll", Level.WARNING)
    TOPUP_SMALL = ("topup-lands-below-threshold", Level.WARNING)
    TOPUP_UNIT = "topup-unit"
    TOPUP_UNSAFE = "topup-unsafe"
    TOPUP_NO_BALANCE = "topup-no-balance"
    TOPUP_WEAK_CREDIT = ("topup-weak-credit", Level.WARNING)
    TOPUP_NO_STRIPE = "topup-no-stripe"
    TOPUP_SHARED_KEY = "topup-shared-key"
    TOPUP_OBJECT_ID = ("topup-object-id", Level.WARNING)
    TOPUP_DESCRIPTOR = "topup-descriptor"
    TOPUP_DESCRIPTOR_ROOM = ("topup-descriptor-room", Level.WARNING)
    TOPUP_OPEN = "topup-open-changed"
    TOPUP_UNALERTED = ("topup-unalerted", Level.WARNING)
    STRIPE_KEY = "stripe-key"
    STRIPE_MODE = "stripe-mode"
    STRIPE_BASE = ("stripe-base", Level.WARNING)
    # rules
    RULE_KIND = "rule-kind"
    RULE_READS_NOTHING = ("rule-reads-nothing", Level.WARNING)
    RULE_CLEAR_SIDE = "rule-clear-side"
    RULE_STEPS = "rule-steps"
    RULE_LIMIT = "rule-limit"
    RULE_THRESHOLD = ("rule-threshold-below-poll", Level.WARNING)
    RULE_STALE = ("rule-stale-below-poll", Level.WARNING)
    RULE_PERIOD = ("rule-period-unknown", Level.WARNING)
    # receivers, mail, reports, page
    EVENT_UNKNOWN = "event-unknown"
    EVENT_BOTH = "event-both"
    WEBHOOK_SECRET = "webhook-secret"
    WEBHOOK_THRESHOLD = "webhook-threshold-unheard"
    CHAT_EXTRA = "chat-extra-missing"
    RECEIVERS_NONE = ("receivers-none", Level.WARNING)
    REPORT_RARE = ("report-rare", Level.WARNING)
    SMTP_MISSING = "smtp-missing"
    SMTP_LOGIN = "smtp-login"
    SMTP_PLAIN = ("smtp-plain", Level.WARNING)
    HTTP_LISTEN = "http-listen"
    HTTP_OPEN = "http-open"
    HTTP_TOKEN_SHORT = "http-token-short"
    API_MASTER_KEY = "api-master-key"
    API_UNSERVED = ("api-unserved", Level.WARNING)
    API_OBJECT = ("api-object", Level.WARNING)
    MANAGED_TWICE = "managed-twice"
    TEMPLATES_MISSING = "templates-missing"
    TEMPLATES_UNKNOWN = ("templates-unknown", Level.WARNING)
    STORE_UNREADABLE = "store-unreadable"
    STORE_FOLDER = ("store-folder", Level.WARNING)


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem: where, what, and what to do, without secrets. `item`: the id of the array's item."""

    id: ProblemId
    key_path: str
    message: str
    hint: str = ""
    item: str = ""
    severity: Level = Level.ERROR

    def __str__(self) -> str:
        where = f"{self.key_path} ({self.item})" if self.item else self.key_path
        text = f"{self.severity.value:<7}  {self.id.value}  {where}: {self.message}"
        return f"{text}\n         hint: {self.hint}" if self.hint else text


class Problems:
    """The problems found so far, in order, without duplicates."""

    def __init__(self) -> None:
        self._found: dict[tuple[ProblemId, str, str], Problem] = {}

    def add(
        self, id: ProblemId, path: str, message: str, hint: str = "", *, item: str = "", level: Level | None = None
    ) -> None:
        """Note a problem. `level` overrides the id's own (an unset secret is a warning if it is not needed)."""
        problem = Problem(id, path, message, hint, item, level or id.level)
        self._found.setdefault((id, path, message), problem)

    def __len__(self) -> int:
        return len(self._found)

    def __contains__(self, problem: object) -> bool:
        return problem in self._found.values()

    def __iter__(self) -> Iterator[Problem]:
        return iter(self._found.values())

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self if problem.severity is Level.ERROR)

    @property
    def sorted(self) -> tuple[Problem, ...]:
        """Errors first, otherwise as found."""
        return tuple(sorted(self, key=lambda problem: problem.severity is not Level.ERROR))


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return `did you mean "…"?` for the nearest of the known words, else the empty string."""
    by_folded = {name.lower(): name for name in known}
    near = get_close_matches(word.lower(), by_folded, n=1, cutoff=0.6)
    return f'did you mean "{by_folded[near[0]]}"?' if near else ""


def quoted(value: object) -> str:
    """Return the value in quotes, as a message repeats it; empty where it is none, long, or might be a secret."""
    return f'"{value}"' if isinstance(value, str) and _QUOTABLE.fullmatch(value) else ""


_QUOTABLE = re.compile(r"(?!.*(?:[a-z]k_|_live_|_test_|whsec|://|[A-Za-z0-9]{17}))[\w ./*,+-]{1,40}", re.ASCII)


def listing(words: Iterable[str]) -> str:
    """Return `"a", "b" or "c"`."""
    quoted = [f'"{word}"' for word in words]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}" if quoted else "nothing"


class ConfigError(Exception):
    """Every problem of a configuration at once; `str()` is what a person reads. It holds no secret."""

    def __init__(self, path: Path, problems: tuple[Problem, ...]) -> None:
        self.path = path
        self.problems = problems
        errors = [problem for problem in problems if problem.severity is Level.ERROR]
        warnings = [problem for problem in problems if problem.severity is not Level.ERROR]
        said = [f"{path}: {summary(problems)}", *map(str, errors), *map(str, warnings[:WARNINGS_LOGGED])]
        if len(warnings) > WARNINGS_LOGGED:
            said.append(f"{len(warnings)} warnings in all: ask `brimful check`")
        super().__init__("\n".join(said))


def summary(problems: tuple[Problem, ...]) -> str:
    """Return `2 errors, 1 warning`."""
    errors = sum(problem.severity is Level.ERROR for problem in problems)
    counts = ((errors, "error"), (len(problems) - errors, "warning"))
    said = [f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts if count]
    return ", ".join(said) or "no problem"
