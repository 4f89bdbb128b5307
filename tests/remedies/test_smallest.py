"""The nearest measured set."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.facts import SHIPPED, cell, matrix
from vc2doctor.matrix.judge import Combination, Verdict, judge
from vc2doctor.remedies.smallest import best_fix, smallest_remedies

LEANED = {"numpy": "2.4.6", "accelerate": "1.15.0"}
BROKEN = {"torch": "2.13.0+cpu", "transformers": "4.36.2", "peft": "0.17.0", **LEANED}


def ways(versions: dict[str, str], python: str = "3.11", recipe: str = "bf16") -> list[tuple[str, ...]]:
    return [way.requirements for way in smallest_remedies(python, versions, SHIPPED, recipe)]


def test_raise_one_or_lower_the_other() -> None:
    assert ways(BROKEN) == [("transformers==4.57.6",), ("peft==0.13.2",)]


def test_torch_is_left_alone_where_that_is_possible() -> None:
    assert all("torch" not in requirement for way in ways(BROKEN) for requirement in way)


def test_an_unmeasured_python_gets_what_was_measured_under_another() -> None:
    (first, *_) = smallest_remedies("3.13", BROKEN, SHIPPED, "bf16")
    assert first.requirements == ("transformers==4.57.6",)
    assert "under Python 3.11" in first.reason


def test_its_own_python_comes_first() -> None:
    known = matrix(
        cell("2.13.0", "4.57.6", "0.18.1"),
        cell("2.13.0", "4.40.1", "0.10.0", cell=place("3.10", "2.13.0", "4.40.1", "0.10.0")),
    )
    assert smallest_remedies("3.10", BROKEN, known, "bf16")[0].requirements == ("transformers==4.40.1", "peft==0.10.0")
    assert smallest_remedies("3.11", BROKEN, known, "bf16")[0].requirements == ("transformers==4.57.6", "peft==0.18.1")


def place(python: str, torch: str, transformers: str, peft: str) -> dict[str, str]:
    return {"python": python, "torch": torch, "transformers": transformers, "peft": peft}


def test_nothing_measured_nothing_prescribed() -> None:
    assert smallest_remedies("3.11", BROKEN, matrix(), "bf16") == ()


def test_what_is_in_the_way_changes_too() -> None:
    old = {**BROKEN, "accelerate": "0.30.0", "peft": "0.13.0"}
    known = matrix(cell("2.13.0", "5.23.0", "0.21.2")).model_copy(update={"issues": SHIPPED.issues})
    (way,) = smallest_remedies("3.11", old, known, "bf16")
    assert way.requirements == ("transformers==5.23.0", "peft==0.21.2", "accelerate==1.15.0")


def test_only_sets_that_train_under_the_recipe() -> None:
    (first, *_) = ways({**BROKEN, "transformers": "4.40.1", "peft": "0.10.0"}, recipe="fp16-scaled")
    assert first == ("peft==0.4.0",)


releases = st.sampled_from(["4.28.1", "4.36.2", "4.40.1", "4.57.6", "5.0.0", "5.23.0"])
pefts = st.sampled_from(["0.3.0", "0.4.0", "0.10.0", "0.13.2", "0.17.0", "0.18.0", "0.21.2"])
torches = st.sampled_from(["1.13.1", "2.2.2", "2.13.0+cpu", "2.5.1+cu124"])
accelerates = st.sampled_from(["0.20.3", "0.30.0", "1.2.1", "1.15.0"])


@given(torches, releases, pefts, accelerates, st.sampled_from(["bf16", "fp16-scaled", "fp16-amp"]))
def test_every_prescription_is_known_to_work(
    torch: str, transformers: str, peft: str, accelerate: str, recipe: str
) -> None:
    versions = {"torch": torch, "transformers": transformers, "peft": peft, "accelerate": accelerate, "numpy": "1.26.4"}
    for way in smallest_remedies("3.11", versions, SHIPPED, recipe):
        after = {**versions, **dict(requirement.split("==") for requirement in way.requirements)}
        found = judge(Combination(python="3.11", versions=after), SHIPPED, recipe)
        assert found.verdict in {Verdict.VERIFIED, Verdict.COMPATIBLE}, (way, found)


@pytest.mark.parametrize("issue", SHIPPED.issues, ids=[issue.id for issue in SHIPPED.issues])
def test_every_known_issue_can_be_mended(issue: object) -> None:
    assert any(best_fix(known, {}, SHIPPED, "bf16") in known.fix for known in SHIPPED.issues if known is issue)


def test_a_mend_meets_no_other_issue() -> None:
    struck = [known for known in SHIPPED.issues if known.blocks("bf16") and known.applies_to(BROKEN)]
    assert {known.id for known in struck} == {"peft-encoderdecodercache", "peft-hybridcache"}
    assert {best_fix(known, BROKEN, SHIPPED, "bf16") for known in struck} == {("peft>=0.13,<0.14",)}
