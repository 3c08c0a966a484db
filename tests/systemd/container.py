"""A Debian with systemd, booted by systemd-nspawn: what is typed inside, and what came back.

The machine is made once by debootstrap and kept; each run boots a copy that is thrown away. It has no network: wheels
come from a folder, the stand-ins run inside.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zlib import crc32

ROOT = Path(__file__).parents[2]
WORK = Path(os.environ.get("SYSTEMD_TEST_FOLDER", "/var/tmp/brimful-systemd-test"))
PACKAGES = "systemd,systemd-sysv,dbus,python3,python3-venv,procps,passwd,postgresql"
BOOTS_WITHIN_S = 60.0


class Container:
    """The booted machine."""

    def __init__(self, leader: int) -> None:
        self._leader = leader

    def run(self, line: str, *, timeout_s: float = 400.0) -> subprocess.CompletedProcess[str]:
        """Type `line` in the machine's bash as root."""
        environ = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root", "LANG": "C.UTF-8", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/root/wheels",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore", "CREDENTIALS_DIRECTORY": "",
        }  # fmt: skip
        command = ["nsenter", "-t", str(self._leader), "-m", "-u", "-i", "-n", "-p", "--", "/bin/bash", "-c", line]
        return subprocess.run(command, env=environ, cwd="/", capture_output=True, text=True, timeout=timeout_s)

    def read(self, line: str) -> str:
        """Type `line` and return what it said; a failure is an AssertionError with all of it."""
        done = self.run(line)
        assert done.returncode == 0, f"{line}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    def until(self, line: str, wanted: str, seconds: float = 60.0) -> str:
        """Type `line` until `wanted` is in what it says."""
        ends = time.monotonic() + seconds
        while wanted not in (said := (done := self.run(line)).stdout + done.stderr):
            assert time.monotonic() < ends, f"{line}: no {wanted!r} in {seconds:g} s, but:\n{said[-2000:]}"
            time.sleep(0.5)
        return said


def make_machine() -> Path:
    """Return the folder of the machine, made by debootstrap where it is not there yet."""
    base = WORK / f"base-{crc32(PACKAGES.encode()):08x}"
    if not (base / "etc/os-release").exists():
        WORK.mkdir(parents=True, exist_ok=True)
        made = Path(f"{base}.part")
        shutil.rmtree(made, ignore_errors=True)
        _do(["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(made)])
        made.rename(base)
    return base


def make_dist(folder: Path, python: str) -> None:
    """Put the wheel, its lock and the locked wheels into the machine's /root."""
    wheels = WORK / "wheels"
    lock = ROOT / "packaging" / "requirements.lock"
    _do(
        [
            python,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--require-hashes",
            "-r",
            str(lock),
            "-d",
            str(wheels),
        ]
    )
    shutil.copytree(wheels, folder / "wheels", dirs_exist_ok=True)
    _do([python, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist")], cwd=ROOT)
    shutil.copy(lock, folder / "dist")
    shutil.copy(ROOT / "packaging" / "brimful@.service", folder / "dist")


@contextmanager
def booted(python: str) -> Iterator[Container]:
    """A fresh copy of the machine, booted; powered off and thrown away after."""
    machine = WORK / "machine"
    shutil.rmtree(machine, ignore_errors=True)
    _do(["cp", "-a", "--reflink=auto", str(make_machine()), str(machine)])
    make_dist(machine / "root", python)
    (machine / "etc/systemd/system/systemd-networkd-wait-online.service").symlink_to("/dev/null")  # there is none
    shutil.copytree(ROOT / "tests" / "systemd", machine / "root" / "standins", dirs_exist_ok=True)
    console = (WORK / "console.log").open("wb")
    command = [
        "systemd-nspawn",
        "-q",
        "-D",
        str(machine),
        "--boot",
        "--private-network",
        "--register=no",
        "--keep-unit",
    ]
    nspawn = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT)
    try:
        container = Container(_leader(nspawn))
        container.until("systemctl is-system-running", "ing", BOOTS_WITHIN_S)
        container.until("systemctl is-active multi-user.target", "active", BOOTS_WITHIN_S)
        yield container
    finally:
        nspawn.terminate()
        try:
            nspawn.wait(30)
        except subprocess.TimeoutExpired:
            nspawn.kill()
            nspawn.wait()
        console.close()
        shutil.rmtree(machine, ignore_errors=True)


def _leader(nspawn: subprocess.Popen[bytes]) -> int:
    """Return the pid of the machine's init."""
    ends = time.monotonic() + BOOTS_WITHIN_S
    children = Path(f"/proc/{nspawn.pid}/task/{nspawn.pid}/children")
    while time.monotonic() < ends and nspawn.poll() is None:
        for child in children.read_text().split():
            if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                return int(child)
        time.sleep(0.1)
    raise AssertionError(f"it does not boot: {(WORK / 'console.log').read_text(errors='replace')[-1500:]}")


def _do(command: list[str], cwd: Path | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, f"{shlex.join(command)}:\n{(done.stdout + done.stderr)[-2000:]}"
