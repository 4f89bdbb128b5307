"""Lines of evidence from probe runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Venv
from tests.facts import MISSING_SYMBOL, failed, failure, probe_run, recipe, step
from vc2doctor.core.reading import ReadError
from vc2doctor.curate import evidence
from vc2doctor.curate.evidence import EvidenceError, append_lines
from vc2doctor.environment import interpreter
from vc2doctor.matrix.evidence import EvidenceLine
from vc2doctor.matrix.load import evidence_lines
from vc2doctor.probe.facts import DoorRun, ProbeRun


def measured_line(venv: Venv, run: ProbeRun) -> EvidenceLine:
    return evidence.line_of(interpreter.observe(venv.python), run, "a-cell", "2026-11-24")


@pytest.fixture
def target(venv: Venv) -> Venv:
    venv.add_stack()
    venv.add("numpy", "2.4.6")
    venv.add("tqdm", "4.0")
    return venv


def test_a_line_has_the_cell_and_its_companions(target: Venv) -> None:
    line = measured_line(target, probe_run())
    assert (line.cell.torch, line.cell.transformers, line.cell.peft) == ("2.13.0+cpu", "4.40.1", "0.10.0")
    assert line.resolved == {"numpy": "2.4.6"}
    assert (line.device, line.adapter) == ("cpu", "same")
    assert line.trains("bf16")


def test_a_line_has_the_outcomes_and_exceptions_of_recipes(target: Venv) -> None:
    run = probe_run(
        recipe("fp16-unscaled", steps=(step(0, 4.5, parameters_finite=False),)),
        failed("fp16-scaled", failure("Attempting to unscale FP16 gradients.", type="ValueError")),
    )
    line = measured_line(target, run)
    assert line.recipes["fp16-unscaled"] == "poisoned"
    assert line.failures["fp16-scaled"].type == "ValueError"
    assert not line.trains("fp16-scaled")


def test_an_import_failure_holds_no_path_of_this_machine(target: Venv) -> None:
    run = probe_run(recipes=(), adapter=None, import_package="peft", import_failure=MISSING_SYMBOL)
    line = measured_line(target, run)
    assert line.import_failure is not None
    assert line.import_failure.message == "cannot import name 'EncoderDecoderCache' from 'transformers'"
    assert line.adapter == "not reached"


def test_an_environment_without_the_stack_is_an_error(venv: Venv) -> None:
    venv.add("torch", "2.13.0")
    with pytest.raises(EvidenceError, match="transformers is not installed"):
        measured_line(venv, probe_run())


def test_a_measurement_is_appended_only_once(target: Venv, tmp_path: Path) -> None:
    file = tmp_path / "cells.jsonl"
    line = measured_line(target, probe_run())
    assert evidence.append(file, line)
    assert not evidence.append(file, line.model_copy(update={"date": "2027-01-01", "seconds": 1.0}))
    assert evidence.append(file, line.model_copy(update={"device": "NVIDIA H200"}))
    assert [line.device for line in evidence_lines(file)] == ["cpu", "NVIDIA H200"]


def test_a_line_has_the_outcome_of_every_door_that_was_opened(target: Venv) -> None:
    target.add("trl", "0.12.2")
    passed = DoorRun(door="trainer", trains=True, finished=True, phase="step", losses=(4.5, 4.4), moved=1.0)
    broken = DoorRun(door="dpo", trains=True, finished=True, error=MISSING_SYMBOL)
    lacking = DoorRun(door="grpo", trains=True, finished=True, unavailable="trl 0.12.2 has no GRPOTrainer")
    ended_here = DoorRun(door="sft", trains=True)
    line = measured_line(target, probe_run(doors=(passed, broken, lacking, ended_here)))
    assert line.doors == {"trainer": "passed", "dpo": "failed", "grpo": "unsupported"}
    assert line.door_failures["dpo"].message == "cannot import name 'EncoderDecoderCache' from 'transformers'"
    assert line.door_packages == {"trl": "0.12.2"}


def test_older_lines_measured_the_plain_loop_only(target: Venv) -> None:
    line = measured_line(target, probe_run())
    without = line.model_dump(mode="json", by_alias=True, exclude={"doors", "door_failures", "door_packages"})
    assert EvidenceLine.model_validate(without).doors is None


def test_appending_keeps_a_device_and_a_link_and_reads_neither_without_end(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="it is a device, not a regular file"):
        append_lines(Path("/dev/full"), [])
    target, link = tmp_path / "cells.jsonl", tmp_path / "link.jsonl"
    target.write_text("")
    link.symlink_to(target)
    append_lines(link, [])
    assert link.is_symlink()
