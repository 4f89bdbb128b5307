"""Faults that appear only in one way to train: when compiled, deterministic, or with one attention code."""

from __future__ import annotations

from typing import Any

from tests.checks import findings_of
from tests.facts import examination, failed, failure, probe_run, recipe, step
from vc2doctor.checks import vc026_variant as check
from vc2doctor.checks import verdict
from vc2doctor.checks.context import Examination
from vc2doctor.findings import Severity
from vc2doctor.probe.facts import RecipeRun, VariantRun

BROKEN = (step(0, None),)


def examined(variant: str, *runs: RecipeRun, plain: tuple[RecipeRun, ...] = (), **fields: Any) -> Examination:  # noqa: ANN401
    varied = VariantRun(variant=variant, finished=True, recipes=runs, **fields)
    return examination(
        probe=probe_run(*plain, variants=(varied,)), planned={"precision": "bf16", "variants": (variant,)}
    )


def test_a_fault_that_appears_only_when_compiled_is_an_error_and_named_as_such() -> None:
    examined_ = examined("compiled", recipe("fp32"), recipe("bf16", steps=BROKEN))
    (finding,) = findings_of(check, examined_)
    assert finding.severity is Severity.ERROR
    assert finding.message.startswith("bf16 fails only under torch.compile (non-finite)")
    assert finding.evidence[-1].startswith("float32 trains under torch.compile: the fault needs both bf16")
    assert "torch.compiler.disable" in finding.remedy
    assert verdict.final_verdict(examined_, (finding,)) == "unfit"


def test_if_float32_fails_as_well_precision_is_not_the_cause() -> None:
    findings = findings_of(check, examined("compiled", recipe("fp32", steps=BROKEN), recipe("bf16", steps=BROKEN)))
    assert [finding.severity for finding in findings] == [Severity.NOTE, Severity.ERROR]
    assert findings[1].evidence[-1] == "float32 fails under torch.compile as well, so precision is not the cause"


def test_a_recipe_that_fails_without_it_as_well_is_not_blamed_on_it() -> None:
    plain = (recipe("bf16", steps=BROKEN),)
    assert findings_of(check, examined("compiled", recipe("bf16", steps=BROKEN), plain=plain)) == []


def test_a_way_that_trains_has_no_finding_and_the_verdict_is_fit() -> None:
    examined_ = examined("deterministic", recipe("fp32"), recipe("bf16"), repeats=True)
    assert findings_of(check, examined_) == []
    assert verdict.final_verdict(examined_, ()) == "fit"


def test_a_way_that_could_not_be_tried_is_a_warning_and_the_verdict_is_unproven() -> None:
    reason = "attention flash_attention_2 needs the module flash_attn; it is not installed"
    examined_ = examined("flash_attention_2", recipe("bf16", steps=(), unsupported=reason))
    (finding,) = findings_of(check, examined_)
    assert (finding.severity, finding.evidence) == (Severity.WARNING, (reason,))
    assert finding.remedy.startswith("Run this command where your training runs")
    assert verdict.final_verdict(examined_, (finding,)) == "unproven"


def test_runs_that_differ_are_a_warning_and_an_operation_without_a_deterministic_form_is_an_error() -> None:
    (finding,) = findings_of(check, examined("deterministic", recipe("bf16"), repeats=False))
    assert (finding.severity, finding.message) == (
        Severity.WARNING,
        "two trainings under torch.use_deterministic_algorithms differ",
    )
    error = failed("bf16", failure("put_ does not have a deterministic implementation"))
    (finding,) = findings_of(check, examined("deterministic", error))
    assert finding.severity is Severity.ERROR
    assert "CUBLAS_WORKSPACE_CONFIG" in finding.remedy
