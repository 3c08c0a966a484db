"""Check a configuration against its database: the observed burn, and open top-ups. It only reads."""

from __future__ import annotations

import sqlite3
import tomllib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import tomli

from alerts.model.values import replace
from daemon.config.lint.burn import lint_burn
from daemon.config.lint.facts import LintFacts
from daemon.config.load import ConfigError, inspect, lines
from daemon.config.model import Config, TopupMode
from daemon.config.problems import ProblemId, Problems
from daemon.limits import BURN_LINTED_ACCOUNTS
from daemon.places import Place
from daemon.store import Store, StoreError, resources
from daemon.store.connection import Connection
from daemon.store.ledger_reads import OpenTopup, open_in_any_version
from daemon.store.migrations import pending
from daemon.store.readings import around, last
from daemon.store.topup_rows import ENDS_UNSENT

_LOOK_BACK = timedelta(days=7)
_LEAST = timedelta(hours=12)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class KeptTopup:
    """The part of an account's top-up configuration that an open top-up needs."""

    customer: str | None
    mode: TopupMode


def load_to_run(path: Path, *, beside_others: bool = False) -> Config:
    """Return the configuration if it may run on its database; raises ConfigError with every problem.

    `beside_others`: called in a thread beside the running daemon, which must not be blocked. The secrets are needed.
    An open top-up must keep its account and customer. An unreadable database is left to the code that opens it.
    """
    found = inspect(path, parse=tomllib.loads if beside_others else tomli.loads)
    if found.config is not None and found.facts is not None:
        few = len(found.config.accounts) <= BURN_LINTED_ACCOUNTS
        lint_past(found.facts, found.config.store.place, burn=few)
    wrong = [problem for problem in found.noted.errors if problem.id is not ProblemId.STORE_UNREADABLE]
    if found.config is None or wrong:
        raise ConfigError(path, found.problems)
    return replace(found.config, warnings=lines(found.problems))


def lint_past(facts: LintFacts, database: Place, *, burn: bool = True) -> None:
    """Note the conflicts of the configuration with the database; none if there is no database yet.

    `burn`: whether to compare thresholds with each account's burn, which needs a read per account.
    """
    if not database.is_file():
        return
    try:
        store = Store(database, readonly=True)
    except StoreError as error:
        facts.problems.add(ProblemId.STORE_UNREADABLE, _key(database), str(error))
        return
    try:
        kept = {id: KeptTopup(topup.table.customer, topup.table.mode) for id, topup in facts.tables.topups.items()}
        if facts.tables.api.table.enabled:
            kept |= _kept_by_api(facts, store)
        has_stripe = facts.tables.stripe is not None
        if pending(store.reader):
            # A table that needs a migration is checked after it, by `refuse_lost`.
            with suppress(sqlite3.DatabaseError):
                _note_lost(facts.problems, store.reader, kept, has_stripe=has_stripe)
        else:
            if burn:
                lint_burn(facts, burns(store.reader, facts.tables.accounts))
            _note_lost(facts.problems, store.reader, kept, has_stripe=has_stripe)
    except sqlite3.Error as error:
        said = f"the database {database} cannot be read: {error}"
        facts.problems.add(ProblemId.STORE_UNREADABLE, _key(database), said)
    finally:
        store.close()


def _kept_by_api(facts: LintFacts, store: Store) -> dict[str, KeptTopup]:
    """Note what the file and the API both name; return the top-ups that the API manages."""
    from daemon.resources.loading import kept_topups, note_twice

    if not resources.is_there(store.reader):
        return {}
    rules = [item.table.id for item in facts.tables.rules if item.table.id is not None]
    note_twice(store.reader, facts.tables.accounts, rules, facts.problems)
    modes = {mode.value: mode for mode in TopupMode}
    return {
        source.id: KeptTopup(source.body.get("customer"), modes.get(source.body.get("mode", ""), TopupMode.OFF))
        for source in kept_topups(store.reader)
    }


def _key(database: Place) -> str:
    return "store.path" if isinstance(database, Path) else "store.url"


def refuse_lost(config: Config, connection: Connection) -> None:
    """Raise ConfigError if an open top-up would lose its account, its customer, or the means to end it.

    Call with the lock held and migrations applied: a top-up may have opened since the file was validated.
    """
    problems = Problems()
    kept = {
        id: KeptTopup(account.topup.customer, account.topup.mode)
        for id, account in config.accounts.items()
        if account.topup is not None
    }
    _note_lost(problems, connection, kept, has_stripe=config.stripe is not None)
    if problems.errors:
        raise ConfigError(config.path, problems.sorted)


def burns(connection: Connection, accounts: Iterable[str]) -> dict[str, int]:
    """Return each account's burn in micro-dollars a day: the larger of the scheduled burn and that of last week."""
    found = {}
    for id in accounts:
        known = last(connection, id)
        if known is None:
            continue
        observed, accrued = 0, known.metrics.accrued_microusd
        before, after = around(connection, id, known.at - _LOOK_BACK)
        base = before or after
        if base is not None and accrued is not None and base.metrics.accrued_microusd is not None:
            since = max(base.last_at, known.at - _LOOK_BACK) if base is before else base.first_at
            if known.at - since >= _LEAST:
                observed = int((accrued - base.metrics.accrued_microusd) / ((known.at - since) / _DAY))
        burn = max(observed, known.metrics.scheduled_burn_microusd_per_day or 0)
        if burn > 0:
            found[id] = burn
    return found


def _note_lost(problems: Problems, connection: Connection, kept: Mapping[str, KeptTopup], *, has_stripe: bool) -> None:
    """Note what an open top-up would lose: until it ends it needs its account, its customer and Stripe."""
    opened = open_in_any_version(connection)
    if opened and not has_stripe:
        said = f"the top-up {opened[0].id} is open, and there is no [stripe] to read back what became of it"
        hint = f'put it back, with mode = "off" if nothing is to be charged, until that has ended: {_see(opened[0])}'
        problems.add(ProblemId.TOPUP_OPEN, "stripe", said, hint)
    of_the_api = resources.ids_of(connection, "account")
    for topup in opened:
        if topup.account in of_the_api:
            continue  # no change by API loses one, and what an account that is gone left open is canceled
        path = f"accounts.{topup.account}.topup"
        if topup.account not in kept:
            said = f"the top-up {topup.id} of this account is open, and the account or its topup table is gone"
            hint = f'put it back with mode = "off" until it has ended: {_see(topup)}'
            problems.add(ProblemId.TOPUP_OPEN, path, said, hint)
        elif kept[topup.account].customer not in (None, topup.customer):
            said = f"the top-up {topup.id} is open with another customer, {topup.customer}"
            hint = f"change it back until that has ended: {_see(topup)}"
            problems.add(ProblemId.TOPUP_OPEN, f"{path}.customer", said, hint)
        elif kept[topup.account].mode is TopupMode.SHADOW and topup.state not in ENDS_UNSENT:
            said = f"the top-up {topup.id} is open, and shadow mode sends nothing to Stripe that would end it"
            hint = f'set mode = "off", which charges nothing either, until that has ended: {_see(topup)}'
            problems.add(ProblemId.TOPUP_OPEN, f"{path}.mode", said, hint)


def _see(topup: OpenTopup) -> str:
    return f"`brimful topups explain {topup.id}`"
