"""The planted bugs of what is changed by API; `focus` draws such changes."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

MUTANTS_OF_API: tuple[Mutant, ...] = (
    Mutant(
        "days-total-omitted",
        "daemon/topups/gate_check.py",
        "    if api is None:\n        return ()",
        "    if True:\n        return ()",
        "all accounts together are charged without an end",
        "api,burn",
    ),
    Mutant(
        "ceiling-not-applied-at-load",
        "daemon/resources/ceiling.py",
        "    is_by_api = account.managed_by is ManagedBy.API\n",
        "    is_by_api = False\n",
        "a ceiling that was lowered bounds nothing that the API made before",
        "api,ceiling",
        slow=True,
    ),
    Mutant(
        "shadow-ignored",
        "daemon/topups/planning.py",
        "    if config.mode is TopupMode.SHADOW:\n",
        "    if False:\n",
        "a top-up in shadow mode charges",
        "api",
        (
            (
                "daemon/topups/policy/gates.py",
                "permitted = mode is TopupMode.CHARGE or (mode is TopupMode.SHADOW and not sending)",
                "permitted = mode is not TopupMode.OFF",
            ),
        ),
    ),
    Mutant(
        "first-charge-ignored",
        "daemon/resources/ceiling.py",
        "if asked not in (None, TopupMode.CHARGE) else api.first_charge",
        "if asked not in (None, TopupMode.CHARGE) else TopupMode.CHARGE",
        "a top-up made by API charges before anybody let it",
        "api",
    ),
    Mutant(
        "charged-by-terms-that-are-gone",
        "daemon/topups/planning.py",
        "if context.topup(account) != config or not context.is_current(tx, context.config):",
        "if False:",
        "what is changed while a charge is planned is charged as it was",
        "api",
        slow=True,
    ),
    Mutant(
        "archived-beside-an-open-top-up",
        "daemon/resources/writing.py",
        "            if draft.body is None:\n                raise _open(",
        "            if False:\n                raise _open(",
        "an account goes while its charge is under way",
        "api",
        slow=True,
    ),
    Mutant(
        "both-writers-win",
        "daemon/resources/drafting.py",
        "or not is_there or row.version != change.if_version):",
        "or not is_there):",
        "the second of two writers overwrites what it has not seen",
        "api",
    ),
    Mutant(
        "limits-told-to-customers",
        "alerts/model/receivers.py",
        "        if self.untrusted and draft.type not in SUBSCRIBABLE:\n",
        "        if False:\n",
        "a customer hears what its account may be charged",
        "api",
        (
            (
                "alerts/events/customers.py",
                "    if event.type not in LEFT_OUT:\n        raise",
                "    if event.type not in LEFT_OUT:\n        return event.body\n        raise",
            ),
        ),
    ),
)
