"""Which doors matter to a check."""

from __future__ import annotations

from vc2doctor.commands.chosen_doors import doors_that_matter
from vc2doctor.commands.report import CodeReading
from vc2doctor.target.doors import DEFAULT_DOORS

BARE = ("torch", "transformers")


def test_trainer_matters_where_no_code_was_read() -> None:
    assert doors_that_matter(None, CodeReading(), BARE, knows_architecture=True) == DEFAULT_DOORS == ("trainer",)


def test_code_that_trains_by_itself_needs_no_accelerate() -> None:
    own = CodeReading(path="train.py")
    assert doors_that_matter(None, own, BARE, knows_architecture=True) == ()
    assert doors_that_matter(None, own, (*BARE, "accelerate"), knows_architecture=True) == ("trainer",)


def test_a_missing_package_is_a_fault_of_doors_that_are_asked_for_used_or_possible() -> None:
    used = CodeReading(path="train.py", doors=("trainer",))
    assert doors_that_matter(None, used, BARE, knows_architecture=True) == ("trainer",)
    unread = CodeReading(path="train.py", unread=("train.py imports modules by names that only a run knows.",))
    assert doors_that_matter(None, unread, BARE, knows_architecture=True) == ("trainer",)
    own = CodeReading(path="train.py")
    assert doors_that_matter(("trainer", "loop"), own, BARE, knows_architecture=True) == ("trainer",)


def test_doors_that_need_an_architecture_are_left_out_without_one() -> None:
    code = CodeReading(path="train.py", doors=("trainer", "targets"))
    assert doors_that_matter(None, code, BARE, knows_architecture=False) == ("trainer",)
    assert doors_that_matter(None, code, BARE, knows_architecture=True) == ("trainer", "targets")
