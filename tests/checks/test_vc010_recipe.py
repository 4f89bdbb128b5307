"""Outcomes of recipes as findings."""

from __future__ import annotations

import pytest

from tests.checks import findings_of
from tests.facts import GOOD, examination, failed, failure, probe_run, recipe, step
from tests.probe.cause_cases import bad, broken
from vc2doctor.checks import vc010_recipe as check
from vc2doctor.findings import Severity
from vc2doctor.probe.facts import RecipeRun
from vc2doctor.target.shared.recipes import DEFAULT_RECIPES

POISONED = (step(0, 4.5, parameters_finite=False),)


def findings(run: RecipeRun, precision: str = "bf16", **versions: str) -> list[tuple[str, Severity]]:
    probed = examination({**GOOD, **versions}, probe=probe_run(run), planned={"precision": precision})
    return [(finding.message, finding.severity) for finding in findings_of(check, probed)]


def test_recipes_that_train_have_no_finding() -> None:
    assert findings_of(check, examination(probe=probe_run())) == []
    assert findings_of(check, examination()) == []


def test_poisoned_deciding_recipe_is_an_error() -> None:
    message = "bf16 does not train: the optimizer made parameters non-finite (poisoned)"
    assert findings(recipe("bf16", steps=POISONED)) == [(message, Severity.ERROR)]


def test_poisoned_other_recipe_is_a_note() -> None:
    message = "fp16-unscaled does not train: the optimizer made parameters non-finite (poisoned)"
    assert findings(recipe("fp16-unscaled", steps=POISONED)) == [(message, Severity.NOTE)]


@pytest.mark.parametrize("precision", ["bf16", "fp16-amp"])
def test_failed_control_is_an_error_under_every_precision(precision: str) -> None:
    probed = examination(probe=probe_run(failed("fp32", failure())), planned={"precision": precision})
    (finding,) = findings_of(check, probed)
    assert finding.severity is Severity.ERROR
    assert finding.remedy.startswith("float32 fails as well, so precision is not the cause.")


def test_weak_deciding_recipe_is_a_warning() -> None:
    message = "bf16 does not train: hardly anything moves, or the loss does not fall (weak)"
    assert findings(recipe("bf16", moved=0.01)) == [(message, Severity.WARNING)]


def test_unsupported_recipe_is_a_warning_only_if_it_decides() -> None:
    run = recipe("fp16-scaled", steps=(), unsupported="no GradScaler for the CPU")
    assert findings(run) == []
    assert findings(run, "fp16-scaled") == [
        ("fp16-scaled cannot run on this device, so it was not measured", Severity.WARNING)
    ]


def test_remedy_offers_a_precision_that_works_here() -> None:
    (finding,) = findings_of(check, examination(probe=probe_run(recipe("bf16", steps=POISONED))))
    assert finding.remedy.startswith("Train in a precision that works here: bf16-scaled, ")
    assert finding.commands == ("vc2doctor check --precision bf16-scaled",)


def test_outcome_that_a_known_issue_explains_is_left_to_vc005() -> None:
    assert findings(recipe("fp16-unscaled", steps=POISONED), "fp16-unscaled", peft="0.10.0") == []


def test_unknown_cause_in_the_users_own_function_names_the_line_to_start_at() -> None:
    error = failure("it broke", file="mymodel.py", line=61)
    runs = [failed(name, error) for name in DEFAULT_RECIPES]
    probed = examination(probe=probe_run(*runs), planned={"entry": "mymodel:build"})
    (finding,) = findings_of(check, probed)
    assert finding.message == "training fails under all 8 recipes: it ended with an error (error)"
    assert finding.remedy.endswith("precision is not the cause. Cause unknown. Start at mymodel.py:61.")
    assert finding.commands == (), "the command that was just typed fixes nothing"


@pytest.mark.parametrize(
    ("where", "start"),
    [
        ({"module": "head"}, "exp in head."),
        ({"module": "", "file": "mymodel.py", "line": 7}, "exp in the model itself (mymodel.py:7)."),
        (
            {"module": "", "phase": "backward", "node": "ExpBackward0", "file": "mymodel.py", "line": 7},
            "exp in the backward pass of ExpBackward0 (mymodel.py:7).",
        ),
    ],
)
def test_unknown_cause_of_an_operation_names_its_module_and_its_line(where: dict[str, object], start: str) -> None:
    operation = broken(op="exp", dtype="float32", exact=3.0, largest=(3.0,), **where)
    runs = [bad(name, located=operation) for name in DEFAULT_RECIPES]
    probed = examination(probe=probe_run(*runs), planned={"entry": "mymodel:build"})
    (finding,) = findings_of(check, probed)
    assert finding.remedy.endswith(f"Cause unknown. Start at {start}")


def test_recipes_that_fail_for_the_same_reason_are_one_finding() -> None:
    error = failure("no kernel")
    notes = probe_run(failed("fp16-scaled", error), failed("fp16-unscaled", error), failed("fp16-amp", failure()))
    assert [finding.message for finding in findings_of(check, examination(probe=notes))] == [
        "fp16-scaled and fp16-unscaled do not train: it ended with an error (error)",
        "fp16-amp does not train: it ended with an error (error)",
    ]
    with_control = probe_run(failed("fp32", error), failed("fp16-amp", error))
    (finding,) = findings_of(check, examination(probe=with_control))
    assert finding.severity is Severity.ERROR, "the recipe that decides speaks for the group"
    assert finding.remedy.startswith("float32 fails as well")


def test_installation_remedy_follows_the_remedy_of_the_cause() -> None:
    error = failure("optimizer got an empty parameter list")
    (finding,) = findings_of(check, examination(probe=probe_run(failed("fp32", error))))
    assert finding.remedy.count("float32 fails as well") == 1
    assert "get_peft_model" in finding.remedy
    assert finding.remedy.count("the nearest set that was measured to train under bf16") == 1
