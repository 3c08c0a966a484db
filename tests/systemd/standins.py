"""Runs inside the container: a usage API, Stripe, a receiver and a mail server, steered by a file of commands.

A line of /run/standins/commands is done once: `balance 4.50`, `silent`, `well`. What happened stands in state.json.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path

from alerts.model.money import from_cents
from daemon.clock import SystemClock
from daemon.demo.standins.mailbox import MailboxStandin
from daemon.demo.standins.receiver import ReceiverStandin
from daemon.demo.standins.stripe.standin import StripeStandin
from daemon.demo.standins.usage import Silence, UsageStandin

FOLDER = Path("/run/standins")
KEY = "cs_test_clips"


async def main(commands: Path) -> None:
    clock = SystemClock()
    usage = UsageStandin(clock, requests_per_minute=None)
    usage.prepaid(KEY, balance_usd="4.50", active_videos=0)
    stripe = StripeStandin(clock, credit=lambda one: usage.credit(KEY, f"{from_cents(one.amount) // 1_000_000}"))
    stripe.add_customer("cus_123", card="pm_123")
    async with AsyncExitStack() as stack:
        usage_url = await stack.enter_async_context(usage.serve())
        stripe_url = await stack.enter_async_context(stripe.serve())
        receiver = await stack.enter_async_context(ReceiverStandin())
        mailbox = await stack.enter_async_context(MailboxStandin())
        where = {"usage": usage_url, "stripe": stripe_url, "hook": receiver.url, "mail": mailbox.port}
        (FOLDER / "where.json").write_text(json.dumps(where))
        done = 0
        while True:
            lines = commands.read_text().splitlines()  # noqa: ASYNC240 – a small file, in a test
            for line in lines[done:]:
                match line.split():
                    case ["balance", amount]:
                        usage.prepaid(KEY, balance_usd=amount, active_videos=0)
                    case ["silent"]:
                        usage.fail(KEY, Silence(), times=1000)
                    case ["well"]:
                        usage.heal(KEY)
            done = len(lines)
            state = {
                "asked": usage.asked[KEY],
                "charges": len(stripe.successes()),
                "events": [one.payload["type"] for one in receiver.accepted],
                "mails": len(mailbox.kept),
                "done": done,
            }
            part = FOLDER / "state.part"
            part.write_text(json.dumps(state))
            part.rename(FOLDER / "state.json")
            await asyncio.sleep(0.2)


FOLDER.mkdir(exist_ok=True)
(FOLDER / "commands").touch()
asyncio.run(main(FOLDER / "commands"))
