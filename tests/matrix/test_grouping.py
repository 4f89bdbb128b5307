"""Lists of an answer: possible conflicts by package, and measured cells of neighboring releases."""

from __future__ import annotations

from tests.facts import SHIPPED, cell, matrix
from vc2doctor.matrix.grouping import joined_conflicts
from vc2doctor.matrix.judge import Combination, PossibleConflict, nearest_cells, possible_conflicts


def conflict(reason: str, **missing: str) -> PossibleConflict:
    return PossibleConflict(missing=missing, reason=reason)


def test_conflicts_that_concern_the_same_releases_are_one_entry() -> None:
    joined = joined_conflicts(
        [conflict("an issue", accelerate="<0.21"), conflict("a symbol; and cells", accelerate="<=0.20.3")],
        SHIPPED,
        by_reason=True,
    )
    assert [(each.where, each.reasons) for each in joined] == [("accelerate up to 0.20.3", ("an issue", "a symbol"))]


def test_a_conflict_whose_releases_another_includes_is_left_out() -> None:
    conflicts = [conflict("a", accelerate="<0.21"), conflict("b", accelerate="<0.32")]
    (joined,) = joined_conflicts(conflicts, SHIPPED, by_reason=True)
    assert (joined.where, joined.reasons) == ("accelerate up to 0.31.0", ("b",))


def test_without_reasons_a_package_is_one_entry_with_ranges() -> None:
    releases = SHIPPED.verdicts.releases["torchvision"]
    conflicts = [conflict(f"wants {text}", torchvision=f"=={text}") for text in releases if text != "0.20.1"]
    (joined,) = joined_conflicts(conflicts, SHIPPED, by_reason=False)
    assert joined.releases == ("up to 0.20.0", "0.21.0 and newer")


def test_releases_that_no_list_knows_are_told_as_specifiers() -> None:
    conflicts = [conflict("a", apex="<0.45.1"), conflict("b", setuptools="absent")]
    joined = joined_conflicts(conflicts, SHIPPED, by_reason=False)
    assert [each.where for each in joined] == ["apex <0.45.1", "without setuptools"]


def test_conflicts_of_two_packages_stay_together() -> None:
    (joined,) = joined_conflicts([conflict("a", torch="==1.13.*", jinja2="absent")], SHIPPED, by_reason=True)
    assert joined.where == "torch ==1.13.* and without jinja2"


def test_every_package_of_a_real_answer_has_one_entry() -> None:
    versions = {"torch": "2.5.1", "transformers": "4.57.3", "peft": "0.11.1"}
    conflicts = possible_conflicts(Combination(python=None, versions=versions, installed=False), SHIPPED, "bf16")
    joined = joined_conflicts(conflicts, SHIPPED, by_reason=False)
    assert len(joined) == len({tuple(each.missing) for each in conflicts}) < len(conflicts)


def test_neighboring_cells_with_the_same_outcome_share_a_line() -> None:
    knowledge = matrix(*(cell("2.5.0", f"4.{minor}.0", "0.12.0") for minor in (40, 41, 42)))
    asked = Combination(python="3.11", versions={"torch": "2.5.0", "transformers": "4.41.0", "peft": "0.12.0"})
    assert nearest_cells(asked, knowledge.verdicts, "bf16") == [
        "Python 3.11, torch 2.5.0, transformers 4.40.0 to 4.42.0, peft 0.12.0: trains under bf16"
    ]


def test_cells_with_a_known_release_between_that_was_not_measured_stay_apart() -> None:
    knowledge = matrix(*(cell("2.5.0", f"4.{minor}.0", "0.12.0") for minor in (40, 41, 42)))
    verdicts = knowledge.verdicts.model_copy(
        update={"cells": tuple(each for each in knowledge.verdicts.cells if each.transformers != "4.41.0")}
    )
    asked = Combination(python="3.11", versions={"torch": "2.5.0", "transformers": "4.41.0", "peft": "0.12.0"})
    assert len(nearest_cells(asked, verdicts, "bf16")) == 2
