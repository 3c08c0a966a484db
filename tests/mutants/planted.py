"""The planted bugs: a place, what stands there, what is put there, and what it would mean."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """One bug. `focus` names the faults that every seed must have for it to have a chance to show.

    `also` plants it deeper, where a second line of defence would hide it: more places, as (file, old, new).
    """

    name: str
    file: str
    old: str
    new: str
    why: str
    focus: str = ""
    also: tuple[tuple[str, str, str], ...] = ()
    slow: bool = False
    """Whether it takes more than a handful of seeds: left out of a sample."""

    @property
    def places(self) -> tuple[tuple[str, str, str], ...]:
        """Every (file, old, new) of it."""
        return ((self.file, self.old, self.new), *self.also)


_NO_CREDIT_IS_MISSED = (
    "daemon/topups/policy/gates.py",
    "    if funded is None or (facts.falls.fallen_since is None and funded >= highest - CENT_MICROUSD):\n",
    "    if True:\n",
)
"""The gate that stops a charge where a credit that was taken for seen is missing again."""

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "no-second-look",
        "daemon/topups/policy/requests.py",
        "    if differs is not None:\n        until",
        "    if differs is not None and fact.find(topup.payment_intent) is None:\n        until",
        "two daemons on two disks both confirm",
        "twin",
        slow=True,
    ),
    Mutant(
        "second-look-ignores-newcomers",
        "daemon/topups/policy/requests.py",
        "        if intent.id not in seen:\n            return",
        "        if False:\n            return",
        "a PaymentIntent that the plan did not see is overlooked",
        "twin",
        slow=True,
    ),
    Mutant(
        "no-adoption",
        "daemon/topups/adoption.py",
        "    for one in sorted(listed.ours, key",
        "    for one in sorted((), key",
        "a fresh disk does not know what was charged",
        "wipe,lag",
    ),
    Mutant(
        "slot-ignored",
        "daemon/topups/policy/gates.py",
        "return Gate(_N.SLOT, not others,",
        "return Gate(_N.SLOT, True,",
        "a second top-up beside an open one",
        "lag,card",
    ),
    Mutant(
        "credit-taken-for-seen",
        "daemon/topups/policy/credit.py",
        "funded >= topup.funded_before_microusd + topup.amount_microusd",
        "funded >= topup.funded_before_microusd",
        "the slot is freed before the credit is there",
        "lag",
        also=(_NO_CREDIT_IS_MISSED,),
    ),
    Mutant(
        "one-read-shows-the-credit",
        "daemon/topups/policy/credit_watch.py",
        "if fact.again is None:\n            b.command = Reread()\n        elif isinstance(fact.again, Known) and",
        "if True or",
        "one false reading frees the slot",
        "lag,lies",
        also=(_NO_CREDIT_IS_MISSED,),
    ),
    Mutant(
        "no-second-read",
        "daemon/topups/second_read.py",
        "    again = await seen.ask()\n",
        "    again = seen.readings.known\n",
        "a charge on one false reading",
        "lies",
        slow=True,
    ),
    Mutant(
        "day-cap-unbounded",
        "daemon/topups/policy/amounts.py",
        "return max(self.cap_microusd - self.counted_microusd, 0)",
        "return self.cap_microusd",
        "the caps count nothing that was spent",
        "burn",
    ),
    Mutant(
        "caps-see-only-what-is-open",
        "daemon/store/ledger_reads.py",
        'f"{_CHARGE} AND paid_at >= ?2 UNION {_CHARGE} AND charged_at >= ?2"',
        'f"{_CHARGE} AND paid_at < 0 AND ?2 > 0"',
        "what was paid no longer counts against a cap",
        "burn",
    ),
    Mutant(
        "cooldown-ignored",
        "daemon/topups/policy/gates.py",
        "passed = last is None or facts.now - last >= cooldown",
        "passed = True",
        "attempts follow one another at once",
        "card,burn",
    ),
    Mutant(
        "every-decline-is-soft",
        "daemon/stripe/declines.py",
        "    kind = ADVICE.get(error.advice_code) or",
        "    kind = Kind.SOFT or",
        "a stolen card is tried again",
        "card",
    ),
    Mutant(
        "card-not-suspended",
        "daemon/topups/policy/stops.py",
        "    card = decline.fingerprint or topup.fingerprint\n",
        "    return Count(account.id, GateName.CARD, decline.code)\n",
        "a refused card is charged for the next need",
        "card",
    ),
    Mutant(
        "new-key-on-every-send",
        "daemon/topups/policy/requests.py",
        '        b.command = Request("confirm", last.n, last.key, json.loads(last.params), verdict.encode())\n',
        "        n = last.n + len(sends)\n"
        '        key = f"{last.key}:{n}"\n'
        '        b.command = Request("confirm", n, key, json.loads(last.params), verdict.encode())\n',
        "an unknown outcome is sent again under a key that protects nothing",
        "stripe_out,strike",
    ),
    Mutant(
        "processing-is-success",
        "daemon/topups/policy/settle.py",
        '    "processing": _processing,',
        '    "processing": _succeeded,',
        "a charge is told that may still fail",
        "card",
    ),
    Mutant(
        "charge-not-told",
        "daemon/topups/policy/settle.py",
        "    b.emit(messages.succeeded)",
        "    str(messages.succeeded)",
        "money moves and nobody hears of it",
    ),
    Mutant(
        "credit-not-told",
        "daemon/topups/policy/credit_watch.py",
        "    if not quiet:\n        b.emit(messages.credited, known.at)\n",
        "    if not quiet:\n        str(messages.credited)\n",
        "a paid credit is not followed up",
    ),
    Mutant(
        "cancel-not-sent",
        "daemon/topups/policy/builder.py",
        '        self.command = Request("cancel", n, cancel_key(topup.payment_intent, n), CANCEL_PARAMS)\n',
        "        self.command = None if n else Request('cancel', n, '', CANCEL_PARAMS)\n",
        "a PaymentIntent is given up and lives on",
        "card",
    ),
    Mutant(
        "method-not-named-again",
        "daemon/stripe/requests.py",
        'return {"payment_method": payment_method, "off_session": True, "error_on_requires_action": True}',
        'return {"off_session": True, "error_on_requires_action": True}',
        "a declined PaymentIntent can never be confirmed again",
        "card",
    ),
    Mutant(
        "redirects-allowed",
        "daemon/stripe/requests.py",
        '"allow_redirects": "never"',
        '"allow_redirects": "always"',
        "Stripe asks for a return_url and nothing is ever charged",
    ),
    Mutant(
        "events-after-the-commit",
        "daemon/work/evaluator.py",
        "        for evaluation in evaluations:\n            for draft in evaluation.drafts:\n"
        "                self._outbox.append(tx, draft, now)\n",
        "        def later() -> None:\n            for evaluation in evaluations:\n"
        "                for draft in evaluation.drafts:\n"
        "                    with self._store.write(durable=True) as other:\n"
        "                        self._outbox.append(other, draft, now)\n\n        tx.committed.append(later)\n",
        "a kill between state and event loses the event",
        "kill_at_commit",
    ),
    Mutant(
        "sequence-skips",
        "daemon/store/outbox.py",
        "DO UPDATE SET last = sequence.last + 1 RETURNING",
        "DO UPDATE SET last = sequence.last + 2 RETURNING",
        "a receiver that counts believes that it missed something",
    ),
    Mutant(
        "bytes-differ-by-attempt",
        "alerts/channels/webhook.py",
        "            content=body,\n",
        '            content=body + b" " * batch.deliveries[0].failures,\n',
        "the second attempt is another message under the same id",
        "receivers",
    ),
    Mutant(
        "errors-count-as-delivered",
        "alerts/channels/webhook.py",
        "    if 200 <= status < 300:",
        "    if 200 <= status < 600:",
        "an event that was refused is never sent again",
        "receivers",
    ),
    Mutant(
        "episodes-forgotten",
        "daemon/store/states.py",
        "    return AccountState.new(account) if row is None else _read(row)\n",
        "    return AccountState.new(account)\n",
        "after a restart every breach is told as new",
        "kill,burn",
    ),
    Mutant(
        "nothing-doubted",
        "alerts/rules/plausibility.py",
        "    return Anomaly(tuple(findings)) if findings else None",
        "    return None",
        "a false reading is believed, and its alarm raised",
        "lies",
        slow=True,
    ),
    Mutant(
        "planned-twice-from-scratch",
        "daemon/topups/planning.py",
        "seq, cents = 1 + ledger_reads.max_seq(tx, account),",
        "seq, cents = 1,",
        "the number is used again: the next need is never charged",
    ),
    Mutant(
        "reads-nothing-back",
        "daemon/topups/executor.py",
        "    answer = await context.gateway.retrieve(row.payment_intent)\n",
        '    answer = Refused(AnswerKind.UNKNOWN, "")\n',
        "an unknown outcome stays unknown for ever",
    ),
    Mutant(
        "mark-before-send",
        "alerts/channels/webhook.py",
        "        answer = await self._poster.post(",
        "        return Outcome(Result.OK, 0, 200)\n        answer = await self._poster.post(",
        "a delivery is done before it was sent",
    ),
    Mutant(
        "error-read-as-zero",
        "daemon/sources/fetcher.py",
        "        reading = client.parse(account.id, at, answer)\n",
        '        nothing = b\'{"balance_usd":0,"uncharged_usage_usd":0,"total_charged_usd":0}\'\n'
        "        if answer.status != 200:\n            answer = replace(answer, status=200, body=nothing)\n"
        "        reading = client.parse(account.id, at, answer)\n",
        "an outage is taken for an empty account",
        "outage",
    ),
    Mutant(
        "slot-freed-on-unknown",
        "daemon/topups/policy/requests.py",
        "        case Action.KEEP_OPEN | Action.BREAK:\n            return\n",
        "        case Action.KEEP_OPEN | Action.BREAK:\n            b.to(State.ABANDONED, 'no answer')\n",
        "an unknown outcome is taken for none, and what was charged is never told",
        "strike,stripe_out",
    ),
    Mutant(
        "decline-retried-as-unknown",
        "daemon/topups/policy/settle.py",
        '    "requires_payment_method": _requires_method,',
        '    "requires_payment_method": _requires_confirmation,',
        "a refusal is taken for an unknown outcome: the card is tried again, and nobody is asked",
        "card",
        (
            (
                "daemon/stripe/answers.py",
                "    AnswerKind.DECLINED: Action.READ_BACK,",
                "    AnswerKind.DECLINED: Action.KEEP_OPEN,",
            ),
        ),
    ),
    Mutant(
        "sequence-from-the-ledger-alone",
        "daemon/store/ledger_reads.py",
        'for table in ("topups", "stripe_intents"))',
        'for table in ("topups", "topups"))',
        "a fresh disk counts from one again, and meets keys that were used",
        "wipe",
        (("daemon/topups/adoption.py", "    for one in sorted(listed.ours, key", "    for one in sorted((), key"),),
    ),
    Mutant(
        "fall-charged-on",
        *_NO_CREDIT_IS_MISSED,
        "less shows than was ever credited, and that is charged on",
        "false_zero",
    ),
    Mutant(
        "drop-charged-at-once",
        "daemon/topups/policy/gates.py",
        "return Gate(_N.DROP, False, words, numbers)",
        "return Gate(_N.DROP, True, words, numbers)",
        "usage that is pending by mistake is charged on",
        "pending_jump",
    ),
    Mutant(
        "last-of-two-keys-wins",
        "daemon/sources/payload.py",
        "        if name in found:\n            raise",
        "        if False:\n            raise",
        "a key that stands twice is read, and charged on",
        "said_twice",
    ),
    Mutant(
        "clocks-not-compared",
        "daemon/topups/policy/gates.py",
        "    agree = differ <= CLOCKS_AGREE_WITHIN\n",
        "    agree = True\n",
        "a clock that is a day ahead opens another day of the cap",
        "clock_step,burn",
        (
            (
                "daemon/stripe/gateway.py",
                '            self.ahead = parsedate_to_datetime(said or "") - now\n',
                '            self.ahead = parsedate_to_datetime(said or "") - now\n'
                "            self.ahead = self.ahead if abs(self.ahead) < timedelta(days=1) else timedelta()\n",
            ),
        ),
        slow=True,
    ),
    Mutant(
        "renamed-account-begins-anew",
        "daemon/topups/gate_check.py",
        "if name not in context.config.accounts",
        "if not name",
        "an account with another name has its caps anew",
        "rename,burn",
        slow=True,
    ),
    Mutant(
        "both-keys-of-a-purse-charged",
        "daemon/topups/policy/gates.py",
        "return Gate(_N.TWIN, not facts.twins,",
        "return Gate(_N.TWIN, True,",
        "two keys of one provider account are charged for one need",
        "keys,lag",
    ),
    Mutant(
        "bad-card-tried-by-another",
        "daemon/store/ledger_notes.py",
        "WHERE account = ? OR reason IN",
        "WHERE account = ? AND reason NOT IN",
        "a stolen card of one account is tried by another",
        "two,card",
        slow=True,
    ),
    Mutant(
        "charges-without-its-database",
        "daemon/topups/policy/gates.py",
        "yield Gate(_N.DATABASE, facts.in_place,",
        "yield Gate(_N.DATABASE, True,",
        "a ledger that was moved away is charged on",
        "move_database,burn",
        slow=True,
    ),
    Mutant(
        "remembered-before-it-is-committed",
        "daemon/work/evaluator.py",
        "        self._committing = True\n",
        "        self._committing = True\n"
        "        self._states |= {one.state.account: one.state for one in evaluations}\n",
        "what a full disk did not take is believed to be told",
        "disk_full",
    ),
    Mutant(
        "late-credit-told-as-in-time",
        "daemon/store/topup_rows.py",
        "return self.state is State.CREDITED and self.told_at is not None",
        "return False",
        "a purchase by hand is taken for the credit that is missing",
        "lost_credit",
    ),
    Mutant(
        "cap-without-reservation",
        "daemon/store/ledger_reads.py",
        'f" WHERE {_LIVE} AND state IN {_OPEN} AND state NOT IN {_CHARGED} AND +account = ?1 ORDER BY at"',
        'f" WHERE {_LIVE} AND state IN {_OPEN} AND state IN {_CHARGED} AND +account = ?1 ORDER BY at"',
        "what is open or unknown holds no slot and counts against no cap",
        "strike,stripe_out,card",
        (
            ("daemon/topups/policy/gates.py", "return Gate(_N.SLOT, not others,", "return Gate(_N.SLOT, True,"),
            (
                "daemon/store/migrations/m0003_ledger.py",
                "CREATE UNIQUE INDEX topups_one_open_plan",
                "CREATE INDEX topups_one_open_plan",
            ),
        ),
    ),
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
        "if context.topup(account) != config or not context.is_current(tx):",
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
