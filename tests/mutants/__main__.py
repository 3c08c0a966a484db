"""`python -m tests.mutants`: plant each bug in a copy of the code and count the seeds until it is caught."""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.mutants.planted import MUTANTS, Mutant
from tests.postgres import MISSING, programs

ROOT = Path(__file__).resolve().parents[2]
COPIED = (
    "alerts",
    "daemon",
    "templates",
    "tests/__init__.py",
    "tests/helpers_events.py",
    "tests/postgres.py",
    "tests/sim",
    "pyproject.toml",
)
FLEET_DAYS = 2.0
"""A day of a fleet costs more, and its faults come thicker."""
_DONE = re.compile(r"^(\d+) seeds of ", re.MULTILINE)


def main() -> int:
    options = _options()
    chosen = _choose(options)
    if programs() is None and (left_out := [one.name for one in chosen if one.world != "tests.sim"]):
        print(f"{MISSING}: left out are {', '.join(left_out)}")
        chosen = [one for one in chosen if one.world == "tests.sim"]
    for mutant in MUTANTS:
        misfit = _misfit(mutant)
        if misfit:
            print(misfit)
            return 1
    with ThreadPoolExecutor(options.jobs) as pool:
        verdicts = list(pool.map(partial(_hunt, seeds=options.seeds, days=options.days), chosen))
    survived = [mutant.name for mutant, caught in zip(chosen, verdicts, strict=True) if not caught]
    print(
        f"{len(chosen)} mutants, {len(chosen) - len(survived)} caught"
        + f"; survived: {', '.join(survived)}" * bool(survived)
    )
    return 1 if survived else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--seeds", type=int, default=120, help="how many seeds each gets at the most")
    parser.add_argument("--days", type=float, default=10.0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--sample", type=int, help="only so many of the quick ones, drawn by --draw")
    parser.add_argument("--draw", type=int, default=0)
    parser.add_argument("names", nargs="*", help="only these")
    return parser.parse_args()


def _choose(options: argparse.Namespace) -> Sequence[Mutant]:
    if options.names:
        return [mutant for mutant in MUTANTS if mutant.name in options.names]
    if options.sample:
        quick = [mutant for mutant in MUTANTS if not mutant.slow]
        return random.Random(options.draw).sample(quick, options.sample)
    return MUTANTS


def _misfit(mutant: Mutant) -> str | None:
    """Return why a mutant no longer fits the code, None where it does."""
    for file, old, _ in mutant.places:
        found = (ROOT / file).read_text().count(old)
        if found != 1:
            return f"{mutant.name}: its old text occurs {found} times in {file}, not once"
    return None


def _hunt(mutant: Mutant, *, seeds: int, days: float) -> bool:
    """Run seeds against the mutant until one catches it."""
    with _planted(mutant) as copy:
        command = [sys.executable, "-m", mutant.world, "--jobs", "1", "--seeds", str(seeds)]
        command += ["--days", str(days if mutant.world == "tests.sim" else FLEET_DAYS)]
        command += ["--until-violation", "--focus", mutant.focus]
        environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    counted = _DONE.search(done.stdout)
    caught = counted is not None and done.returncode == 1
    lines = done.stdout.splitlines()
    how = lines[1].strip() if caught and len(lines) > 1 else (done.stderr.strip().splitlines() or ["survived"])[-1]
    print(
        f"{mutant.name}: {'caught by seed ' + counted.group(1) if caught and counted else 'NOT CAUGHT'} – {how[:150]}",
        flush=True,
    )
    return caught


@contextmanager
def _planted(mutant: Mutant) -> Iterator[Path]:
    """Yield a copy of the code with the bug in it."""
    with tempfile.TemporaryDirectory(prefix="brimful-mutant-") as place:
        copy = Path(place)
        for name in COPIED:
            source, target = ROOT / name, copy / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        (copy / "tests/__init__.py").touch()
        for file, old, new in mutant.places:
            victim = copy / file
            assert victim.read_text().count(old) == 1, f"{mutant.name} no longer fits {file}"
            victim.write_text(victim.read_text().replace(old, new))
        yield copy


if __name__ == "__main__":
    sys.exit(main())
