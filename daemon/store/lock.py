"""One daemon per database: a lock file beside it, which the kernel releases however the process ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from daemon.store.connection import whose


class DatabaseHeldError(Exception):
    """Another process has locked the database; the message says which and what to do."""


def lock_path(database: Path) -> Path:
    """Return the path of the database's lock file."""
    return database.with_name(database.name + ".lock")


@contextmanager
def held(database: Path) -> Iterator[None]:
    """Lock the database for this process; raises DatabaseHeldError at once if another holds it."""
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
            raise DatabaseHeldError(
                f"a daemon{_holder(descriptor)} holds {database}: stop it first, or let it do the work"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def holder(database: Path) -> int | None:
    """Return the pid of the daemon that holds the database, None where none runs. Takes no lock: it disturbs nobody."""
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
