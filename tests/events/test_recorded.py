"""The documented examples are events that the service sent: the stories are lived again, and they are the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from alerts.model.events import EventType
from tests.events.record import first_of_each, live
from tests.events.stories import STORIES, Story
from tests.helpers_events import examples, wrong


@pytest.fixture
def folders(tmp_path: Path) -> dict[Story, Path]:
    made = {story: tmp_path / story.__name__ for story in STORIES}
    for folder in made.values():
        folder.mkdir()
    return made


@pytest.mark.timeout(180)
async def test_every_example_is_the_first_event_of_its_type_that_the_stories_tell(folders: dict[Story, Path]) -> None:
    told = [body for story, folder in folders.items() for body in await live(story, folder)]
    assert [found for body in told for found in wrong(json.dumps(body).encode())] == []
    assert first_of_each(told) == examples(), "make generate"


def test_there_is_an_example_of_every_type_and_of_no_other() -> None:
    assert list(examples()) == [type.value for type in EventType]
