"""Outcomes of recipes as findings."""

from __future__ import annotations

import pytest

from tests.checks import found_by
from tests.facts import GOOD, examination, failed, failure, probe_run, recipe, step
from vc2doctor.checks import vc010_recipe as check
from vc2doctor.findings import Severity
from vc2doctor.probe.facts import RecipeRun

POISONED = (step(0, 4.5, parameters_finite=False),)


def found(run: RecipeRun, precision: str = "bf16", **versions: str) -> list[tuple[str, Severity]]:
    made = examination({**GOOD, **versions}, probe=probe_run(run), planned={"precision": precision})
    return [(finding.message, finding.severity) for finding in found_by(check, made)]


def test_all_is_well() -> None:
    assert found_by(check, examination(probe=probe_run())) == []
    assert found_by(check, examination()) == []


def test_the_recipe_that_decides() -> None:
    assert found(recipe("bf16", steps=POISONED)) == [("bf16 does not train: poisoned", Severity.ERROR)]


def test_another_recipe_is_information() -> None:
    assert found(recipe("fp16-unscaled", steps=POISONED)) == [("fp16-unscaled does not train: poisoned", Severity.NOTE)]


@pytest.mark.parametrize("precision", ["bf16", "fp16-amp"])
def test_the_control_always_decides(precision: str) -> None:
    made = examination(probe=probe_run(failed("fp32", failure())), planned={"precision": precision})
    (finding,) = found_by(check, made)
    assert finding.severity is Severity.ERROR
    assert finding.remedy.startswith("float32 fails as well, so precision is not the cause.")


def test_weak_is_a_warning() -> None:
    assert found(recipe("bf16", moved=0.01)) == [("bf16 does not train: weak", Severity.WARNING)]


def test_unsupported_is_a_warning_where_it_decides_and_nothing_elsewhere() -> None:
    run = recipe("fp16-scaled", steps=(), unsupported="no GradScaler for the CPU")
    assert found(run) == []
    assert found(run, "fp16-scaled") == [
        ("fp16-scaled cannot run on this device, so it was not measured", Severity.WARNING)
    ]


def test_a_precision_that_works_here_is_offered() -> None:
    made = examination(probe=probe_run(recipe("bf16", steps=POISONED)))
    (finding,) = found_by(check, made)
    assert finding.remedy.startswith("Train in a precision that works here: bf16-scaled, ")
    assert finding.commands == ("vc2doctor check --precision bf16-scaled",)


def test_what_a_known_issue_tells_is_not_told_twice() -> None:
    assert found(recipe("fp16-unscaled", steps=POISONED), "fp16-unscaled", peft="0.10.0") == []
