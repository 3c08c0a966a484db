"""`python -m tests.sim`: run seeds, and say how many simulated years an hour of CPU holds."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable

from tests.sim.runner import Result, run_seed, run_seeds

DAYS_A_YEAR = 365.25
TOLD_EVERY_S = 30.0
"""How often a long run says how far it is."""


def main() -> int:
    options = read_options("tests.sim", str(__doc__), seeds=200, days=30.0)
    focus = frozenset(filter(None, options.focus.split(",")))
    if options.seed is not None:
        return replay(run_seed(options.seed, options.days, focus))
    seeds = range(options.first, options.first + options.seeds)
    return report(run_seeds(seeds, options.days, jobs=options.jobs, focus=focus), options)


def report(results: Iterable[Result], options: argparse.Namespace) -> int:
    """Print what seeds came to, as they end; return 1 where one has a violation."""
    bad = done = charges = 0
    cpu_s = days = 0.0
    began = told = time.monotonic()
    for result in results:
        done += 1
        cpu_s += result.cpu_s
        days += result.days
        charges += result.charges
        if result.violations:
            bad += 1
            _say(result)
            if options.until_violation:
                break
        if time.monotonic() - told >= TOLD_EVERY_S:
            told = time.monotonic()
            left_s = (told - began) / done * (options.seeds - done)
            print(
                f"{done} of {options.seeds} seeds, {bad} with violations; {left_s / 60:.0f} min left", file=sys.stderr
            )
    years_per_hour = days / DAYS_A_YEAR / (cpu_s / 3600) if cpu_s else 0.0
    print(
        f"{done} seeds of {options.days:g} days, {charges} charges: {bad} with violations; "
        f"{years_per_hour:.0f} simulated years per CPU hour ({cpu_s:.0f} s of CPU in {time.monotonic() - began:.0f} s)"
    )
    return 1 if bad else 0


def read_options(program: str, says: str, *, seeds: int, days: float) -> argparse.Namespace:
    """Read what a simulator is told; `seeds` and `days` are what it does without."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=says)
    parser.add_argument("--seeds", type=int, default=seeds, help="how many seeds")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--days", type=float, default=days, help="simulated days of each")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--focus", default="", help="faults that every seed has: acts, or lies, lag, receivers")
    parser.add_argument("--until-violation", action="store_true", help="stop at the first seed that has one")
    parser.add_argument("--seed", type=int, help="replay one seed and print its trace")
    return parser.parse_args()


def _say(result: Result) -> None:
    print(f"seed {result.seed}: {len(result.violations)} violations")
    for violation in result.violations[:5]:
        print(f"  {violation}")
    print(f"  replay: {result.command}", flush=True)


def replay(result: Result) -> int:
    """Print a seed with its trace."""
    print("\n".join(result.trace))
    print(f"seed {result.seed}, {result.days:g} days, {result.charges} charges")
    for violation in result.violations:
        print(f"VIOLATION {violation}")
    return 1 if result.violations else 0


if __name__ == "__main__":
    sys.exit(main())
