"""Faults on command: which request one strikes, and what happens to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase

from daemon.demo.standins.stripe.outcomes import Outcome


class Strike(StrEnum):
    DROP = "drop"  # the connection breaks before the request is executed
    COMMIT_THEN_DROP = "commit_then_drop"  # executed, the answer lost
    COMMIT_THEN_500 = "commit_then_500"  # executed, and 500 is what the key remembers
    FAIL_500 = "fail_500"  # not executed, and 500 is what the key remembers
    ROLL_FORWARD = "roll_forward"  # answered and remembered as 500, executed `delay_s` later
    SLOW = "slow"  # executed at once, answered after `delay_s`: outlives the client's time-out
    LATE = "late"  # executed after `delay_s`, unanswered; the key and the object are held meanwhile
    KEY_IN_USE = "key_in_use"  # 409, as if an earlier send were running
    LOCK_TIMEOUT = "lock_timeout"  # 429 with code lock_timeout
    RATE_LIMITED = "rate_limited"  # 429
    UNAUTHORIZED = "unauthorized"  # 401
    FORBIDDEN = "forbidden"  # 403
    INVALID = "invalid"  # 400, a parameter is refused: not executed, not remembered
    KEY_MISMATCH = "key_mismatch"  # 400 idempotency_error, as if the key had been used with other parameters
    UNEXPECTED_STATE = "unexpected_state"  # 400, as if the object were in a state that allows no such call
    PROXY = "proxy"  # 503 with a page of HTML, not executed
    GARBAGE = "garbage"  # executed, 200 with a body that is not JSON
    EMPTY_LIST = "empty_list"  # executed, 200 with `[]`
    TRUNCATED = "truncated"  # executed, the body ends half-way


@dataclass(slots=True)
class Fault:
    """Strikes the `nth` request to `endpoint`, and `times` in all.

    `endpoint` is a name such as `payment_intents.confirm`, with wildcards. With an `outcome` the request is left alone
    and the card does that instead.
    """

    strike: Strike | None
    endpoint: str = "*"
    nth: int = 1
    times: int = 1
    delay_s: float = 120.0
    outcome: Outcome | None = None
    struck: int = field(default=0, init=False)
    _seen: int = field(default=0, init=False)

    def takes(self, endpoint: str) -> bool:
        """Count a request to `endpoint`; return whether the fault applies to it."""
        if self.struck >= self.times or not fnmatchcase(endpoint, self.endpoint):
            return False
        self._seen += 1
        if self._seen < self.nth:
            return False
        self.struck += 1
        return True

    @property
    def spent(self) -> bool:
        return self.struck >= self.times
