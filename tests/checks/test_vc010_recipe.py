"""Outcomes of recipes as findings."""

from __future__ import annotations

from typing import Any

import pytest

from tests.checks import findings_of
from tests.facts import GOOD, MISSING_SYMBOL, examination, failed, failure, probe_run, recipe, step
from tests.probe.cause_cases import bad, broken
from vc2doctor.checks import vc010_recipe as check
from vc2doctor.core.failure import Missing
from vc2doctor.findings import Finding, Severity
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


def test_no_other_precision_is_offered_where_float32_fails_as_well() -> None:
    """One that happens to stay finite is no cure for a learning rate."""
    rate = {"experiments": {"rate-0.01": True}}
    steps = (step(0, 4.0), step(1, None))
    probed = examination(probe=probe_run(bad("fp32", steps=steps, **rate), bad("bf16", steps=steps, **rate)))
    remedies = [finding.remedy for finding in findings_of(check, probed)]
    assert remedies
    assert all("Lower the learning rate" in remedy and "precision that works" not in remedy for remedy in remedies)


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


def test_named_line_of_the_users_own_function_comes_before_another_precision() -> None:
    error = failure("Got unsupported ScalarType BFloat16", file="mymodel.py", line=61)
    probed = examination(probe=probe_run(failed("bf16", error)), planned={"entry": "mymodel:build"})
    (finding,) = findings_of(check, probed)
    assert finding.remedy.startswith("Convert the tensor before NumPy gets it")
    assert "Or train in a precision that works here: " in finding.remedy
    assert finding.commands == ()


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


def finding_of(*runs: RecipeRun, **planned: Any) -> Finding:  # noqa: ANN401
    (finding,) = findings_of(check, examination(probe=probe_run(*runs), planned=planned))
    return finding


def test_recipe_that_contradicts_itself_is_reported_only_to_those_who_chose_it() -> None:
    name = "bf16-in-fp16-autocast"
    runs = (bad(name), failed("fp16-amp", failure()))
    probed = probe_run(recipes=(*runs, recipe("fp32"), recipe("bf16")))
    assert [finding.message for finding in findings_of(check, examination(probe=probed))] == [
        "fp16-amp does not train: it ended with an error (error)"
    ]
    chosen = examination(probe=probed, planned={"precision": name})
    assert findings_of(check, chosen)[0].severity is Severity.ERROR


def test_exception_that_a_known_issue_explains_is_left_to_vc005() -> None:
    versions = {"torch": "2.13.0", "transformers": "4.36.2", "peft": "0.14.0", "numpy": "2.4.6", "accelerate": "0.34.2"}
    probed = probe_run(failed("bf16", MISSING_SYMBOL))
    assert findings_of(check, examination(versions, probe=probed)) == []
    (other,) = findings_of(check, examination(versions, probe=probe_run(failed("bf16", failure("no kernel")))))
    assert "no kernel" in other.evidence[1]


def test_recipe_that_this_device_lacks_is_tried_where_training_runs() -> None:
    unsupported = recipe("fp16-scaled", steps=(), unsupported="no GradScaler for the CPU")
    assert finding_of(unsupported, precision="fp16-scaled").commands == ("vc2doctor check --require gpu",)


def test_evidence_begins_with_the_recipe_and_ends_with_the_cause() -> None:
    overflow = finding_of(bad("fp16-scaled", located=broken()), precision="fp16-scaled")
    assert overflow.evidence[0].startswith("fp16-scaled: ")
    assert any(line.startswith("cause: the result of mul in layers.2.mlp is 6.698e+04") for line in overflow.evidence)
    assert "Or train in a precision that works here" in overflow.remedy
    unknown = finding_of(bad("fp16-scaled"), precision="fp16-scaled")
    assert "cause: unknown" in unknown.evidence
    assert unknown.remedy.startswith("Train in a precision that works here")
    error = failure("no kernel")
    group = finding_of(failed("fp16-scaled", error), failed("fp16-unscaled", error))
    assert not any(line.startswith("fp16-") for line in group.evidence), "the message names the recipes of a group"


def test_precision_is_not_ruled_out_by_a_float32_that_only_hardly_learns() -> None:
    runs = [failed(name, failure("no kernel")) for name in DEFAULT_RECIPES if name != "fp32"]
    found = findings_of(check, examination(probe=probe_run(recipe("fp32", moved=0.01), *runs)))
    (errors,) = (finding for finding in found if finding.severity is Severity.ERROR)
    assert errors.remedy.startswith("No small change of versions is known to fix this.")


def test_missing_module_is_installed_and_a_loss_that_is_not_finite_changes_versions() -> None:
    missing = failure("No module named 'einops'", type="ModuleNotFoundError", missing=Missing(module="einops"))
    installed = finding_of(*(failed(name, missing) for name in DEFAULT_RECIPES))
    assert "Install einops. The code needs it" in installed.remedy
    assert installed.commands == ("/env/bin/python -m pip install einops",)
    not_finite = finding_of(*(bad(name) for name in DEFAULT_RECIPES))
    assert not_finite.remedy.startswith("float32 fails as well, so precision is not the cause. ")
    assert "einops" not in not_finite.remedy
