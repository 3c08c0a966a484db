"""The builder: collects the events, the decisions not to notify, and the new state of one evaluation.

It is mutable, but `evaluate` creates and consumes it within one call, so the evaluation is pure for its callers.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from alerts.events.catalogue import CATALOGUE
from alerts.model.events import EventDraft, EventType, JsonValue, Severity
from alerts.model.instants import rfc3339
from alerts.model.values import replace
from alerts.rules.episodes import MAX_HELD_EVENTS
from alerts.rules.state import NEW_RULE, NOTHING_NOTIFIED, AccountState, Decision, Episode, Notified, RuleMemory
from alerts.rules.view import Context, Payload


class EvaluationBuilder:
    """The results of one evaluation so far. `state` is the account's state at this point of it.

    `edited`: the last evaluation used another tuple of rules.
    """

    __slots__ = ("_rules", "context", "decisions", "drafts", "edited", "episodes", "now", "state")

    def __init__(self, state: AccountState, context: Context) -> None:
        self.state = state
        self.context = context
        self.now = context.now
        self.edited = state.evaluated_by is not context.rules
        self.drafts: list[EventDraft] = []
        self.decisions: list[Decision] = []
        self.episodes: dict[str, Episode] = {}
        self._rules: dict[str, RuleMemory] | None = None

    @property
    def rules(self) -> Mapping[str, RuleMemory]:
        return self.state.rules if self._rules is None else self._rules

    @property
    def remembers(self) -> bool:
        """Whether the memory of any rule has changed."""
        return self._rules is not None

    @property
    def dirty(self) -> bool:
        """Whether there is more to store than the last reading."""
        return self._rules is not None or bool(self.drafts or self.decisions or self.episodes)

    def memory(self, rule: str) -> RuleMemory:
        rules = self.state.rules if self._rules is None else self._rules
        return rules.get(rule, NEW_RULE)

    def remember(self, rule: str, memory: RuleMemory) -> None:
        if self._rules is None:
            self._rules = dict(self.state.rules)
        self._rules[rule] = memory

    def decide(self, rule: str, reason: str, episode: Episode | None = None) -> None:
        """Record why an event is not sent."""
        self.decisions.append(
            Decision(self.state.account, rule, self.now, reason, None if episode is None else episode.id)
        )

    def record(self, episode: Episode) -> None:
        """Have the caller store the episode as it is now."""
        self.episodes[episode.id] = episode

    def is_muted(self, rule: str) -> bool:
        until = self.context.mutes.get(rule)
        return until is not None and until > self.now

    def notify(
        self,
        type: EventType,
        episode: Episode,
        numbers: Payload,
        *,
        at: datetime,
        observed_at: datetime,
        reminder: bool = False,
        only_receiver: str | None = None,
    ) -> bool:
        """Queue an event of the episode; return False where a mute holds it back until the mute ends."""
        info = self.context.info
        data: dict[str, JsonValue] = {
            "account": info.id,
            "provider": info.provider,
            "observed_at": rfc3339(observed_at),
            "rule": episode.rule,
            "episode": episode.id,
            "severity": episode.severity.value,
        }
        if reminder:
            data["reminder"] = True
        data.update(numbers)
        draft = EventDraft(
            type=type,
            at=at,
            data=data,
            account=info.id,
            severity=episode.severity,
            rule=episode.rule,
            episode=episode.id,
            only_receiver=only_receiver,
        )
        if not self.is_muted(episode.rule):
            self.drafts.append(draft)
            return True
        self.decide(episode.rule, f"muted: {type.value} is held back until the mute ends", episode)
        self._hold(draft)
        return False

    def _hold(self, draft: EventDraft) -> None:
        held = (*self.state.held, draft)
        if len(held) > MAX_HELD_EVENTS:
            drop = _whole_episode(held) or held[:1]
            held = tuple(one for one in held if one not in drop)
            for one in drop:
                self.decide(one.rule or "", "muted for too long: a finished episode was dropped")
        self.state = replace(self.state, held=held)

    def release(self) -> None:
        """Queue the events that ended mutes held back, oldest first."""
        if not self.state.held:
            return
        free = tuple(draft for draft in self.state.held if not self.is_muted(draft.rule or ""))
        if not free:
            return
        self.drafts += free
        self.state = replace(self.state, held=tuple(draft for draft in self.state.held if draft not in free))
        for rule in {draft.rule for draft in free}:
            memory = self.memory(rule or "")
            if memory.episode is not None and memory.episode.notified_at is None:
                episode = replace(memory.episode, notified_at=self.now)
                self.remember(episode.rule, replace(memory, episode=episode))
                self.record(episode)

    # ── episodes of built-in rules ──────────────────────────────────────────────────────────────────────────────

    def open(
        self,
        rule: str,
        severity: Severity,
        type: EventType,
        why: str,
        numbers: Payload,
        *,
        at: datetime,
        words: str = "",
    ) -> None:
        """Open an episode of a built-in rule and queue its first event; `at` is the time of the reading."""
        episode = Episode(
            self.context.new_id("ep"),
            self.state.account,
            rule,
            rule,
            severity,
            opened_at=at,
            why=why,
            notified_at=self.now,
            notified_type=type,
        )
        if not self.notify(type, episode, numbers, at=at, observed_at=at):
            episode = replace(episode, notified_at=None)
        self.record(episode)
        self.remember(rule, replace(self.memory(rule), episode=episode, notified=Notified(entered=True, words=words)))

    def notify_again(self, rule: str, type: EventType, why: str, numbers: Payload, *, at: datetime, words: str) -> None:
        """Queue a further event of the open episode."""
        memory = self.memory(rule)
        assert memory.episode is not None
        episode = replace(memory.episode, why=why, notified_at=self.now, notified_type=type)
        if not self.notify(type, episode, numbers, at=at, observed_at=at):
            episode = replace(episode, notified_at=memory.episode.notified_at)
        self.record(episode)
        self.remember(rule, replace(memory, episode=episode, notified=Notified(entered=True, words=words)))

    def close(
        self, rule: str, type: EventType | None, why: str, numbers: Payload | None = None, *, at: datetime
    ) -> None:
        """End the open episode, with an event or without one."""
        memory = self.memory(rule)
        assert memory.episode is not None
        episode = replace(memory.episode, closed_at=at, closed_why=why)
        if type is not None:
            self.notify(type, episode, numbers or {}, at=at, observed_at=at)
        self.record(episode)
        self.remember(rule, replace(memory, episode=None, notified=NOTHING_NOTIFIED, quiet_until=None))

    def finish(self, remind_at: datetime | None) -> AccountState:
        """Return the state that results."""
        state = self.state
        if self._rules is None and remind_at == state.remind_at:
            return state
        return replace(state, rules=self.rules, remind_at=remind_at)


def _whole_episode(held: tuple[EventDraft, ...]) -> tuple[EventDraft, ...]:
    """Return the oldest episode that has exactly its open and close event queued: receivers miss nothing by them."""
    for first in held:
        same = tuple(draft for draft in held if draft.episode == first.episode)
        if len(same) == 2 and CATALOGUE[first.type].is_whole_with(same[1].type):
            return same
    return ()
