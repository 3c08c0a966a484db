"""What a person says on the command line, and what they are told in return: resume, ack, and the audit after it."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from typer.testing import Result

from daemon.clock import SystemClock
from daemon.commands import operator
from daemon.demo.standins.stripe import Strike, declined
from daemon.reconcile.audit import audit as audit_account
from tests.helpers_topup_shell import Shell, keep
from tests.helpers_topups import DOLLAR, Daemon, World, topup_config


def stop(daemon: Daemon, world: World) -> None:
    world.stripe.method("pm_1").outcome = declined("stolen_card")


# ── resume ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_resume_without_an_account_names_what_is_suspended_and_the_command(
    shell: Shell, daemon: Daemon, world: World
) -> None:
    stop(daemon, world)
    await daemon.run(timedelta(minutes=30))
    result = shell.run("resume")
    assert result.exit_code == 1
    assert "clips: still suspended (declined: stolen_card: Your card was declined.)" in result.stdout
    assert result.stdout.rstrip().endswith("brimful topups resume clips")
    assert shell.json()["stops"][0]["reason"] == "declined"


async def test_resume_of_the_account_then_ends_it(shell: Shell, daemon: Daemon, world: World) -> None:
    stop(daemon, world)
    await daemon.run(timedelta(minutes=30))
    result = shell.run("resume", "clips")
    assert result.exit_code == 0
    assert result.stdout == "clips: ended the suspension: declined\n"
    assert shell.run("resume").stdout == "all accounts: nothing was paused or suspended\n"


async def test_resume_ends_the_pause_over_all_and_still_names_an_account_s_own(shell: Shell) -> None:
    shell.run("pause")
    shell.run("pause", "clips")
    result = shell.run("resume")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "all accounts: ended the pause: paused by a person",
        "clips: still paused: brimful topups resume clips",
    ]


async def test_resume_of_an_account_says_that_all_are_paused(shell: Shell) -> None:
    shell.run("pause")
    result = shell.run("resume", "clips")
    assert result.exit_code == 1
    assert result.stdout == "all accounts: still paused: brimful topups resume\n"


async def test_resume_says_that_a_refused_key_mends_itself(shell: Shell, daemon: Daemon, world: World) -> None:
    world.stripe.keys.clear()
    await daemon.poll()
    result = shell.run("resume")
    assert result.exit_code == 1
    assert "ends by itself when Stripe answers the key" in result.stdout
    assert "brimful topups resume" not in result.stdout


async def test_resume_names_the_customer_that_has_to_be_acknowledged(
    shell: Shell, daemon: Daemon, world: World
) -> None:
    await daemon.run(timedelta(hours=1))
    world.stripe.add_customer("cus_new", card="pm_new")
    world.stripe.books.customer("cus_1").deleted = True
    await daemon.restart(topup=topup_config(customer="cus_new", payment_method="pm_new"))
    assert shell.run("resume").stdout.rstrip().endswith("brimful topups ack cus_1)")


# ── ack ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def acked(shell: Shell, daemon: Daemon, world: World) -> None:
    """A charge whose credit is lost was acknowledged by a person."""
    world.lost = True
    await daemon.run(timedelta(hours=3))
    keep(daemon, world.read())
    await operator.acknowledge(daemon.service.context, "clips-1")


async def test_an_acknowledged_credit_is_told_with_who_said_so(shell: Shell, daemon: Daemon, world: World) -> None:
    await acked(shell, daemon, world)
    [told] = daemon.events_of("topup.credited")
    assert told["credited_by"] == "a person"
    assert daemon.events() == ["topup.planned", "topup.succeeded", "topup.not_credited", "topup.credited"]
    world.lost = False
    await daemon.run(timedelta(hours=2))
    assert daemon.events().count("topup.credited") == 2
    assert [one["credited_by"] for one in daemon.events_of("topup.credited")] == ["a person", "the balance"]


async def test_ack_takes_a_word_on_the_command_line_and_says_no_to_what_it_cannot(
    shell: Shell, daemon: Daemon, world: World
) -> None:
    world.stripe.next_outcome("pm_1", declined("insufficient_funds"))
    await daemon.run(timedelta(minutes=10))
    result = await asyncio.to_thread(shell.run, "ack", "clips-1")
    assert result.exit_code == 1
    assert "clips-1 is retry_wait: only paid and needs_review are acknowledged" in result.stderr
    result = await asyncio.to_thread(shell.run, "ack", "clips-7")
    assert result.exit_code == 1
    assert "there is no top-up clips-7" in result.stderr


# ── audit ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def audit(shell: Shell, world: World) -> tuple[Result, dict[str, Any]]:
    screen = await shell.with_stripe(world.stripe, ["audit"])
    said = await shell.with_stripe(world.stripe, ["audit", "--json"])
    assert screen.exit_code == said.exit_code
    return screen, json.loads(said.stdout)[0]


async def test_a_charge_waits_for_its_credit_before_the_audit_disagrees(
    shell: Shell, daemon: Daemon, world: World
) -> None:
    world.lost = True
    world.clock.set(SystemClock().now())
    await daemon.poll()
    keep(daemon, world.read())
    screen, said = await audit(shell, world)
    assert screen.exit_code == 0
    assert "all three agree, 1 still waiting for the credit" in screen.stdout
    assert "Waiting for the credit" in screen.stdout
    assert [(one["topup"], one["ledger"]) for one in said["waiting"]] == [("clips-1", "paid, $50.00")]
    world.clock.advance(timedelta(hours=2).total_seconds())
    keep(daemon, world.read())
    later = await audit_account(daemon.service.context, "clips")
    assert [one.topup for one in later.findings] == ["clips-1"]
    assert later.waiting == ()


async def test_a_person_s_word_waits_for_the_reading_that_shows_it(shell: Shell, daemon: Daemon, world: World) -> None:
    await acked(shell, daemon, world)
    screen, said = await audit(shell, world)
    assert screen.exit_code == 0
    assert "a person said that it was credited; funded $104.96" in said["waiting"][0]["history"]
    world.clock.advance(600)
    world.balance += 50 * DOLLAR
    keep(daemon, world.read())
    screen, said = await audit(shell, world)
    assert (screen.exit_code, said["waiting"], said["findings"]) == (0, [], [])
    assert "1 charges, $50.00: all three agree\n" in screen.stdout


@pytest.mark.long
async def test_a_word_that_two_hours_of_readings_do_not_bear_out_is_a_disagreement_and_told_once(
    shell: Shell, daemon: Daemon, world: World
) -> None:
    await acked(shell, daemon, world)
    world.balance = 500 * DOLLAR
    world.charged -= 500 * DOLLAR
    world.clock.advance(timedelta(hours=6).total_seconds())
    assert (await audit(shell, world))[0].exit_code == 0, "no reading was made since"
    keep(daemon, world.read())
    screen, said = await audit(shell, world)
    assert screen.exit_code == 1
    assert said["findings"][0]["ledger"] == "credited, $50.00"
    await daemon.run(timedelta(days=3), every=timedelta(hours=1))
    [told] = daemon.events_of("topup.needs_review")
    assert told["reason"].startswith("audit:pi_")
    assert told["command"] == "brimful topups audit clips"


async def test_a_word_and_a_later_charge_agree_once_both_credits_are_there(
    shell: Shell, daemon: Daemon, world: World
) -> None:
    await acked(shell, daemon, world)
    world.lost = False
    await daemon.run(timedelta(hours=2))
    keep(daemon, world.read())
    screen, said = await audit(shell, world)
    assert daemon.states() == ["credited", "credited"]
    assert [one["topup"] for one in said["waiting"]] == [], "two hours of readings are over"
    assert [one["topup"] for one in said["findings"]] == ["clips-1"]
    world.balance += 50 * DOLLAR
    world.clock.advance(300)
    keep(daemon, world.read())
    screen, said = await audit(shell, world)
    assert (screen.exit_code, said["findings"]) == (0, [])


async def test_an_audit_that_cannot_ask_stripe_fails_and_says_why(shell: Shell, daemon: Daemon, world: World) -> None:
    await daemon.run(timedelta(hours=1))
    world.stripe.fail(Strike.DROP, "payment_intents.list", times=2)
    screen, said = await audit(shell, world)
    assert screen.exit_code == 1
    assert "Stripe could not be asked" in screen.stdout
    assert said["failure"]


async def test_a_word_does_not_overrun_what_the_daemon_did_meanwhile(daemon: Daemon, world: World) -> None:
    world.lost = True
    await daemon.run(timedelta(hours=1))
    world.balance += 50 * DOLLAR
    await daemon.poll()
    with pytest.raises(operator.NothingToSay, match="clips-1 is credited"):
        await operator.acknowledge(daemon.service.context, "clips-1")
