"""From a probe run to a line of evidence."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Venv
from tests.facts import MISSING_SYMBOL, failed, failure, probe_run, recipe, step
from vc2doctor.curate import evidence
from vc2doctor.curate.evidence import EvidenceError
from vc2doctor.environment import interpreter
from vc2doctor.matrix.evidence import EvidenceLine
from vc2doctor.matrix.load import evidence_lines
from vc2doctor.probe.facts import ProbeRun


def line(venv: Venv, run: ProbeRun) -> EvidenceLine:
    return evidence.line_of(interpreter.observe(venv.python), run, "a-cell", "2026-11-24")


@pytest.fixture
def target(venv: Venv) -> Venv:
    venv.add_stack()
    venv.add("numpy", "2.4.6")
    venv.add("tqdm", "4.0")
    return venv


def test_the_cell_and_what_it_leans_on(target: Venv) -> None:
    made = line(target, probe_run())
    assert (made.cell.torch, made.cell.transformers, made.cell.peft) == ("2.13.0+cpu", "4.40.1", "0.10.0")
    assert made.resolved == {"numpy": "2.4.6"}
    assert (made.device, made.adapter) == ("cpu", "same")
    assert made.trains("bf16")


def test_outcomes_and_failures(target: Venv) -> None:
    run = probe_run(
        recipe("fp16-unscaled", steps=(step(0, 4.5, parameters_finite=False),)),
        failed("fp16-scaled", failure("Attempting to unscale FP16 gradients.", type="ValueError")),
    )
    made = line(target, run)
    assert made.recipes["fp16-unscaled"] == "poisoned"
    assert made.failures["fp16-scaled"].type == "ValueError"
    assert not made.trains("fp16-scaled")


def test_a_failed_import_names_no_path_of_this_machine(target: Venv) -> None:
    run = probe_run(recipes=(), adapter=None, import_package="peft", import_failure=MISSING_SYMBOL)
    made = line(target, run)
    assert made.import_failure is not None
    assert made.import_failure.message == "cannot import name 'EncoderDecoderCache' from 'transformers'"
    assert made.adapter == "not reached"


def test_a_missing_package_is_not_a_cell(venv: Venv) -> None:
    venv.add("torch", "2.13.0")
    with pytest.raises(EvidenceError, match="transformers is not installed"):
        line(venv, probe_run())


def test_the_same_measurement_is_added_once(target: Venv, tmp_path: Path) -> None:
    file = tmp_path / "cells.jsonl"
    made = line(target, probe_run())
    assert evidence.append(file, made)
    assert not evidence.append(file, made.model_copy(update={"date": "2027-01-01", "seconds": 1.0}))
    assert evidence.append(file, made.model_copy(update={"device": "NVIDIA H200"}))
    assert [found.device for found in evidence_lines(file)] == ["cpu", "NVIDIA H200"]
