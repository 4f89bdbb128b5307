"""The verdict on an examination, and the exit code."""

from __future__ import annotations

from typing import Any

import pytest

from tests.facts import child, examination, matrix, probe_run, recipe, step
from vc2doctor import checks
from vc2doctor.checks import verdict
from vc2doctor.checks.context import Examination
from vc2doctor.findings import Severity


def verdict_and_code(examined: Examination, fail_on: Severity = Severity.ERROR) -> tuple[str, int]:
    findings = checks.run(examined)
    final_verdict = verdict.final_verdict(examined, findings)
    return final_verdict, verdict.exit_code(final_verdict, findings, fail_on)


def probe_with_ending(probe_ending: str, *recipes: Any, **process: Any) -> Examination:  # noqa: ANN401
    return examination(probe=probe_run(*recipes, ending=probe_ending, child=child(**process)))


def test_environment_that_trains_is_fit() -> None:
    assert verdict_and_code(examination(probe=probe_run())) == ("fit", 0)


def test_deciding_recipe_that_fails_makes_it_unfit() -> None:
    failing_probe = probe_run(recipe("bf16", steps=(step(0, None),)))
    assert verdict_and_code(examination(probe=failing_probe)) == ("unfit", 1)


def test_other_recipe_that_fails_does_not_change_the_verdict() -> None:
    assert verdict_and_code(examination(probe=probe_run(recipe("fp16-amp", steps=(step(0, None),))))) == ("fit", 0)


def test_fail_on_warning_ends_with_1_although_it_is_fit() -> None:
    assert verdict_and_code(examination(probe=probe_run()), Severity.WARNING) == ("fit", 1)


@pytest.mark.parametrize(("ending", "process"), [("timeout", {}), ("interrupted", {}), ("exit", {}), ("silent", {})])
def test_unfinished_probe_is_neither_fit_nor_unfit(ending: str, process: dict[str, Any]) -> None:
    assert verdict_and_code(probe_with_ending(ending, **process)) == ("incomplete", 3)


def test_error_before_the_end_of_the_probe_stands() -> None:
    assert verdict_and_code(probe_with_ending("timeout", recipe("bf16", steps=(step(0, None),)))) == ("unfit", 1)


def test_crash_and_lack_of_memory_are_faults_of_the_environment() -> None:
    assert verdict_and_code(probe_with_ending("signal", ending="signal", code=None, signal="SIGSEGV")) == ("unfit", 1)
    assert verdict_and_code(probe_with_ending("out-of-memory", ending="signal", code=None, signal="SIGKILL")) == (
        "unfit",
        1,
    )


def test_kill_from_outside_is_no_fault_of_the_environment() -> None:
    assert verdict_and_code(probe_with_ending("signal", ending="signal", code=None, signal="SIGKILL")) == (
        "incomplete",
        3,
    )


def test_unsupported_deciding_recipe_is_not_called_fit() -> None:
    unsupported = probe_run(recipe("fp16-scaled", steps=(), unsupported="no GradScaler for the CPU"))
    assert verdict_and_code(examination(probe=unsupported, planned={"precision": "fp16-scaled"})) == ("unproven", 3)


def test_weak_deciding_recipe_is_not_called_fit() -> None:
    assert verdict_and_code(examination(probe=probe_run(recipe("bf16", moved=0.01)))) == ("unproven", 3)


def test_without_a_probe_the_matrix_decides() -> None:
    versions = {"torch": "2.13.0", "transformers": "4.40.1", "peft": "0.10.0", "numpy": "2.4.6"}
    assert verdict_and_code(examination(versions)) == ("fit", 0)
    assert verdict_and_code(examination(versions, matrix=matrix())) == ("unproven", 3)


def test_environment_without_stack_is_unfit() -> None:
    assert verdict_and_code(examination({})) == ("unfit", 1)


def test_missing_gpu_that_is_required_is_unfit() -> None:
    assert verdict_and_code(examination(probe=probe_run(), planned={"require_gpu": True})) == ("unfit", 1)
