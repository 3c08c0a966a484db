"""Record the example of every event type: `python -m tests.events.record` writes `docs/events.json`.

An example is the first event of its type that the stories tell, as the service sent it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from alerts.model.events import EventType
from tests.events.stories import STORIES, Story, told
from tests.helpers_events import EXAMPLES
from tests.service.conftest import open_town

Body = dict[str, Any]


async def live(story: Story, folder: Path) -> list[Body]:
    """Live through a story in an empty folder; returns what was told, in order."""
    async with open_town(folder, STORIES[story]) as town:
        await story(town)
        return [json.loads(body) for body in told(town)]


def first_of_each(bodies: Sequence[Body]) -> dict[str, Body]:
    """Return the first event of every type, in the catalogue's order. Raises KeyError for a type that is not told."""
    found: dict[str, Body] = {}
    for body in bodies:
        found.setdefault(body["type"], body)
    return {type.value: found[type.value] for type in EventType}


async def main() -> None:
    """Live through all stories and write the examples."""
    bodies = []
    for story in STORIES:
        with TemporaryDirectory() as folder:
            bodies += await live(story, Path(folder))
    EXAMPLES.write_text(json.dumps(first_of_each(bodies), ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main())
