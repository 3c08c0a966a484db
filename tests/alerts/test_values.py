"""Values that are quickly made are frozen dataclasses in every other way."""

import copy
import pickle
from dataclasses import FrozenInstanceError, dataclass, field, fields, replace
from typing import Any

import pytest

from alerts.readings import Known, Metrics
from alerts.state import AccountState
from alerts.values import quickly_made
from tests.helpers_alerts import START


@quickly_made
@dataclass(frozen=True, slots=True)
class Quick:
    """A value with a field of every sort."""

    name: str
    count: int = 3
    notes: list[str] = field(default_factory=list)
    aside: int = field(default=0, compare=False)

    @property
    def twice(self) -> int:
        return 2 * self.count


def test_no_field_can_be_set_or_deleted_once_it_is_made() -> None:
    made = Quick("a")
    with pytest.raises(FrozenInstanceError):
        made.count = 4  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        del made.name
    with pytest.raises((AttributeError, TypeError)):
        made.other = 1  # type: ignore[attr-defined]
    known = Known("clips", START, Metrics())
    with pytest.raises(FrozenInstanceError):
        known.account = "other"  # type: ignore[misc]


def test_fields_that_are_not_said_have_their_defaults_and_nothing_is_shared() -> None:
    made, other = Quick("a"), Quick("a")
    assert (made.count, made.notes, made.aside) == (3, [], 0)
    assert made.notes is not other.notes
    assert Quick("a", 5, ["b"]).notes == ["b"]
    assert Quick(name="a", count=5) == Quick("a", 5)
    assert AccountState.new("clips").rules == {}


def test_what_cannot_be_made_is_refused() -> None:
    some: tuple[list[Any], ...] = ([], ["a", 1, [], 0, 5])
    for wrong in some:
        with pytest.raises(TypeError):
            Quick(*wrong)
    with pytest.raises(TypeError):
        Quick("a", cuont=4)  # type: ignore[call-arg]


def test_it_is_of_its_own_class_and_compares_hashes_and_reads_like_any_other() -> None:
    made = Quick("a", 4, aside=1)
    assert type(made) is Quick
    assert made == Quick("a", 4, aside=2)
    assert made != Quick("a", 5)
    assert repr(made) == "Quick(name='a', count=4, notes=[], aside=1)"
    assert made.twice == 8
    assert [each.name for each in fields(made)] == ["name", "count", "notes", "aside"]
    assert hash(Known("clips", START, Metrics())) == hash(Known("clips", START, Metrics()))


def test_it_can_be_replaced_copied_and_sent_elsewhere() -> None:
    made = Quick("a", 4, ["b"], 7)
    assert replace(made, count=9) == Quick("a", 9, ["b"])
    for again in (copy.copy(made), copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert again == made
        assert again.aside == 7
        assert type(again) is Quick
