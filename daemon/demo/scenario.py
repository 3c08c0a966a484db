"""The scenario: three accounts, one October in Berlin, and the scripted events, by date."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from alerts.model.money import MICRO
from daemon.demo.standins.stripe import declined
from daemon.demo.standins.usage import ALWAYS, Status
from daemon.demo.world import World

ZONE = ZoneInfo("Europe/Berlin")
START = datetime(2026, 10, 1, tzinfo=ZONE).astimezone(UTC)
END = datetime(2026, 11, 1, 9, tzinfo=ZONE).astimezone(UTC)

CLIPS_VIDEOS, BURST_VIDEOS, SEARCH_VIDEOS = 14, 84, 6
STORAGE_LIMIT_GB = 1024
PREPAID = ("clips", "search")

CONFIG = """\
# The configuration of the demonstration, as an operator would write it. Keys are the stand-ins'.
timezone = "Europe/Berlin"

[store]
{store}

[stripe]
api_key = "sk_test_123"
mode = "test"
api_base = "{stripe}"

[smtp]
host = "127.0.0.1"
port = {smtp_port}
sender = "Brimful <brimful@example.com>"

[http]
listen = ""

[accounts.clips]
provider = "contentstats"
base_url = "{usage}"
api_key = "cs_test_clips"
poll = "*/15 * * * *"
label = "Video tracking"

[accounts.clips.topup]
when_below_usd = 10.00
amount_usd = 50.00
customer = "cus_clips"
max_charge_usd = 50.00
max_per_day_usd = 100.00
max_per_month_usd = 300.00

[accounts.search]
provider = "contentstats"
base_url = "{usage}"
api_key = "cs_test_search"
poll = "*/15 * * * *"
label = "Search index"

[accounts.search.topup]
when_below_usd = 10.00
amount_usd = 25.00
customer = "cus_search"
max_charge_usd = 25.00
max_per_day_usd = 50.00
max_per_month_usd = 150.00

[accounts.media]
provider = "tornado"
base_url = "{usage}"
api_key = "trn_test_media"
poll = "*/15 * * * *"
label = "Media storage"

[[rules]]
id = "low"
kind = "low_balance"
below_usd = 12.00

[[rules]]
id = "quota"
kind = "quota"
at_percent = [80, 90, 100]
remind_every = "7d"

[[rules]]
id = "budget"
kind = "budget"
accounts = ["clips"]
period = "month"
limit_usd = 160.00
at_percent = [50, 80, 100]

[[webhooks]]
id = "app"
url = "{receiver}"
secret = "{secret}"
allow_http = true

[[emails]]
id = "ops"
to = ["ops@example.com"]

[[reports]]
id = "finance"
period = "month"
cron = "0 8 1 * *"
to = ["finance@example.com"]
"""


@dataclass(frozen=True, slots=True)
class ScriptedEvent:
    """Something that happens in the stand-ins at a given time."""

    at: datetime
    says: str
    do: Callable[[World], None]


def set_up_world(world: World) -> None:
    """Create the balances, cards and storage at the start."""
    world.prepaid("clips", balance_usd="38.50", total_charged_usd="1482.30", active_videos=CLIPS_VIDEOS)
    world.prepaid("search", balance_usd="21.00", total_charged_usd="310.05", active_videos=SEARCH_VIDEOS)
    world.storage("media", used_gb="655.20", limit_gb=STORAGE_LIMIT_GB, grows_gb_per_hour="0.522")
    world.card("cus_clips", "pm_clips")
    world.card("cus_search", "pm_old", outcome=declined("expired_card"))


def _on(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 10, day, hour, minute, tzinfo=ZONE).astimezone(UTC)


def _burst(world: World) -> None:
    world.accounts["clips"].active_videos = BURST_VIDEOS


def _calm(world: World) -> None:
    world.accounts["clips"].active_videos = CLIPS_VIDEOS


def _outage(world: World) -> None:
    for account in PREPAID:
        world.usage.fail(world.keys[account], Status(503, "upstream is not available"), times=ALWAYS)


def _back(world: World) -> None:
    for account in PREPAID:
        world.usage.heal(world.keys[account])


def _new_card(world: World) -> None:
    world.card("cus_search", "pm_new")


def _jobs_run(world: World) -> None:
    world.media.reserved = 4 * MICRO


def _jobs_end(world: World) -> None:
    world.media.reserved = 0


CARD_REPLACED_AT = _on(7, 10)
OUTAGE_FROM, OUTAGE_TO = _on(20, 2), _on(20, 8)

SCRIPT: tuple[ScriptedEvent, ...] = (
    ScriptedEvent(CARD_REPLACED_AT, "a person saves a new card for Search index", _new_card),
    ScriptedEvent(_on(12, 9), "84 videos go viral: six times the usual burn", _burst),
    ScriptedEvent(_on(13, 9), "the burst is over", _calm),
    ScriptedEvent(_on(16, 10), "large jobs reserve storage", _jobs_run),
    ScriptedEvent(_on(16, 18), "the jobs end", _jobs_end),
    ScriptedEvent(OUTAGE_FROM, "the usage API answers 503", _outage),
    ScriptedEvent(OUTAGE_TO, "the usage API is back", _back),
)
