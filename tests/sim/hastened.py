"""`python -m tests.sim.hastened SECONDS …`: the daemon's own command line, on a clock that is so far ahead.

Between two lives of the kill loop hours may pass for the daemon and the stand-ins that did not pass for whoever waits.
"""

from __future__ import annotations

import sys
from datetime import datetime, timedelta

from daemon.clock import SystemClock


class HastenedClock(SystemClock):
    """The machine's clock, `ahead` of it."""

    def __init__(self, ahead: timedelta = timedelta(0)) -> None:
        self.ahead = ahead

    def now(self) -> datetime:
        return super().now() + self.ahead

    def set(self, now: datetime) -> None:
        """Let it be `now`."""
        self.ahead += now - self.now()

    def advance(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)


def main() -> None:
    """Run the command line with every clock ahead."""
    ahead = timedelta(seconds=float(sys.argv.pop(1)))
    plain = SystemClock.now
    setattr(SystemClock, "now", lambda clock: plain(clock) + ahead)  # noqa: B010  (the type is not to know)
    from daemon.cli import main as run

    run()


if __name__ == "__main__":
    main()
