"""What is managed, as the process holds it: the file's objects and the stored ones, combined into one `Config`.

Each change makes a new `Config` that shares every unchanged object. Bodies stay in the store.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from alerts.model.accounts import AccountInfo
from alerts.model.receivers import Receivers
from alerts.model.specs import Spike, Stale
from alerts.model.values import replace
from daemon.config.model import AccountConfig, Config, ManagedBy
from daemon.resources.bodies import ADOPTED
from daemon.resources.compiling import Compiled, ObjectSource
from daemon.resources.model import Kind
from daemon.store.resources import Row

_DEFAULTS = (Spike(id="spike"), Stale(id="stale"))
"""Rules that nobody wrote: one made by API with the same id replaces them."""
_TWICE = "the file names it, too: take it out of the file, and reload"

Key = tuple[str, str]


def body_of(row: Row) -> dict[str, Any]:
    """Return the body of a row."""
    found: dict[str, Any] = json.loads(row.body)
    return found


def source_of(row: Row) -> ObjectSource:
    """Return a row as something to compile."""
    return ObjectSource(Kind(row.kind), row.id, row.owner, body_of(row))


class Held:
    """The combined configuration, and who is in it. `problems`: by kind and id, why a stored object does not work."""

    def __init__(self, file: Config) -> None:
        self.file = file
        self.config = file
        self.made = Compiled()
        self.problems: dict[Key, str] = {}
        self.adopted: set[Key] = set()
        self.accounts: dict[str, AccountInfo] = {id: account.info for id, account in file.accounts.items()}
        """Every account that there is, whether it works or not."""
        self._ids = sorted(self.accounts)
        self._of_owner: dict[str, list[str]] = {}
        self._file_rules = {rule.id for rule in file.rules if rule not in _DEFAULTS}
        self.file_webhooks = {receiver.id for receiver in file.receivers.all if receiver.key.startswith("webhook:")}

    # ── who is there ────────────────────────────────────────────────────────────────────────────────────────────

    def managed_by(self, kind: Kind, id: str) -> ManagedBy | None:
        """Return who manages an object that the file names; None where it does not, or it was adopted."""
        whole = Kind.ACCOUNT if kind is Kind.TOPUP else kind
        if (whole.value, id) in self.adopted:
            return None
        in_file = {
            Kind.ACCOUNT: id in self.file.accounts,
            Kind.TOPUP: id in self.file.accounts,
            Kind.RULE: id in self._file_rules,
            Kind.SUBSCRIPTION: id in self.file_webhooks,
        }
        return ManagedBy.FILE if in_file[kind] else None

    def file_ids(self, kind: Kind) -> set[str]:
        """Return the ids of a kind that the file manages."""
        named = {
            Kind.ACCOUNT: set(self.file.accounts),
            Kind.TOPUP: {id for id, account in self.file.accounts.items() if account.topup is not None},
            Kind.RULE: self._file_rules,
            Kind.SUBSCRIPTION: self.file_webhooks,
        }
        return {id for id in named[kind] if self.managed_by(kind, id) is not None}

    def ids(self, owner: str | None, after: str) -> Iterator[str]:
        """Yield the ids of accounts after one, in their order; of one owner where it is named."""
        ids = self._ids if not owner else self._of_owner.get(owner, [])
        return (ids[number] for number in range(bisect_right(ids, after), len(ids)))

    def of_owner(self, owner: str) -> list[str]:
        """Return the ids of an owner's accounts, in their order."""
        return self._of_owner.get(owner, [])

    def _enter(self, id: str, info: AccountInfo) -> None:
        self._leave(id)
        self.accounts[id] = info
        insort(self._ids, id)
        if info.owner:
            insort(self._of_owner.setdefault(info.owner, []), id)

    def _leave(self, id: str) -> None:
        info = self.accounts.pop(id, None)
        if info is None:
            return
        for ids in (self._ids, self._of_owner.get(info.owner, [])):
            if (at := bisect_left(ids, id)) < len(ids) and ids[at] == id:
                del ids[at]

    def enter_all(self, infos: Mapping[str, AccountInfo]) -> None:
        """Enter many accounts at once, as at the start."""
        self.accounts.update(infos)
        self._ids = sorted(self.accounts)
        self._of_owner = {}
        for id in self._ids:
            if owner := self.accounts[id].owner:
                self._of_owner.setdefault(owner, []).append(id)

    # ── taking changes ──────────────────────────────────────────────────────────────────────────────────────────

    def take(self, rows: Iterable[Row], made: Compiled) -> Config:
        """Take in rows and what they were compiled to; return the new configuration.

        Where a top-up changed, `made` holds its account as it is with it.
        """
        accounts, touched = dict(self.config.accounts), set[Kind]()
        entered: dict[str, AccountInfo] = {}
        for row in rows:
            kind, key = Kind(row.kind), (row.kind, row.id)
            touched.add(kind)
            body = body_of(row)
            self._forget(kind, row.id)
            if body.get(ADOPTED):
                self.adopted.add(key)
            if self.managed_by(kind, row.id) is not None:
                if row.archived_ms is None:
                    self.problems[key] = _TWICE
                continue
            self._note_problem(key, made)
            if kind in (Kind.ACCOUNT, Kind.TOPUP):
                self._take_account(row, made, accounts, entered)
            elif row.archived_ms is None:
                self._take_other(kind, row.id, made)
        if len(entered) > len(self.accounts) // 4:
            self.enter_all(entered)
        else:
            for id, info in entered.items():
                self._enter(id, info)
        self.config = self._assembled(accounts, touched)
        return self.config

    def _note_problem(self, key: Key, made: Compiled) -> None:
        if faults := made.faults.get(key):
            self.problems[key] = "; ".join(f"{fault.path}: {fault.said}" for fault in faults)
        elif key in made.unavailable:
            self.problems[key] = made.unavailable[key]

    def _take_account(
        self, row: Row, made: Compiled, accounts: dict[str, AccountConfig], entered: dict[str, AccountInfo]
    ) -> None:
        id, account = row.id, made.accounts.get(row.id)
        if row.kind == Kind.ACCOUNT.value and row.archived_ms is not None:
            accounts.pop(id, None)
            entered.pop(id, None)
            self._leave(id)
            return
        if account is None:
            accounts.pop(id, None)
        else:
            accounts[id] = account
            if mail := made.mails.get(id):
                self.made.mails[id] = mail
        if row.kind == Kind.ACCOUNT.value:
            entered[id] = account.info if account is not None else AccountInfo(id, "", owner=row.owner)

    def _take_other(self, kind: Kind, id: str, made: Compiled) -> None:
        if kind is Kind.RULE:
            if id in made.rules:
                self.made.rules[id] = made.rules[id]
            elif id in made.off:
                self.made.off.add(id)
        elif (webhook := made.webhooks.get(id)) is not None:
            self.made.webhooks[id] = webhook
            if rule := made.thresholds.get(f"webhook:{id}"):
                self.made.thresholds[rule.id] = rule

    def _forget(self, kind: Kind, id: str) -> None:
        """Drop what an object was compiled to before."""
        self.problems.pop((kind.value, id), None)
        if kind is Kind.ACCOUNT:
            self.made.mails.pop(id, None)
        elif kind is Kind.RULE:
            self.made.rules.pop(id, None)
            self.made.off.discard(id)
        elif kind is Kind.SUBSCRIPTION:
            self.made.webhooks.pop(id, None)
            self.made.thresholds.pop(f"webhook:{id}", None)

    def _assembled(self, accounts: Mapping[str, AccountConfig], touched: set[Kind]) -> Config:
        rules, receivers = self.config.rules, self.config.receivers
        if touched & {Kind.RULE, Kind.SUBSCRIPTION}:
            replaced = self.made.rules.keys() | self.made.off
            kept = (rule for rule in self.file.rules if rule.id not in replaced)
            rules = (*kept, *self.made.rules.values(), *self.made.thresholds.values())
        if touched & {Kind.ACCOUNT, Kind.SUBSCRIPTION}:
            everyone = (*self.file.receivers.all, *self.made.mails.values(), *self.made.webhooks.values())
            if len(everyone) != len(receivers.all) or any(
                new is not old for new, old in zip(everyone, receivers.all, strict=True)
            ):
                receivers = Receivers(everyone)
        return replace(self.config, accounts=accounts, rules=rules, receivers=receivers)
