"""The store: one open database, its transactions, and how long they took."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import ParamSpec, TypeVar

from daemon.places import Place
from daemon.store.dialects import Connection as Connection
from daemon.store.dialects import Fence as Fence
from daemon.store.dialects import LostLease as LostLease
from daemon.store.dialects import StoreError as StoreError
from daemon.store.dialects import Transaction as Transaction
from daemon.store.dialects import open_dialect

P = ParamSpec("P")
T = TypeVar("T")


class _Writing:
    """An open transaction: committed if its block ends well, else rolled back."""

    __slots__ = ("_durable", "_lock", "_store")

    def __init__(self, store: Store, durable: bool, lock: str | None) -> None:
        self._store = store
        self._durable = durable
        self._lock = lock

    def __enter__(self) -> Transaction:
        return self._store._begin(self._durable, self._lock)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is None:
            self._store._commit()
            self._store._after_commit()
        else:
            self._store._roll_back()


def once_committed(tx: Transaction, do: Callable[[], None]) -> None:
    """Call `do` after this transaction was committed, and never where it is rolled back: a log line tells no lie."""
    tx.committed.append(do)


class Store:
    """One open database, in a file or on a server.

    `probe` is called with "begin", "commit" and "committed" around every transaction: the simulator crashes there.
    """

    def __init__(self, place: Place, *, readonly: bool = False, probe: Callable[[str], None] | None = None) -> None:
        self.place = place
        self.readonly = readonly
        self._probe = probe
        self.dialect = open_dialect(place, readonly=readonly)
        self._connection = self.dialect.connection
        self.misplaced = self.dialect.misplaced
        self.changed_elsewhere = self.dialect.changed_elsewhere
        self.close = self.dialect.close
        self.commits = 0
        self.committing_s = 0.0
        """How long all commits of this connection took, together."""
        self._lanes: list[Store] = []
        self._thread: ThreadPoolExecutor | None = None
        """Where the work of a lane of a server runs."""
        self._kept: list[Callable[[], None]] | None = None
        """While work runs there: what is to be done on the event loop once it has ended."""

    @property
    def path(self) -> Path:
        """The file of a store that is one."""
        assert isinstance(self.place, Path), "a server has no file"
        return self.place

    @property
    def reader(self) -> Connection:
        """The connection for reading outside a transaction."""
        return self._connection

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """Read from one snapshot, whatever is committed meanwhile."""
        self.dialect.begin_snapshot()
        try:
            yield self._connection
        finally:
            self.dialect.roll_back()

    def write(self, *, durable: bool, lock: str | None = None) -> _Writing:
        """Run one transaction (`with store.write(…) as tx:`).

        `durable` waits until the commit is on the disk (`synchronous=FULL`, `synchronous_commit`): required for money,
        events and all that a later effect depends on. Without it a power loss may undo the last commits, in order,
        never half of one. `lock` names the account whose money the transaction decides about: none other does then.
        """
        return _Writing(self, durable, lock)

    def lane(self, name: str, *, keeps_row: bool = False) -> Store:
        """Return the store of a kind of work, for `apart`: of a server one with a connection and a thread of its own.

        Of a file it is this one. Close it by `close_lane`.
        """
        if isinstance(self.place, Path):
            return self
        lane = Store(self.place, probe=self._probe)
        lane.dialect.fence, lane.dialect.keeps_row = self.dialect.fence, keeps_row
        lane.changed_elsewhere()  # it is this process's own: it tells nobody of its commits
        lane._thread = ThreadPoolExecutor(1, f"store-{name}")
        self._lanes.append(lane)
        return lane

    def close_lane(self) -> None:
        """Close a lane; nothing where it is the store itself."""
        if self._thread is not None:
            self._thread.shutdown()
            self.close()

    def committed(self) -> tuple[int, float]:
        """Return how many commits there were, those of its lanes included, and how long they took together."""
        stores = (self, *self._lanes)
        return sum(one.commits for one in stores), sum(one.committing_s for one in stores)

    async def apart(self, work: Callable[P, T], *args: P.args, **more: P.kwargs) -> T:
        """Run `work`, which uses this store alone, and return its result.

        Of a lane of a server in the lane's thread, one after the other, so that no round trip, no lock and no disk
        holds up the event loop; else at once, with nothing between. What is to be done once something is committed is
        done on the loop. A caller that is cancelled waits for the end all the same.
        """
        if self._thread is None:
            return work(*args, **more)
        kept: list[Callable[[], None]] = []
        call = partial(self._run_apart, kept, partial(work, *args, **more))
        running = asyncio.get_running_loop().run_in_executor(self._thread, partial(copy_context().run, call))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait([running])
            if not running.cancelled():
                running.exception()  # nobody else hears of it
            raise
        finally:
            for do in kept:
                do()

    def _run_apart(self, kept: list[Callable[[], None]], work: Callable[[], T]) -> T:
        self._kept = kept
        self.dialect.stay_here()
        try:
            return work()
        finally:
            self._kept = None

    def _begin(self, durable: bool, lock: str | None) -> Transaction:
        self._call_probe("begin")
        self.dialect.begin(durable=durable)
        if lock is not None:
            try:
                self._connection.lock(lock)
            except BaseException:
                self._roll_back()
                raise
        return self._connection

    def _commit(self) -> None:
        try:
            self._call_probe("commit")
            began = perf_counter()
            self.dialect.commit()
            self.committing_s += perf_counter() - began
            self.commits += 1
        except BaseException:
            self._roll_back()
            raise
        self._call_probe("committed")

    def _after_commit(self) -> None:
        if done := self._connection.committed:
            self._connection.committed = []
            if self._kept is not None:
                self._kept += done
                return
            for do in done:
                do()

    def _roll_back(self) -> None:
        self._connection.committed.clear()
        self.dialect.roll_back()

    def check(self) -> None:
        """Raise StoreError if the database is damaged: no charge is planned on half a ledger."""
        if said := self.dialect.check():
            raise StoreError(said)

    def _call_probe(self, point: str) -> None:
        if self._probe is not None:
            self._probe(point)
