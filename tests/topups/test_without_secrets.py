"""What a person says where the secrets are the unit's: a word for a charge needs none; the rest says what to type."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import Result

from daemon.config.load import ConfigError
from daemon.demo.standins.stripe import Strike
from tests.helpers_topup_shell import Shell, keep
from tests.helpers_topups import Daemon, World


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


def named(shell: Shell) -> None:
    """Every secret is a credential of the unit."""
    shell.edit('"sk_test_123"', '"credential:STRIPE_API_KEY"')
    shell.edit('"cs_test_clips"', '"credential:CONTENTSTATS_API_KEY"')


def refusal(result: Result) -> str:
    assert isinstance(result.exception, ConfigError), result.output
    return str(result.exception)


async def test_a_charge_is_taken_as_credited_where_no_secret_is_at_hand(
    shell: Shell, daemon: Daemon, world: World
) -> None:
    world.lost = True
    await daemon.run(timedelta(hours=3))
    named(shell)
    result = await asyncio.to_thread(shell.run, "ack", "clips-1")
    assert (result.exit_code, daemon.states()) == (0, ["credited"]), result.output
    result = await asyncio.to_thread(shell.run, "ack", "clips-1")
    assert result.exit_code == 1
    assert "clips-1 is credited: only paid and needs_review are acknowledged" in result.stderr
    result = await asyncio.to_thread(shell.run, "ack", "clips-2")
    assert "there is no top-up clips-2" in result.stderr


async def test_what_has_to_ask_stripe_says_what_to_type_and_wants_no_other_secret(
    shell: Shell, daemon: Daemon, world: World
) -> None:
    world.stripe.fail(Strike.UNEXPECTED_STATE, "payment_intents.confirm", times=1)
    await daemon.run(timedelta(minutes=10))
    assert daemon.states() == ["needs_review"]
    named(shell)
    for words in (["ack", "clips-1"], ["audit"]):
        said = refusal(await asyncio.to_thread(shell.run, *words))
        assert "1 error\n" in said
        assert "stripe.api_key: there is no credential STRIPE_API_KEY" in said
        assert "in a shell, as root: CREDENTIALS_DIRECTORY=/etc/brimful/secrets brimful …" in said
        assert "CONTENTSTATS" not in said
    assert daemon.states() == ["needs_review"]


async def test_what_the_error_says_to_type_works(
    shell: Shell, daemon: Daemon, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await daemon.run(timedelta(hours=1))
    keep(daemon, world.read())
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "STRIPE_API_KEY").write_text("sk_test_123\n")
    monkeypatch.setitem(os.environ, "CREDENTIALS_DIRECTORY", str(tmp_path / "secrets"))
    result = await shell.with_stripe(world.stripe, ["audit"], key="credential:STRIPE_API_KEY")
    assert result.exit_code == 0, result.output
    assert "all three agree" in result.stdout
