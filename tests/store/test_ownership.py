"""A database that somebody else owns is refused in words that say whose it is and what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.store import Store

pytestmark = pytest.mark.sqlite
ROOT = Path(__file__).parents[2]
NOBODY = 65534
SCRIPT = """
import os, sys
from pathlib import Path
from daemon.store import Store, StoreError
from daemon.store.lock import DatabaseHeldError, held
os.setgid({user}); os.setuid({user})
path = Path(sys.argv[1])
try:
    with held(path):
        Store(path).close()
except (StoreError, DatabaseHeldError) as error:
    print(error)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("left", ["", "-wal", ".lock"], ids=["database", "wal", "lock"])
def test_a_copy_that_root_put_back_says_whose_it_is_and_what_to_do(tmp_path: Path, left: str) -> None:
    folder = Path(f"/var/tmp/brimful-test-{os.getpid()}{left}")  # every folder above has to let the other user through
    folder.mkdir()
    try:
        path = folder / "a.db"
        Store(path).close()
        files = [path, folder / "a.db-wal", folder / "a.db.lock"]
        for file in files:
            file.touch(0o600)
            os.chown(file, NOBODY, NOBODY)
        os.chown(folder, NOBODY, NOBODY)
        odd = folder / f"a.db{left}"
        os.chown(odd, 0, 0)
        odd.chmod(0o600)
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT.format(user=NOBODY), str(path)],
            cwd=ROOT, capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        assert f"{odd} belongs to root (mode 0600), and this process runs as nobody: as root, chown nobody: " in (
            done.stdout
        ), done
    finally:
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
