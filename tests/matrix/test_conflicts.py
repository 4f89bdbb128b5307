"""What could still break a combination, depending on packages that it does not name."""

from __future__ import annotations

from typing import Any

import pytest

from tests.facts import cell, matrix
from vc2doctor.matrix.compiled import Constraint
from vc2doctor.matrix.conflicts import PossibleConflict, possible_conflicts
from vc2doctor.matrix.known_issue import KnownIssue
from vc2doctor.matrix.verdict import Combination

STACK = {"torch": "2.13.0", "transformers": "4.40.1", "peft": "0.10.0"}


def issue(*when: dict[str, str], **fields: Any) -> KnownIssue:  # noqa: ANN401
    defaults: dict[str, Any] = {
        "id": "planted",
        "title": "a planted issue",
        "severity": "error",
        "explanation": "x",
        "symptom": "nosuch",
        "fix": [["torch>=2.14"]],
        "sources": ["https://example.org/1"],
        "evidence": "None.",
        "when": when,
    }
    return KnownIssue.model_validate({**defaults, **fields})


def constraint(when: dict[str, str], **fields: Any) -> Constraint:  # noqa: ANN401
    return Constraint(**{"id": "planted", "kind": "symbol", "reason": "a planted constraint", "when": when, **fields})


def conflicts(
    *knowledge: KnownIssue | Constraint,
    doors: tuple[str, ...] = (),
    recipe: str = "bf16",
    installed: bool = False,
    versions: dict[str, str] | None = None,
) -> list[tuple[str, str]]:
    empty = matrix(cell("2.13.0", "4.40.1", "0.10.0"))
    constraints = tuple(each for each in knowledge if isinstance(each, Constraint))
    issues = tuple(each for each in knowledge if isinstance(each, KnownIssue))
    verdicts = empty.verdicts.model_copy(update={"constraints": constraints})
    known = empty.model_copy(update={"issues": issues, "verdicts": verdicts})
    combination = Combination(python="3.11", versions={**STACK, **(versions or {})}, installed=installed)
    return [(each.where, each.reason) for each in possible_conflicts(combination, known, recipe, doors)]


OPEN = {"transformers": ">=4.40", "accelerate": "<0.21"}


def test_region_that_needs_a_package_which_is_not_named_is_a_conflict() -> None:
    assert conflicts(issue(OPEN)) == [("with accelerate <0.21", "a planted issue")]
    ((where, reason),) = conflicts(constraint(OPEN))
    assert where == "with accelerate <0.21"
    assert "a planted constraint" in reason


def test_each_alternative_of_an_issue_counts() -> None:
    found = conflicts(issue(OPEN, {"peft": "<0.11", "numpy": ">=2", "scipy": "absent"}))
    assert [where for where, _ in found] == ["with accelerate <0.21", "with numpy >=2 and without scipy"]


@pytest.mark.parametrize(
    ("when", "versions"),
    [
        ({"transformers": ">=4.41", "accelerate": "<0.21"}, {}),
        (OPEN, {"accelerate": "1.0"}),
        (OPEN, {"accelerate": "0.20"}),
        ({"transformers": ">=4.40"}, {}),
        ({"accelerate": "<0.21"}, {}),
    ],
)
def test_region_without_a_match_or_without_an_open_package_is_none(
    when: dict[str, str], versions: dict[str, str]
) -> None:
    assert conflicts(issue(when), constraint(when), versions=versions) == []


def test_complete_environment_leaves_nothing_open() -> None:
    assert conflicts(issue(OPEN), constraint(OPEN), installed=True) == []


def test_only_errors_and_warnings_under_the_recipe_count() -> None:
    assert conflicts(issue(OPEN, severity="note")) == []
    assert conflicts(issue(OPEN, recipes=["fp16-scaled"]), constraint(OPEN, recipes=("fp16-scaled",))) == []
    assert (
        len(
            conflicts(
                issue(OPEN, recipes=["fp16-scaled"]), constraint(OPEN, recipes=("fp16-scaled",)), recipe="fp16-scaled"
            )
        )
        == 2
    )


def test_constraint_of_a_door_counts_for_those_that_pass_it() -> None:
    behind = constraint(OPEN, door="trainer")
    assert conflicts(behind) == []
    assert len(conflicts(behind, doors=("trainer",))) == 1
    # TRL's SFTTrainer is one of transformers' Trainers.
    assert len(conflicts(behind, doors=("sft",))) == 1
    assert conflicts(behind, doors=("accelerate",)) == []


def test_missing_package_of_any_version_is_described() -> None:
    assert PossibleConflict(missing={"a": ""}, reason="x").where == "with a (any version)"
