"""An account under watch: readings go in, events come out, each held against its schema and numbered."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

from alerts.model.accounts import AccountInfo
from alerts.model.events import EventDraft, encode_body
from alerts.model.money import to_micro
from alerts.model.readings import Known, Metrics, Reading, Reason, Unavailable
from alerts.model.specs import RuleSpec
from alerts.rules.evaluation import Context, Evaluation, evaluate, evaluate_time
from alerts.rules.plausibility import find_anomaly
from alerts.rules.stale import Watch
from alerts.rules.state import AccountState, TopupStatus
from tests.helpers_events import validator as validator

START = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)
_MICRO = {
    "balance": "balance_microusd",
    "uncharged": "uncharged_microusd",
    "total": "total_charged_microusd",
    "cost": "cost_per_snapshot_microusd",
    "used": "used_microgb",
    "reserved": "reserved_microgb",
    "effective": "effective_said_microgb",
    "limit": "limit_microgb",
    "period_used": "period_used_microgb",
    "filesize_mb": "max_filesize_microunits_mb",
}


def metrics(**said: Any) -> Metrics:
    """Metrics in dollars and gigabytes under short names; every other name is the field's own."""
    fields: dict[str, Any] = {
        _MICRO.get(name, name): to_micro(value) if name in _MICRO and value is not None else value
        for name, value in said.items()
    }
    return Metrics(**fields)


class Watched:
    """One account. The second read of a doubted reading agrees, unless the test says what it is."""

    def __init__(
        self,
        *rules: RuleSpec,
        zone: str = "UTC",
        start: datetime = START,
        provider: str = "contentstats",
        poll: timedelta | None = timedelta(minutes=5),
    ) -> None:
        self.rules = rules
        self.state = AccountState.new("clips")
        self.now = start
        self.zone = ZoneInfo(zone)
        self.poll = poll
        self.info = AccountInfo("clips", provider)
        self.mutes: dict[str, datetime] = {}
        self.standing: TopupStatus | None = None
        self.events: list[dict[str, Any]] = []
        self.evaluation: Evaluation | None = None
        self.evaluations: list[Evaluation] = []
        self.watch: Watch | None = None
        self._ids = count(1)
        self._sequence = 0

    def context(self) -> Context:
        self.watch = Watch(self.now, self.now) if self.watch is None else self.watch.beat(self.now, self.poll)
        return Context(
            info=self.info,
            rules=self.rules,
            zone=self.zone,
            now=START,
            poll_interval=self.poll,
            mutes={},
            topup=lambda account: self.standing,
            new_id=lambda prefix: f"{prefix}_{next(self._ids)}",
            watching_since=START,
        ).at(self.now, {rule: until for rule, until in self.mutes.items() if until > self.now}, self.watch.since)

    def read(
        self, after: timedelta | float = 5, *, second: Metrics | Reason | str | None = "agrees", **said: Any
    ) -> list[str]:
        """Read `said` after so many minutes; returns the types of the events."""
        self.wait(after)
        first = Known("clips", self.now, metrics(**said))
        again: Reading | None = None
        if find_anomaly(self.state, first) is not None:
            if second == "agrees":
                again = first
            elif isinstance(second, Metrics):
                again = Known("clips", self.now, second)
            elif isinstance(second, Reason):
                again = Unavailable("clips", self.now, second)
        return self._take(evaluate(self.state, first, again, self.context()))

    def fail(self, reason: Reason, after: timedelta | float = 5, detail: str = "it failed") -> list[str]:
        self.wait(after)
        return self._take(evaluate(self.state, Unavailable("clips", self.now, reason, detail), None, self.context()))

    def beat(self, after: timedelta | float = 0) -> list[str]:
        self.wait(after)
        return self._take(evaluate_time(self.state, self.context()))

    def beats(self, until: timedelta, every: timedelta = timedelta(minutes=1)) -> list[str]:
        types: list[str] = []
        for _ in range(until // every):
            types += self.beat(every)
        return types

    def wait(self, after: timedelta | float) -> None:
        self.now += after if isinstance(after, timedelta) else timedelta(minutes=after)

    @property
    def last(self) -> dict[str, Any]:
        """The data of the last event."""
        data: dict[str, Any] = self.events[-1]["data"]
        return data

    @property
    def reasons(self) -> list[str]:
        """The reasons of what the last evaluation did not tell."""
        assert self.evaluation is not None
        return [decision.reason for decision in self.evaluation.decisions]

    def data(self, type: str) -> list[dict[str, Any]]:
        return [event["data"] for event in self.events if event["type"] == type]

    def _take(self, evaluation: Evaluation) -> list[str]:
        self.evaluation = evaluation
        self.evaluations.append(evaluation)
        self.state = evaluation.state
        return [self._commit(draft)["type"] for draft in evaluation.drafts]

    def _commit(self, draft: EventDraft) -> dict[str, Any]:
        if draft.numbered:
            self._sequence += 1
        body: dict[str, Any] = json.loads(encode_body(draft, self._sequence if draft.numbered else None, "store_1"))
        validator(draft.type).validate(body)
        self.events.append(body)
        return body


def flat(types: Sequence[Sequence[str]]) -> list[str]:
    return [type for some in types for type in some]
