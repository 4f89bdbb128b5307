"""The smallest change to a measured set, and the best fix of a known issue."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.facts import SHIPPED, cell, matrix
from vc2doctor.matrix.judge import Combination, Verdict, judge
from vc2doctor.matrix.known_issue import KnownIssue
from vc2doctor.remedies.smallest import best_fix, smallest_remedies

COMPANIONS = {"numpy": "2.4.6", "accelerate": "1.15.0"}
BROKEN = {"torch": "2.13.0+cpu", "transformers": "4.36.2", "peft": "0.17.0", **COMPANIONS}


def requirements_of_remedies(
    versions: dict[str, str], python: str = "3.11", recipe: str = "bf16"
) -> list[tuple[str, ...]]:
    return [remedy.requirements for remedy in smallest_remedies(python, versions, SHIPPED, recipe)]


def test_remedies_raise_one_package_or_lower_the_other() -> None:
    assert requirements_of_remedies(BROKEN) == [("transformers==4.57.6",), ("peft==0.13.2",)]


def test_torch_is_not_changed_if_that_is_possible() -> None:
    assert all("torch" not in text for requirements in requirements_of_remedies(BROKEN) for text in requirements)


def test_python_without_measurements_gets_a_set_measured_under_another() -> None:
    (first, *_) = smallest_remedies("3.13", BROKEN, SHIPPED, "bf16")
    assert first.requirements == ("transformers==4.57.6",)
    assert "under Python 3.11" in first.reason


def test_set_measured_under_the_same_python_comes_first() -> None:
    under_3_10 = {"python": "3.10", "torch": "2.13.0", "transformers": "4.40.1", "peft": "0.10.0"}
    two_cells = matrix(
        cell("2.13.0", "4.57.6", "0.18.1"),
        cell("2.13.0", "4.40.1", "0.10.0", cell=under_3_10),
    )
    first = smallest_remedies("3.10", BROKEN, two_cells, "bf16")[0]
    assert first.requirements == ("transformers==4.40.1", "peft==0.10.0")
    first = smallest_remedies("3.11", BROKEN, two_cells, "bf16")[0]
    assert first.requirements == ("transformers==4.57.6", "peft==0.18.1")


def test_empty_matrix_has_no_remedy() -> None:
    assert smallest_remedies("3.11", BROKEN, matrix(), "bf16") == ()


def test_companion_that_conflicts_with_the_new_stack_changes_too() -> None:
    old_accelerate = {**BROKEN, "accelerate": "0.30.0", "peft": "0.13.0"}
    one_cell = matrix(cell("2.13.0", "5.23.0", "0.21.2")).model_copy(update={"issues": SHIPPED.issues})
    (remedy,) = smallest_remedies("3.11", old_accelerate, one_cell, "bf16")
    assert remedy.requirements == ("transformers==5.23.0", "peft==0.21.2", "accelerate==1.15.0")


def test_remedies_are_sets_that_train_under_the_recipe() -> None:
    (first, *_) = requirements_of_remedies({**BROKEN, "transformers": "4.40.1", "peft": "0.10.0"}, recipe="fp16-scaled")
    assert first == ("peft==0.4.0",)


TRANSFORMERS = st.sampled_from(["4.28.1", "4.36.2", "4.40.1", "4.57.6", "5.0.0", "5.23.0"])
PEFTS = st.sampled_from(["0.3.0", "0.4.0", "0.10.0", "0.13.2", "0.17.0", "0.18.0", "0.21.2"])
TORCHES = st.sampled_from(["1.13.1", "2.2.2", "2.13.0+cpu", "2.5.1+cu124"])
ACCELERATES = st.sampled_from(["0.20.3", "0.30.0", "1.2.1", "1.15.0"])


@given(TORCHES, TRANSFORMERS, PEFTS, ACCELERATES, st.sampled_from(["bf16", "fp16-scaled", "fp16-amp"]))
def test_every_remedy_is_known_to_train(torch: str, transformers: str, peft: str, accelerate: str, recipe: str) -> None:
    versions = {"torch": torch, "transformers": transformers, "peft": peft, "accelerate": accelerate, "numpy": "1.26.4"}
    for remedy in smallest_remedies("3.11", versions, SHIPPED, recipe):
        versions_after = {**versions, **dict(requirement.split("==") for requirement in remedy.requirements)}
        judgement = judge(Combination(python="3.11", versions=versions_after), SHIPPED, recipe)
        assert judgement.verdict in {Verdict.VERIFIED, Verdict.COMPATIBLE}, (remedy, judgement)


@pytest.mark.parametrize("issue", SHIPPED.issues, ids=[issue.id for issue in SHIPPED.issues])
def test_best_fix_of_every_known_issue_is_one_of_its_fixes(issue: KnownIssue) -> None:
    assert best_fix(issue, {}, SHIPPED, "bf16") in issue.fix


def test_best_fix_leads_to_no_other_known_issue() -> None:
    issues = [issue for issue in SHIPPED.issues if issue.blocks("bf16") and issue.applies_to(BROKEN)]
    assert {issue.id for issue in issues} == {"peft-encoderdecodercache", "peft-hybridcache"}
    assert {best_fix(issue, BROKEN, SHIPPED, "bf16") for issue in issues} == {("peft>=0.13,<0.14",)}
