"""A usage API and a receiver of webhooks on this machine, to try Brimful against: `python -m daemon.demo.local`.

The API knows one prepaid account, of the key `cs_test_local`: $12.45, three videos tracked. The receiver verifies what
it gets and prints it. Both run until they are interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal

from daemon.clock import SystemClock
from daemon.demo.standins.receiver import TEST_SECRET, Received, ReceiverStandin
from daemon.demo.standins.usage import UsageStandin

KEY = "cs_test_local"


def _show(received: Received) -> None:
    verified = "verified" if received.verified else "NOT VERIFIED"
    print(f"the receiver got, {verified}: {json.dumps(received.payload, indent=1)}", flush=True)


async def serve(api_port: int, receiver_port: int) -> None:
    """Serve both until SIGINT or SIGTERM."""
    usage, ended = UsageStandin(SystemClock()), asyncio.Event()
    usage.prepaid(KEY, balance_usd="12.45", active_videos=3)
    receiver = ReceiverStandin(on_event=_show)
    receiver.port = receiver_port
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with usage.serve(port=api_port) as api, receiver:
        print(f"a usage API at {api}, its key {KEY}: $12.45 are left", flush=True)
        print(f"a receiver at {receiver.url}, its secret {TEST_SECRET}", flush=True)
        await ended.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--api-port", type=int, default=9810)
    parser.add_argument("--receiver-port", type=int, default=9811)
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(options.api_port, options.receiver_port))


if __name__ == "__main__":
    main()
