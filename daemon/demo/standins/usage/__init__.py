"""A stand-in for both usage APIs: accounts that burn, fill and are credited on a shared clock, and fail on command.

standin = UsageStandin(clock)
clips = standin.prepaid("cs_test_clips", balance_usd="12.45", active_videos=3)
media = standin.storage("trn_test_media", used_gb="942.08", limit_gb="1024")
standin.fail("cs_test_clips", Html(), times=2)
standin.credit("cs_test_clips", "50.00", visible_after=timedelta(minutes=20))

async with standin.serve() as base_url:      # real sockets: each API at the path of its page
    ...
http = HttpClient(transport=standin.transport())   # or without a socket
"""

from daemon.demo.standins.usage.faults import (
    BadJson,
    Cut,
    Disconnect,
    Drip,
    Fault,
    Html,
    Lie,
    Missing,
    NotHttp,
    OverLong,
    RateLimited,
    Redirect,
    Silence,
    Slow,
    Status,
)
from daemon.demo.standins.usage.prepaid import PrepaidAccount
from daemon.demo.standins.usage.standin import ALWAYS, UsageStandin
from daemon.demo.standins.usage.storage import KeyType, StorageAccount

__all__ = [
    "ALWAYS",
    "BadJson",
    "Cut",
    "Disconnect",
    "Drip",
    "Fault",
    "Html",
    "KeyType",
    "Lie",
    "Missing",
    "NotHttp",
    "OverLong",
    "PrepaidAccount",
    "RateLimited",
    "Redirect",
    "Silence",
    "Slow",
    "Status",
    "StorageAccount",
    "UsageStandin",
]
