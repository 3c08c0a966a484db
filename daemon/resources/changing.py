"""Before a change is written: it is drafted, and compiled, beside the loop where there is much of it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence

from daemon.clock import Clock, Ids
from daemon.config.model import Config
from daemon.resources.bodies import normal
from daemon.resources.ceiling import over_the_ceiling
from daemon.resources.compiling import Basis, Compiled, ObjectSource, compiled, units_of
from daemon.resources.drafting import Draft, Drafting, Manner, accounts_named, path_in
from daemon.resources.held import Held, source_of
from daemon.resources.keyring import Keyring
from daemon.resources.model import Actor, BodyFault, Change, Kind, RequestRefused
from daemon.resources.of_file import resource_of_file
from daemon.resources.secrets import protected
from daemon.store import Store, resources
from daemon.store.resources import Row

Rows = Mapping[tuple[Kind, str], Row]
_IN_A_THREAD_FROM = 20
"""Compiling fewer objects takes no longer than other work of the loop."""
_DRAFTED_AT_ONCE = 50
_AROUND_MOST = 50
"""Accounts that a rule or a subscription names, whose readings are looked at."""


class Changing:
    """Drafts and compiles changes against what is held and stored."""

    def __init__(
        self, file: Config, held: Held, keyring: Keyring, store: Store, clock: Clock, ids: Ids,
        environ: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self._held = held
        self._keyring = keyring
        self._store = store
        self._clock = clock
        self._ids = ids
        self.basis = Basis(
            file=file,
            keyring=keyring,
            environ=os.environ if environ is None else environ,
            protected=protected(file),
        )

    async def drafted(self, actor: Actor, changes: Sequence[Change], rows: Rows, manner: Manner) -> list[Draft]:
        """Return the drafts; raises RequestRefused with every fault at once. Other work goes on between them."""
        drafting = Drafting(actor, self._held, self._keyring, self._ids, manner)
        asked = {(change.kind, change.id) for change in changes}
        drafts, seen = [], set[tuple[Kind, str]]()
        for number, change in enumerate(sorted(changes, key=lambda change: _IN_TURN[change.kind]), 1):
            if number % _DRAFTED_AT_ONCE == 0:
                await asyncio.sleep(0)
            if change.id and (change.kind, change.id) in seen:
                said = f"{change.id} occurs twice"
                drafting.faults.append(BodyFault(id="id-duplicate", path=path_in(change, "id"), said=said))
                continue
            seen.add((change.kind, change.id))
            topup = rows.get((Kind.TOPUP, change.id)) if change.kind is Kind.ACCOUNT else None
            draft = drafting.drafted(change, rows.get((change.kind, change.id)), topup)
            drafts.append(draft)
            ends_alone = draft.kind is Kind.ACCOUNT and draft.body is None and (Kind.TOPUP, draft.id) not in asked
            if ends_alone and topup is not None and topup.archived_ms is None:
                ends = Change(kind=Kind.TOPUP, id=draft.id, body=None)
                drafts.append(
                    Draft(
                        change=ends, kind=ends.kind, id=ends.id, owner=draft.owner, before=topup, body=None,
                        is_asked=False,
                    )
                )  # fmt: skip
        if drafting.faults:
            raise invalid(drafting.faults)
        return drafts

    def rows(self, changes: Sequence[Change]) -> Rows:
        """Return what is stored of the objects that are changed, and the top-ups of accounts."""
        found: dict[tuple[Kind, str], Row] = {}
        for kind in Kind:
            ids = {change.id for change in changes if change.kind is kind}
            if kind is Kind.TOPUP:
                ids |= {change.id for change in changes if change.kind is Kind.ACCOUNT}
            found.update(((kind, id), row) for id, row in resources.find_many(self._store.reader, kind, ids).items())
        return found

    async def compiled(self, drafts: Sequence[Draft]) -> Compiled:
        """Return what the drafts come to; raises 422 with every fault at once, the ceiling's among them."""
        sources, around = await self._store.apart(self._sources, drafts)
        if len(drafts) < _IN_A_THREAD_FROM:
            made = compiled(self.basis, units_of(sources), strict=True, around=around)
        else:
            made = await asyncio.to_thread(compiled, self.basis, units_of(sources), strict=True, around=around)
        faults = [fault for draft in drafts if draft.body is not None for fault in self._faults_of(draft, made)]
        if faults:
            raise invalid(faults)
        return made

    def _sources(self, drafts: Sequence[Draft]) -> tuple[list[ObjectSource], list[ObjectSource]]:
        """Return what is compiled (each account with its top-up, whichever of them changes), and what stands around."""
        drafted = {(draft.kind, draft.id): draft for draft in drafts}
        units = [draft.id for draft in drafts if draft.kind in (Kind.ACCOUNT, Kind.TOPUP)]
        named = sorted(accounts_named(drafts) - set(units))[:_AROUND_MOST]
        conn = self._store.reader
        stored = {
            Kind.ACCOUNT: resources.find_many(conn, Kind.ACCOUNT, {*units, *named}),
            Kind.TOPUP: resources.find_many(conn, Kind.TOPUP, units),
        }
        sources, around = [], []
        for kind in (Kind.ACCOUNT, Kind.TOPUP):
            for id in dict.fromkeys(units):
                draft, row = drafted.get((kind, id)), stored[kind].get(id)
                if draft is not None:
                    sources += [ObjectSource(kind, id, draft.owner, draft.body)] if draft.body is not None else []
                elif row is not None and row.archived_ms is None:
                    sources.append(source_of(row))
        others = (draft for draft in drafts if draft.kind in (Kind.RULE, Kind.SUBSCRIPTION))
        sources += [ObjectSource(d.kind, d.id, d.owner, d.body) for d in others if d.body is not None]
        for id in named:
            row = stored[Kind.ACCOUNT].get(id)
            of_file = resource_of_file(self._held.file, Kind.ACCOUNT, id)
            if row is not None:
                around.append(source_of(row))
            elif of_file is not None:
                around.append(ObjectSource(Kind.ACCOUNT, id, "", normal(Kind.ACCOUNT, of_file.body)))
        return sources, around

    def _faults_of(self, draft: Draft, made: Compiled) -> list[BodyFault]:
        change, api = draft.change, self._held.file.api
        found = list(made.faults.get((draft.kind.value, draft.id), ()))
        if draft.kind is Kind.ACCOUNT and draft.before is not None:
            of_topup = made.faults.get((Kind.TOPUP.value, draft.id), ())
            found += [BodyFault(id=f.id, path=f"topup.{f.path}", said=f.said, hint=f.hint) for f in of_topup]
        if draft.kind is Kind.TOPUP and not found:
            account = made.accounts.get(draft.id)
            if account is None or account.topup is None:
                of_account = made.faults.get((Kind.ACCOUNT.value, draft.id), ())
                found += [BodyFault(id=f.id, path="", said=f"its account: {f.path}: {f.said}") for f in of_account]
            elif api is not None:
                found += over_the_ceiling(account.topup, api)
        return [BodyFault(id=f.id, path=path_in(change, f.path), said=f.said, hint=f.hint) for f in found]


_IN_TURN = {Kind.ACCOUNT: 0, Kind.TOPUP: 1, Kind.RULE: 2, Kind.SUBSCRIPTION: 3}
"""What names others comes after them."""


def invalid(faults: Sequence[BodyFault]) -> RequestRefused:
    """Return the refusal of bodies with faults. Over the ceiling alone it is named after that."""
    kinds = {fault.id for fault in faults}
    slug = kinds.pop() if len(kinds) == 1 and kinds <= _NAMED else "invalid"
    first = faults[0]
    said = f"{first.path}: {first.said}" if first.path else first.said
    more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
    return RequestRefused(422, slug, f"{said}{more}", tuple(faults))


_NAMED = frozenset({"over-the-ceiling", "reference-refused", "master-key-missing"})
