"""A report lists what needs a person: open alerts, capped and stopped top-ups, messages that never arrived."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from alerts.model.accounts import AccountInfo
from alerts.model.receivers import EmailReceiver, Receivers
from alerts.reports.facts import ReportFacts
from daemon.clock import SeededIds
from daemon.config.model import Config
from daemon.reports.document import to_json
from daemon.reports.facts import gather
from daemon.store import Store, ledger_notes, readings, reports
from daemon.store.outbox import Outbox
from daemon.store.topup_rows import EVERYWHERE, Stop, StopKind
from daemon.topups.policy import messages as events
from daemon.topups.policy.gate import Gate, GateName, GateNumber, Usd
from daemon.topups.policy.step import Account
from tests.helpers_statements import (
    BERLIN,
    LATER,
    OCTOBER,
    at,
    at_end,
    before_october,
    charge,
    level,
    october,
    refund,
    usd,
)

NUMBERS: dict[str, GateNumber] = {
    "window": "2026-10-12",
    "cap": Usd(usd("100")),
    "spent_and_open": Usd(usd("100")),
    "left": Usd(0),
}


@pytest.fixture
def facts_of(configure: Callable[..., Config], october: Store) -> Callable[[], ReportFacts]:
    config = configure()
    return lambda: gather(config, october.reader, config.reports[0], OCTOBER, LATER)


def capped(store: Store) -> None:
    """Commit a `topup.capped` of October, for one mail receiver."""
    outbox = Outbox("store_1", Receivers((EmailReceiver(id="ops", to=("ops@example.com",)),)), SeededIds(1))
    gate = Gate(GateName.CAP_DAY, False, "100.00 of 100.00 are spent", NUMBERS)
    with store.write(durable=True) as tx:
        account = Account("clips", "contentstats", None)
        outbox.append(tx, events.capped(account, at(12), gate, "cus_1", usd("50")), at(12))


def test_a_capped_topup_is_in_the_report_with_its_command(facts_of: Callable[[], ReportFacts], october: Store) -> None:
    capped(october)
    [blocked] = facts_of().blocked
    assert (blocked.account, blocked.at, blocked.do) == ("Video tracking", at(12), "brimful topups explain clips")
    assert "100.00 of 100.00 are spent" in blocked.says


def test_a_message_that_never_arrived_is_in_the_report(facts_of: Callable[[], ReportFacts], october: Store) -> None:
    capped(october)
    with october.write(durable=True) as tx:
        tx.execute("UPDATE delivery SET state = 'dead', settled_ms = ?", (int(at(14).timestamp() * 1000),))
    [dead] = facts_of().dead
    assert (dead.receiver, dead.event_type, dead.at) == ("email:ops", "topup.capped", at(14))
    assert reports.deliveries_by_state(october.reader) == {"dead": 1}
    assert reports.event_ids(october.reader) == {dead.event}


def test_stops_say_what_to_type(facts_of: Callable[[], ReportFacts], october: Store) -> None:
    with october.write(durable=True) as tx:
        ledger_notes.stop(tx, Stop("clips", StopKind.SUSPENSION, "declined", "the card has expired", at(3)))
        ledger_notes.stop(tx, Stop(EVERYWHERE, StopKind.PAUSE, "paused", "", at(4)))
        ledger_notes.stop(tx, Stop(EVERYWHERE, StopKind.BREAKER, "stripe_credentials", "401", at(5)))
        ledger_notes.stop(tx, Stop("somebody-elses", StopKind.PAUSE, "paused", "", at(4)))
    told = {(one.account, one.do): one.says for one in facts_of().blocked}
    assert told == {
        ("Video tracking", "brimful topups resume clips"): "top-ups are suspended: the card has expired",
        ("every account", "brimful topups resume"): "top-ups are paused: paused",
        ("every account", "brimful check --online"): "top-ups are stopped: 401",
    }


def test_a_customer_that_is_gone_is_acknowledged_not_resumed(
    facts_of: Callable[[], ReportFacts], october: Store
) -> None:
    message = "cus_1, an earlier customer, cannot be listed any more (No such customer): brimful topups ack cus_1"
    with october.write(durable=True) as tx:
        ledger_notes.stop(tx, Stop("clips", StopKind.SUSPENSION, "customer_gone", message, at(3)))
    [blocked] = facts_of().blocked
    assert (blocked.do, blocked.says) == ("brimful topups ack cus_1", f"top-ups are suspended: {message}")


def test_an_account_that_left_the_configuration_keeps_its_statement(
    facts_of: Callable[[], ReportFacts], october: Store
) -> None:
    gone = level(at(5), "7", "1")
    with october.write(durable=False) as tx:
        readings.record(tx, [gone.__class__("old", gone.at, gone.metrics)])
        readings.record(tx, [gone.__class__("older", OCTOBER.end + timedelta(days=1), gone.metrics)])
    assert [s.account for s in facts_of().statements][1:] == [AccountInfo("old", "no longer configured")]


def test_the_json_tells_storage_charges_and_what_does_not_add_up() -> None:
    missing = october([before_october(), at_end("20", "1010")], [charge(1, "50", at(5))], [refund(1, "3", at(6))])
    stored = october([level(OCTOBER.start, None, used_microgb=1_000_000), level(at(9), None, used_microgb=3_000_000)])
    facts = ReportFacts("finance", OCTOBER, BERLIN, LATER, (missing, stored))
    one, two = to_json(facts)["statements"]
    assert one["issues"] == [{"amount_usd": 50, "why": "$50.00 charged and never credited (clips-1)"}]
    assert (one["not_credited"][0]["credited_at"], one["refunds_and_disputes"][0]["amount_usd"]) == (None, 3)
    assert (two["storage"]["used_added_gb"], two["storage"]["limit_gb"], two["money"]) == (2, None, None)


def test_the_json_tells_what_needs_a_person(facts_of: Callable[[], ReportFacts], october: Store) -> None:
    capped(october)
    document = to_json(facts_of())
    [blocked] = document["topups_that_need_a_person"]
    assert blocked["do"] == "brimful topups explain clips"
    assert document["timezone"] == "Europe/Berlin"
