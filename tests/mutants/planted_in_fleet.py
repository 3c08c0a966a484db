"""The planted bugs of several daemons on one PostgreSQL; `focus` draws what befalls them.

That a transaction over money locks its account's row cannot show here: in one thread each transaction is over before
the next begins. `tests/topups/test_two_daemons.py` and `make fleet` show it, where two really meet.
"""

from __future__ import annotations

from tests.mutants.mutant import Mutant

FLEET = "tests.sim.fleet"
_GIVES_UP = (
    "daemon/fleet/fleet.py",
    "if self._fence.number is not None and self._now() - self._renewed_at > GIVE_UP_AFTER_S:",
)
"""By its own clock a daemon stops in time: alone this hides that nothing compares the fence."""
MUTANTS_OF_FLEET: tuple[Mutant, ...] = (
    Mutant(
        "fence-not-compared",
        "daemon/store/dialects/postgresql.py",
        '        if said != b"SELECT 1":\n            self.roll_back()',
        '        if said == b"":\n            self.roll_back()',
        "a daemon that was stopped and replaced writes what it had begun",
        "wake",
        ((*_GIVES_UP, "if False:"),),
        world=FLEET,
    ),
    Mutant(
        "gives-up-never",
        *_GIVES_UP,
        "if False:",
        "a daemon that is cut off from the database goes on polling what others hold",
        "cut_one",
        world=FLEET,
    ),
    Mutant(
        "receivers-not-leased",
        "daemon/fleet/holdings.py",
        "return self.whole or (RECEIVERS, bucket_of(key)) in self.buckets",
        "return True",
        "every daemon delivers to every receiver",
        world=FLEET,
    ),
    Mutant(
        "given-away-while-busy",
        "daemon/fleet/holdings.py",
        "given.update([one for one in quiet if one not in at_work][: max(over, 0)])",
        "given.update([one for one in quiet if at_work or one][: max(over, 0)])",
        "what is under way for an account is written beside its new holder",
        "join,burn",
        world=FLEET,
        slow=True,
    ),
    Mutant(
        "never-taken-over",
        "daemon/fleet/fleet.py",
        "    gone = fleet.expire(tx)\n",
        "    gone: list[str] = []\n",
        "what a dead daemon held stays with it until another joins",
        "kill_one,stop_one",
        world=FLEET,
    ),
    Mutant(
        "told-elsewhere-unseen",
        "daemon/fleet/fleet.py",
        "        if changed or told:\n            self._work.look",
        "        if changed:\n            self._work.look",
        "an event waits until the daemon that holds its receiver has one of its own",
        world=FLEET,
    ),
    Mutant(
        "lost-answer-believed",
        "daemon/work/evaluator.py",
        "                self._states.pop(account.id, None)\n            raise\n",
        "                self._states.get(account.id)\n            raise\n",
        "what was committed and seemed to fail is judged, and told, a second time",
        "lose",
        world=FLEET,
        slow=True,
    ),
)
