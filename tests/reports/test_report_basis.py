"""What a report rests on is stored with it: built again it is the same for ever, and what comes late is in the next."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from alerts.model.instants import to_ms
from alerts.model.spans import span_named
from alerts.model.values import replace
from alerts.reports.facts import ReportFacts
from alerts.reports.report import Extras, build
from alerts.reports.statements import Statement
from alerts.templating import Templates
from daemon.config.model import Config
from daemon.reports.facts import facts_for, gather, gather_anew, keep
from daemon.store import Store, ledger, ledger_reads, migrations, readings, report_basis, returns
from daemon.store.returns import ReturnKind
from daemon.store.topup_rows import State, Topup
from tests.helpers_statements import BERLIN, LATER, OCTOBER, at, level, usd

NOVEMBER = span_named("2026-11", BERLIN)
MADE_AT = OCTOBER.end + timedelta(hours=8)


@pytest.fixture
def config(configure: Callable[..., Config]) -> Config:
    return configure(more="xlsx = true")


def files(facts: ReportFacts) -> dict[str, bytes]:
    report = build(facts, templates=Templates(), pictures={}, extras=Extras(xlsx=True, journal=True))
    return {one.name: one.content for one in report.attachments} | {"text": report.text.encode()}


def charged(
    store: Store, n: int, charged_at: datetime, credited_at: datetime | None = None, *, paid_at: datetime | None = None
) -> None:
    """Enter a top-up of $50 that Stripe charged at `charged_at`; the ledger learned of it at `paid_at`."""
    paid_at = paid_at or charged_at
    topup = Topup(
        id=f"clips-{n}", account="clips", customer="cus_1", seq=n, own=True, state=State.PAID, amount_cents=5000,
        create_key=f"key-{n}", create_params="{}", planned_at=paid_at, state_at=paid_at, payment_intent=f"pi_{n}",
        paid_at=paid_at, charged_at=charged_at, card="Visa 4242", receipt="https://pay.stripe.com/receipts/1",
    )  # fmt: skip
    with store.write(durable=True) as tx:
        ledger.insert(tx, topup, paid_at)
        if credited_at is not None:
            seen = {"state": State.CREDITED, "credited_at": credited_at, "credited_microusd": usd("1100")}
            ledger.change(tx, topup, credited_at, **seen)


def statement(config: Config, store: Store, span: object = OCTOBER, now: datetime = MADE_AT) -> Statement:
    facts = gather(config, store.reader, config.reports[0], span, now)  # type: ignore[arg-type]
    return facts.statements[0]


def store_basis(config: Config, store: Store, now: datetime = MADE_AT) -> ReportFacts:
    return keep(store, gather_anew(config, store.reader, config.reports[0], OCTOBER, now))


def test_a_charge_a_second_before_midnight_by_stripe_and_after_it_by_us_is_in_the_month_of_stripe(
    config: Config, october: Store
) -> None:
    end, second = OCTOBER.end, timedelta(seconds=1)
    charged(october, 1, end - second, end + timedelta(minutes=5), paid_at=end + second)
    charged(october, 2, end, end + timedelta(minutes=5), paid_at=end - second)
    one, two = statement(config, october), statement(config, october, NOVEMBER, NOVEMBER.end)
    assert [c.topup for c in one.card.charges] == ["clips-1"]
    assert [c.topup for c in two.card.charges] == ["clips-2"]
    assert (one.card.charges[0].card, one.card.charges[0].receipt != "") == ("Visa 4242", True)


def test_built_again_a_hundred_days_later_it_is_the_same_to_the_byte(config: Config, october: Store) -> None:
    charged(october, 1, at(5), at(5, 13))
    first = store_basis(config, october)
    with october.write(durable=False) as tx:
        while readings.fold_old(tx, "clips", LATER + timedelta(days=100)):
            pass
        readings.record(tx, [level(LATER + timedelta(days=9), "1", "1100")])
    charged(october, 2, at(30), paid_at=LATER)
    renamed = replace(config, accounts={}, rules=())
    again = gather(renamed, october.reader, config.reports[0], OCTOBER, MADE_AT + timedelta(days=100))
    assert again == first
    assert files(again) == files(first)


def test_what_another_process_stored_first_stands(config: Config, october: Store) -> None:
    first = store_basis(config, october)
    assert store_basis(config, october, MADE_AT + timedelta(hours=1)) == first


async def test_a_period_that_has_not_ended_and_a_preview_store_nothing(config: Config, october: Store) -> None:
    [report] = config.reports
    for now, preview in ((OCTOBER.end - timedelta(days=1), False), (MADE_AT, True)):
        await facts_for(config, october, report, OCTOBER, now, preview=preview)
        assert report_basis.load(october.reader, "finance", OCTOBER) is None
    made = await facts_for(config, october, report, OCTOBER, MADE_AT)
    assert report_basis.load(october.reader, "finance", OCTOBER) == made
    assert (await facts_for(config, october, report, OCTOBER, LATER, preview=True)) == replace(made, preview=True)


def test_what_is_stored_and_cannot_be_read_is_named(config: Config, october: Store) -> None:
    store_basis(config, october)
    with october.write(durable=True) as tx:
        tx.execute("UPDATE report_basis SET facts = x'00'")
    with pytest.raises(ValueError, match="the stored facts of finance 2026-10 cannot be read"):
        gather(config, october.reader, config.reports[0], OCTOBER, LATER)


def test_the_closing_of_a_stored_month_is_the_opening_of_the_next_whatever_was_read_since(
    config: Config, store: Store
) -> None:
    with store.write(durable=False) as tx:
        readings.record(tx, [level(OCTOBER.start, "50", "1000"), level(at(30), "40", "1010")])
    one = store_basis(config, store).statements[0]
    with store.write(durable=False) as tx:  # the outage over the boundary ends only after the report was made
        readings.record(tx, [level(OCTOBER.end + timedelta(days=2), "36", "1014")])
        readings.record(tx, [level(NOVEMBER.end, "30", "1020")])
    two = statement(config, store, NOVEMBER, NOVEMBER.end)
    assert one.figures is not None
    assert two.figures is not None
    assert one.figures.closing == two.figures.opening == usd("40")
    assert (one.spent, two.spent) == (usd("10"), usd("10"))
    assert "more than 24 hours older" in one.partial[0]
    assert "opening values are of a reading more than 24 hours older" in two.partial[0]
    assert two.before is not None
    assert two.before.spent == one.spent


def test_what_became_known_only_after_the_report_is_in_the_next_one_and_marked(config: Config, october: Store) -> None:
    charged(october, 1, at(5), at(5, 13))
    store_basis(config, october)
    charged(october, 2, at(31, 23, 59), paid_at=MADE_AT + timedelta(hours=1))
    with october.write(durable=True) as tx:
        seen = MADE_AT + timedelta(days=1)
        returns.record(tx, "clips-1", ReturnKind.REFUND, "5000", 5000, at(31, 22), seen)
    assert statement(config, october).charged == usd("50")
    two = statement(config, october, NOVEMBER, NOVEMBER.end)
    assert [(c.topup, c.late) for c in two.card.charges] == [("clips-2", True)]
    assert [(r.topup, r.late) for r in two.card.returns] == [("clips-1", True)]
    december = span_named("2026-12", BERLIN)
    keep(october, gather_anew(config, october.reader, config.reports[0], NOVEMBER, NOVEMBER.end))
    three = statement(config, october, december, december.end)
    assert (three.card.charges, three.card.returns) == ((), ())
    assert [c.topup for c in three.missing] == ["clips-2"]


def test_refunds_and_disputes_are_of_their_own_instant_and_one_that_gets_its_date_later_has_it(
    config: Config, october: Store
) -> None:
    charged(october, 1, at(5), at(5, 13))
    end = OCTOBER.end
    with october.write(durable=True) as tx:
        topup = ledger_reads.get(tx, "clips-1")
        assert topup is not None
        assert returns.refund(tx, topup, 2000, end, end) == 2000
        assert returns.refund(tx, topup, 2000, end, end + timedelta(hours=1)) == 0
        assert returns.dispute(tx, topup, None, None, None, end + timedelta(minutes=1)) == 1
        assert returns.dispute(tx, topup, "dp_1", 3000, end - timedelta(minutes=3), end + timedelta(hours=1)) == 0
        assert returns.dispute(tx, topup, "dp_1", 3000, end, end + timedelta(hours=1)) == 0
    one = statement(config, october)
    assert [(r.kind, r.amount_microusd, r.at) for r in one.card.returns] == [
        ("dispute", usd("30"), end - timedelta(minutes=3))
    ]
    two = statement(config, october, NOVEMBER, NOVEMBER.end)
    assert [(r.kind, r.amount_microusd) for r in two.card.returns] == [("refund", usd("20"))]


def test_a_dispute_that_is_named_later_by_a_clock_behind_has_the_amount_that_is_named(
    config: Config, october: Store
) -> None:
    charged(october, 1, at(5), at(5, 13))
    with october.write(durable=True) as tx:
        topup = ledger_reads.get(tx, "clips-1")
        assert topup is not None
        assert returns.dispute(tx, topup, None, None, None, at(20)) == 1
        assert returns.dispute(tx, topup, "dp_1", 2000, at(20) + timedelta(seconds=90), at(20, 13)) == 0
    (one,) = statement(config, october).card.returns
    assert (one.amount_microusd, one.at) == (usd("20"), at(20))


def test_what_was_given_back_before_the_table_was_there_is_taken_from_what_was_told(tmp_path: Path) -> None:
    store = Store(tmp_path / "old.db")
    older = {name: steps for name, steps in migrations._STEPS.items() if name < "m0012"}
    with store.write(durable=True) as tx:
        for statement in (step for steps in older.values() for step in steps):
            tx.execute(statement)
        tx.execute(
            "INSERT INTO topups (id, account, customer, seq, own, state, amount_cents, create_key, create_params,"
            " planned_at, state_at, payment_intent, paid_at)"
            " VALUES ('clips-1', 'clips', 'cus_1', 1, 1, 'paid', 5000, 'k', '{}', 1, 1, 'pi_1', 1)"
        )
        told: tuple[tuple[str, dict[str, float]], ...] = (
            ("refunded", {"returned_usd": 12.34}),
            ("disputed", {}),
            ("declined", {"returned_usd": 1}),
        )
        for n, (reason, more) in enumerate(told):
            body = {"data": {"topup": "clips-1", "reason": reason, **more}}
            tx.execute(
                "INSERT INTO event (id, type, at_ms, committed_ms, account, severity, body)"
                " VALUES (?, 'topup.suspended', ?, 0, 'clips', 'critical', ?)",
                (f"evt_{n}", 1000 + n, json.dumps(body).encode()),
            )
        for statement in migrations._STEPS["m0012_report_basis"]:
            tx.execute(statement)
    found = store.reader.execute("SELECT kind, amount_cents, at FROM topup_returns ORDER BY at").fetchall()
    assert found == [("refund", 1234, 1000), ("dispute", 5000, 1001)]
    store.close()


def test_refusals_are_counted_by_gate_and_day_of_the_zone_and_cost_a_row_each(config: Config, october: Store) -> None:
    with october.write(durable=True) as tx:
        for n in range(918):
            moment = (at(31, 20) + timedelta(seconds=n)).astimezone(BERLIN)
            returns.count_refusal(tx, "clips", "cap_month", moment.date(), f"refusal {n}")
        returns.count_refusal(tx, "clips", "cap_month", OCTOBER.end.astimezone(BERLIN).date(), "in November")
    assert october.reader.execute("SELECT count(*) FROM topup_refusals").fetchone() == (2,)
    [refusal] = statement(config, october).card.refusals
    assert (refusal.day, refusal.gate, refusal.count, refusal.detail) == (
        "2026-10-31", "cap_month", 918, "refusal 917"
    )  # fmt: skip


def test_what_the_bank_declined_is_a_row_of_its_own_instant(config: Config, october: Store) -> None:
    body = {
        "data": {
            "topup": "clips-3", "payment_intent": "pi_3", "amount_usd": 25.5, "decline_code": "expired_card",
            "message": "Your card has expired.",
        }
    }  # fmt: skip
    with october.write(durable=True) as tx:
        for n, moment in enumerate((at(8), OCTOBER.end)):
            tx.execute(
                "INSERT INTO event (id, type, at_ms, committed_ms, account, severity, body)"
                " VALUES (?, 'topup.declined', ?, ?, 'clips', 'warning', ?)",
                (f"evt_{n}", to_ms(moment), to_ms(moment), json.dumps(body).encode()),
            )
    [decline] = statement(config, october).card.declines
    assert (decline.at, decline.amount_microusd, decline.reason) == (
        at(8), usd("25.5"), "expired_card: Your card has expired."
    )  # fmt: skip
