"""The commands of `brimful topups`, over a ledger that a daemon wrote and a stand-in that is served."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from daemon.commands import operator
from daemon.demo.standins.stripe import Strike, declined
from daemon.reconcile.audit import audit
from tests.helpers_topup_shell import CONFIG, Shell, keep
from tests.helpers_topups import DOLLAR, Daemon, World, topup_config


async def test_explain_shows_a_top_up_whole(shell: Shell, daemon: Daemon) -> None:
    await daemon.run(timedelta(hours=1))
    said = shell.json("explain", "clips-1")
    assert said["state"] == "credited"
    assert [attempt["kind"] for attempt in said["attempts"]] == ["create", "confirm"]
    assert all(attempt["request_id"].startswith("req_") for attempt in said["attempts"])
    assert [step["to"] for step in said["steps"]] == [
        "planned",
        "creating",
        "created",
        "confirming",
        "paid",
        "credited",
    ]
    assert said["read_backs"][-1]["status"] == "succeeded"
    assert {gate["gate"] for gate in said["gates"]} == {1, 2, 3, 4, 5, 6, 7, 8}
    assert said["credit"]["expected_funded_usd"] == 154.96
    screen = shell.run("explain", "clips-1")
    assert screen.exit_code == 0
    for word in ("Gates at plan", "Attempts", "Read back", "req_", "brimful:cus_1:clips:1:create"):
        assert word in screen.stdout


async def test_explain_finds_a_top_up_by_its_payment_intent_too(shell: Shell, daemon: Daemon) -> None:
    await daemon.poll()
    intent = daemon.topups()[0].payment_intent
    assert intent is not None
    assert shell.json("explain", intent)["id"] == "clips-1"


async def test_explain_says_why_an_account_was_not_charged(shell: Shell, daemon: Daemon, world: World) -> None:
    world.stripe.method("pm_1").outcome = declined("stolen_card")
    await daemon.run(timedelta(hours=3))
    said = shell.json("explain", "clips")
    assert said["standing"]["state"] == "suspended"
    assert said["stops"][0]["reason"] == "declined"
    assert {one["gate"] for one in said["decisions"]} >= {"suspension"}
    assert "stolen_card" in shell.run("explain", "clips").stdout


async def test_explain_of_an_account_that_was_never_low_says_that_no_gate_was_judged(
    shell: Shell, daemon: Daemon, world: World
) -> None:
    world.balance = 500 * DOLLAR
    await daemon.run(timedelta(hours=2))
    screen = shell.run("explain", "clips").stdout
    assert "none was judged yet" in screen
    assert "adopted" not in screen


async def test_explain_shows_the_last_gates_that_were_judged_however_quiet_it_was_since(
    shell: Shell, daemon: Daemon, world: World
) -> None:
    await daemon.restart(topup=topup_config(max_per_day_microusd=5 * DOLLAR))
    await daemon.poll()
    assert daemon.events() == ["topup.capped"]
    world.balance = 500 * DOLLAR
    await daemon.run(timedelta(hours=3))
    assert shell.json("explain", "clips")["decisions"][0]["gate"] == "threshold"
    assert " NO " in shell.run("explain", "clips").stdout.partition("Gates, the last time one said no")[2]


def test_explain_of_nothing_is_a_sentence_and_exits_1(shell: Shell) -> None:
    result = shell.run("explain", "clips-9")
    assert result.exit_code == 1
    assert "there is no top-up and no account clips-9" in result.stderr


async def test_the_list_shows_what_is_open_and_the_counts_per_gate(shell: Shell, daemon: Daemon, world: World) -> None:
    world.lost = True
    await daemon.run(timedelta(hours=2))
    said = shell.json()
    assert [topup["state"] for topup in said["topups"]] == ["paid"]
    assert [(one["gate"], one["count"]) for one in said["decisions"]] == [("slot", 23)]
    screen = shell.run()
    assert "clips-1" in screen.stdout
    assert "slot" in screen.stdout


async def test_the_list_keeps_what_ended_lately(shell: Shell, daemon: Daemon) -> None:
    await daemon.run(timedelta(hours=1))
    assert [(topup["id"], topup["state"]) for topup in shell.json()["topups"]] == [("clips-1", "credited")]
    assert "credited" in shell.run().stdout


async def test_pause_and_resume_work_beside_a_running_daemon(shell: Shell, daemon: Daemon, world: World) -> None:
    assert shell.run("pause").stdout == "all accounts: paused\n"
    assert shell.run("pause").stdout == "all accounts: paused already\n"
    await daemon.run(timedelta(minutes=30))
    assert world.stripe.intents() == []
    assert "ended the pause" in shell.run("resume").stdout
    await daemon.run(timedelta(minutes=10))
    assert world.successes == 1


def test_pause_of_an_account_without_a_top_up_is_wrong_usage(shell: Shell) -> None:
    assert shell.run("pause", "plain").exit_code == 2
    assert shell.run("pause", "nobody").exit_code == 2


def test_a_pause_before_the_first_start_holds(shell: Shell, tmp_path: Path) -> None:
    shell.path.write_text(CONFIG.format(store=tmp_path / "none.db", base="http://127.0.0.1:9", key="sk_test_123"))
    assert shell.run("resume").exit_code == 1
    assert shell.run("pause").stdout == "all accounts: paused\n"
    assert [stop["kind"] for stop in shell.json()["stops"]] == ["pause"]
    assert "ended the pause" in shell.run("resume").stdout


async def test_ack_closes_a_charge_whose_credit_a_person_has_seen(shell: Shell, daemon: Daemon, world: World) -> None:
    world.lost = True
    await daemon.run(timedelta(hours=3))
    result = await asyncio.to_thread(shell.run, "ack", "clips-1")
    assert result.exit_code == 0, result.output
    assert "taken as credited" in result.stdout
    assert daemon.states() == ["credited"]
    assert (await asyncio.to_thread(shell.run, "ack", "clips-1")).exit_code == 1


async def test_audit_agrees_after_a_good_life(shell: Shell, daemon: Daemon, world: World) -> None:
    await daemon.run(timedelta(hours=1))
    keep(daemon, world.read())
    result = await shell.with_stripe(world.stripe, ["audit"])
    assert result.exit_code == 0, result.output
    assert "1 charges, $50.00: all three agree" in result.stdout


async def test_audit_says_that_history_without_a_running_total_cannot_be_compared(
    shell: Shell, daemon: Daemon, world: World
) -> None:
    world.totals = False
    world.lost = True
    await daemon.run(timedelta(hours=1))
    await operator.acknowledge(daemon.service.context, "clips-1")
    world.clock.advance(timedelta(days=2).total_seconds())
    keep(daemon, world.read())
    result = await shell.with_stripe(world.stripe, ["audit"])
    assert result.exit_code == 0
    said = "ledger and Stripe agree; without a running total the balance history cannot be compared"
    assert f"1 charges, $50.00: {said}\n" in result.stdout
    document = json.loads((await shell.with_stripe(world.stripe, ["audit", "--json"])).stdout)[0]
    assert (document["uncompared"], document["findings"]) == (1, [])


async def test_a_running_total_that_began_anew_says_nothing_against_a_credit_that_was_seen(
    daemon: Daemon, world: World
) -> None:
    await daemon.run(timedelta(hours=1))
    assert daemon.states() == ["credited"]
    world.charged, world.balance = 0, 60 * DOLLAR
    keep(daemon, world.read())
    said = await audit(daemon.service.context, "clips")
    assert (said.findings, said.waiting, said.agreement) == ((), (), "all three agree")
    await daemon.run(timedelta(days=2), every=timedelta(hours=1))
    assert daemon.events_of("topup.needs_review") == []


async def test_a_credit_that_was_seen_and_taken_back_disagrees(shell: Shell, daemon: Daemon, world: World) -> None:
    keep(daemon, world.read())
    await daemon.run(timedelta(hours=1))
    assert daemon.states() == ["credited"]
    keep(daemon, world.read())
    world.burn(5 * DOLLAR)
    world.balance -= 50 * DOLLAR
    world.clock.advance(3600)
    keep(daemon, world.read())
    said = await audit(daemon.service.context, "clips")
    assert [finding.history for finding in said.findings] == ["funded $104.96, at least $154.96 expected"]
    result = await shell.with_stripe(world.stripe, ["audit"])
    assert result.exit_code == 1


async def test_a_total_that_began_anew_after_what_was_read_says_nothing_either(daemon: Daemon, world: World) -> None:
    keep(daemon, world.read())
    await daemon.run(timedelta(hours=1))
    keep(daemon, world.read())
    world.charged = 0
    world.clock.advance(3600)
    keep(daemon, world.read())
    assert (await audit(daemon.service.context, "clips")).findings == ()


async def test_explain_names_dollars_and_no_smaller_unit(shell: Shell, daemon: Daemon) -> None:
    await daemon.poll()
    result = await asyncio.to_thread(shell.run, "explain", "clips-1")
    assert "available below $10.00" in result.stdout
    assert "micro" not in result.stdout


async def test_audit_works_with_a_key_that_may_only_read(shell: Shell, daemon: Daemon, world: World) -> None:
    await daemon.run(timedelta(hours=1))
    world.stripe.keys["rk_test_9"] = frozenset({"payment_intents.read", "charges.read"})
    assert (await shell.with_stripe(world.stripe, ["audit"], "rk_test_9")).exit_code == 0


async def test_audit_shows_a_charge_that_the_ledger_does_not_know(shell: Shell, daemon: Daemon, world: World) -> None:
    await daemon.run(timedelta(hours=1))
    await daemon.restart(wipe=True)
    daemon.store.close()
    daemon._disks += 1
    daemon.start()
    shell.daemon = daemon
    result = await shell.with_stripe(world.stripe, ["audit"])
    assert result.exit_code == 1
    assert "unknown" in result.stdout
    assert "succeeded, $50.00" in result.stdout


async def test_audit_shows_a_charge_that_the_balance_does_not(shell: Shell, daemon: Daemon, world: World) -> None:
    world.lost = True
    await daemon.run(timedelta(hours=3))
    world.clock.advance(timedelta(days=1).total_seconds())
    keep(daemon, world.read())
    findings = json.loads((await shell.with_stripe(world.stripe, ["audit", "--json"])).stdout)[0]["findings"]
    assert [finding["topup"] for finding in findings] == ["clips-1"]
    assert "at least $154.96 expected" in findings[0]["history"]


@pytest.mark.long
async def test_the_daily_audit_tells_a_disagreement_once(daemon: Daemon, world: World) -> None:
    await daemon.run(timedelta(hours=1))
    world.stripe.books.intents[0].amount = 7000
    world.burn(5 * DOLLAR)
    await daemon.run(timedelta(days=3), every=timedelta(hours=1))
    told = [event["reason"] for event in daemon.events_of("topup.needs_review")]
    assert len(told) == 1
    assert told[0].startswith("audit:pi_")


@pytest.mark.long
async def test_an_audit_that_cannot_ask_stripe_is_told_daily_and_made_up_for(daemon: Daemon, world: World) -> None:
    await daemon.run(timedelta(hours=1))
    world.stripe.books.intents[0].amount = 7000
    outage = world.stripe.fail(Strike.DROP, "payment_intents.list", times=10_000)
    await daemon.run(timedelta(days=3), every=timedelta(hours=1))
    told = daemon.events_of("topup.suspended")
    days = {one["observed_at"][:10] for one in told}
    assert [one["reason"] for one in told] == ["stripe_unreachable"] * len(days)
    assert len(days) >= 3
    asked = [e.at for e in world.stripe.exchanges if e.endpoint == "payment_intents.list"][-50:]
    assert all(later - one >= timedelta(hours=1) for one, later in pairwise(asked))
    assert daemon.events_of("topup.needs_review") == []
    outage.times = 0
    await daemon.run(timedelta(hours=2))
    assert [event["reason"].partition(":")[0] for event in daemon.events_of("topup.needs_review")] == ["audit"]
    assert len(daemon.events_of("topup.suspended")) == len(told)
