"""One daemon per database: a lock that ends however the process ends.

Of a file, a lock file beside it, by the kernel; on a server, an advisory lock of a session of its own.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from daemon.places import Place
from daemon.store.dialects import Dialect
from daemon.store.dialects.sqlite import whose


class DatabaseHeldError(Exception):
    """Another process has locked the database; the message says which and what to do."""


_HOLDS = "holds {}: stop it first, or let it do the work"


def lock_path(database: Path) -> Path:
    """Return the path of the database's lock file."""
    return database.with_name(database.name + ".lock")


@contextmanager
def held(database: Place) -> Iterator[None]:
    """Lock the database for this process; raises DatabaseHeldError at once if another holds it."""
    if not isinstance(database, Path):
        from daemon.store.dialects import postgresql_lock

        with postgresql_lock.session(database) as session:
            if not session.take():
                raise DatabaseHeldError(f"a daemon{_named(session.holder())} {_HOLDS.format(database)}")
            if alive := ", ".join(f"{one.name}, pid {one.pid} on {one.host}" for one in session.daemons()):
                raise DatabaseHeldError(f"a daemon ({alive}) {_HOLDS.format(database)}")
            yield
        return
    path = lock_path(database)
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if path.exists() and not os.access(path, os.W_OK):
            raise DatabaseHeldError(f"the database {database} cannot be used: {whose(path)}") from error
        raise DatabaseHeldError(
            f"cannot write beside the database {database}: {error.strerror}. "
            "Set [store] path to a folder that this user owns"
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DatabaseHeldError(f"a daemon{_holder(descriptor)} {_HOLDS.format(database)}") from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def refuse_held(server: Dialect) -> None:
    """Raise DatabaseHeldError if a command has locked the database of a server for itself."""
    from daemon.store.dialects import postgresql, postgresql_lock

    assert isinstance(server, postgresql.Postgresql)
    if holder := postgresql_lock.LockSession(server.connection).holder():
        raise DatabaseHeldError(f"a command ({holder}) {_HOLDS.format(server.url)}")


def is_held(database: Place) -> bool:
    """Whether a daemon runs with the database, whatever became of the file."""
    if isinstance(database, Path) and not lock_path(database).exists():
        return False
    try:
        with held(database):
            return False
    except DatabaseHeldError:
        return True


def holder(database: Place) -> int | None:
    """Return the pid of the daemon that holds the database, None where none runs. Takes no lock: it disturbs nobody."""
    if not isinstance(database, Path):
        from daemon.store.dialects import postgresql_lock

        with postgresql_lock.session(database) as session:
            daemons, said = session.daemons(), session.holder().rpartition(":")[2]
        if daemons:
            return daemons[0].pid
        return int(said) if said.isdecimal() else None
    try:
        pid = int(lock_path(database).read_text(encoding="ascii"))
        os.kill(pid, 0)
    except PermissionError:
        return pid  # it runs as another user
    except (OSError, ValueError, OverflowError):
        return None
    return pid


def _holder(descriptor: int) -> str:
    pid = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
    return f" (pid {pid})" if pid.isdecimal() else ""


def _named(application: str) -> str:
    return f" ({application})" if application else ""
