"""systemd's journal in its native protocol: each field of a line by its name, so that `journalctl ACCOUNT=clips` works.

Source: systemd's "Native Journal Protocol": one datagram a line to a socket; `NAME=value`, or the length before a value
of several lines; a line that is too large for a datagram goes as a sealed memory file.
"""

from __future__ import annotations

import array
import errno
import fcntl
import os
import re
import socket
import struct
import sys
from collections.abc import Mapping
from pathlib import Path

SOCKET = Path("/run/systemd/journal/socket")
WAITS_S = 1.0
"""How long a line waits for a journal that does not read; then it is lost, and counted in the next one."""
_PRIORITY = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
_OURS = frozenset({"level", "timestamp"})
_TAKEN = frozenset({"MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER"})
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def is_on_stderr() -> bool:
    """Whether stderr is the journal's: `$JOURNAL_STREAM` names its device and inode, and the socket is there."""
    try:
        found = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}" and SOCKET.is_socket()


class Journal:
    """Where the lines go. What cannot be written is lost, and never holds up the daemon for long."""

    def __init__(self, path: Path = SOCKET) -> None:
        self._path = str(path)
        self._lost = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.settimeout(WAITS_S)

    def send(self, message: str, level: str, fields: Mapping[str, object]) -> None:
        """Write one line: `message` is what `journalctl` shows, every field can be asked for by its name."""
        named = {"MESSAGE": message, "PRIORITY": _PRIORITY.get(level, 6), "SYSLOG_IDENTIFIER": "brimful"}
        named |= {_name(key): value for key, value in fields.items() if key not in _OURS and value is not None}
        if self._lost:
            named["LOST"] = self._lost
        try:
            self._write(b"".join(_field(name, str(value)) for name, value in named.items()))
        except OSError:
            self._lost += 1
        else:
            self._lost = 0

    def close(self) -> None:
        """Close the socket; under a daemon it lives as long as the process."""
        self._socket.close()

    def _write(self, line: bytes) -> None:
        try:
            self._socket.sendto(line, self._path)
        except OSError as error:
            if error.errno not in (errno.EMSGSIZE, errno.ENOBUFS):
                raise
            self._write_large(line)

    def _write_large(self, line: bytes) -> None:
        file = os.memfd_create("journal", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.write(file, line)
            fcntl.fcntl(file, fcntl.F_ADD_SEALS, _SEALS)
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file]))]
            self._socket.sendmsg([], rights, 0, self._path)
        finally:
            os.close(file)


def _name(key: str) -> str:
    name = re.sub(r"[^A-Z0-9_]", "_", key.upper()).lstrip("_0123456789")[:60]
    return f"BRIMFUL_{name}" if name in _TAKEN or not name else name


def _field(name: str, value: str) -> bytes:
    data = value.encode("utf-8", "replace")
    if b"\n" not in data:
        return name.encode() + b"=" + data + b"\n"
    return name.encode() + b"\n" + struct.pack("<Q", len(data)) + data + b"\n"
