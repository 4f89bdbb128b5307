"""The base classes of facts and reports: what is made here is trusted, what is read is validated."""

from __future__ import annotations

from functools import cached_property

import pytest
from pydantic import Field, ValidationError

from vc2doctor.core.data import Data, OwnData


class Made(OwnData):
    """What the doctor makes."""

    name: str
    numbers: tuple[int, ...] = ()
    by_name: dict[str, int] = Field(default_factory=dict)

    @cached_property
    def total(self) -> int:
        """The sum of the numbers."""
        return sum(self.numbers)


class Around(Data):
    """Data that is read, with such data in it."""

    made: Made


def test_what_the_doctor_makes_has_all_its_fields_and_no_validator() -> None:
    made = Made(name="a", numbers=(1, 2))
    assert (made.name, made.numbers, made.by_name) == ("a", (1, 2), {})
    assert made.model_fields_set == {"name", "numbers"}
    assert made == Made(name="a", numbers=(1, 2))
    assert not Made.__pydantic_complete__


def test_own_data_is_frozen_and_copied_as_other_data() -> None:
    made = Made(name="a")
    with pytest.raises(ValidationError, match="frozen"):
        made.name = "b"  # type: ignore[misc]
    assert made.model_copy(update={"name": "b"}) == Made(name="b")


def test_copy_with_other_values_computes_its_properties_again() -> None:
    made = Made(name="a", numbers=(1, 2))
    assert made.total == 3
    copy = made.model_copy(update={"numbers": (4,)})
    assert (copy.total, made.total) == (4, 3)


def test_own_data_that_is_read_is_validated() -> None:
    assert Made.model_validate({"name": "a", "numbers": [1]}).numbers == (1,)
    assert Around.model_validate_json('{"made": {"name": "a", "numbers": [1]}}').made == Made(name="a", numbers=(1,))
    for wrong in ({"name": 1}, {"name": "a", "numbers": ["x"]}, {"name": "a", "nme": "b"}, {}):
        with pytest.raises(ValidationError):
            Made.model_validate(wrong)
        with pytest.raises(ValidationError):
            Around.model_validate({"made": wrong})


def test_own_data_is_written_as_other_data() -> None:
    assert Made(name="a", numbers=(1,)).model_dump(mode="json") == {"name": "a", "numbers": [1], "by_name": {}}
