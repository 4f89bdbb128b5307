"""The verdict on the whole, and the exit code."""

from __future__ import annotations

from typing import Any

import pytest

from tests.facts import child, examination, matrix, probe_run, recipe, step
from vc2doctor import checks
from vc2doctor.checks import verdict
from vc2doctor.checks.context import Examination
from vc2doctor.findings import Severity


def of(made: Examination, fail_on: Severity = Severity.ERROR) -> tuple[str, int]:
    findings = checks.run(made)
    found = verdict.verdict(made, findings)
    return found, verdict.exit_code(found, findings, fail_on)


def ended(how: str, *recipes: Any, **process: Any) -> Examination:  # noqa: ANN401
    return examination(probe=probe_run(*recipes, ending=how, child=child(**process)))


def test_fit() -> None:
    assert of(examination(probe=probe_run())) == ("fit", 0)


def test_unfit() -> None:
    bad = probe_run(recipe("bf16", steps=(step(0, None),)))
    assert of(examination(probe=bad)) == ("unfit", 1)


def test_a_bad_recipe_that_does_not_decide_changes_nothing() -> None:
    assert of(examination(probe=probe_run(recipe("fp16-amp", steps=(step(0, None),))))) == ("fit", 0)


def test_fail_on_warning() -> None:
    assert of(examination(probe=probe_run()), Severity.WARNING) == ("fit", 1)


@pytest.mark.parametrize(("ending", "process"), [("timeout", {}), ("interrupted", {}), ("exit", {}), ("silent", {})])
def test_what_was_not_finished_is_neither_fit_nor_unfit(ending: str, process: dict[str, Any]) -> None:
    assert of(ended(ending, **process)) == ("incomplete", 3)


def test_an_error_found_before_the_end_stands() -> None:
    assert of(ended("timeout", recipe("bf16", steps=(step(0, None),)))) == ("unfit", 1)


def test_a_crash_is_a_fault_of_the_environment() -> None:
    assert of(ended("signal", ending="signal", code=None, signal="SIGSEGV")) == ("unfit", 1)
    assert of(ended("out-of-memory", ending="signal", code=None, signal="SIGKILL")) == ("unfit", 1)


def test_a_kill_from_outside_says_nothing() -> None:
    assert of(ended("signal", ending="signal", code=None, signal="SIGKILL")) == ("incomplete", 3)


def test_unsupported_is_never_called_fit() -> None:
    unsupported = probe_run(recipe("fp16-scaled", steps=(), unsupported="no GradScaler for the CPU"))
    assert of(examination(probe=unsupported, planned={"precision": "fp16-scaled"})) == ("unproven", 3)


def test_weak_is_not_called_fit() -> None:
    assert of(examination(probe=probe_run(recipe("bf16", moved=0.01)))) == ("unproven", 3)


def test_without_a_probe_the_matrix_decides() -> None:
    versions = {"torch": "2.13.0", "transformers": "4.40.1", "peft": "0.10.0", "numpy": "2.4.6"}
    assert of(examination(versions)) == ("fit", 0)
    assert of(examination(versions, matrix=matrix())) == ("unproven", 3)


def test_nothing_installed_is_unfit() -> None:
    assert of(examination({})) == ("unfit", 1)


def test_a_required_gpu_that_is_not_there() -> None:
    assert of(examination(probe=probe_run(), planned={"require_gpu": True})) == ("unfit", 1)
