"""FP8, MXFP8 and NVFP4 emulated on weights, against torch's and torchao's own casts, in a real target."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import noxfile
from tests.target.test_doors import OTHER_TARGET
from vc2doctor.probe.run import WORKER
from vc2doctor.probe.scaled_formats import ScaledWeights

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("scaled")]
"""The tests share the results of a fixture that takes long: one worker runs them."""
SCRIPT = Path(__file__).with_name("scaled_in_target.py")


@pytest.fixture(scope="module")
def results(stack_of: Callable[..., Path]) -> dict[str, Any]:
    target = os.environ.get(OTHER_TARGET) or str(stack_of(*noxfile.TRUTH_CELLS[0].requirements) / "bin" / "python")
    done = subprocess.run(
        [target, "-B", str(SCRIPT), str(WORKER)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    parsed: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return parsed


def test_rounding_to_e4m3_is_that_of_torchs_own_cast(results: dict[str, Any]) -> None:
    assert results["casts"] is True


def test_blocks_are_rounded_as_torchao_rounds_them(results: dict[str, Any]) -> None:
    if "blocks" not in results:
        pytest.skip("the target has no torchao")
    assert results["blocks"] == {"mxfp8": 0.0, "nvfp4": 0.0}


def test_an_outlier_costs_fp8_of_a_tensor_small_weights_and_blocks_hardly_any(results: dict[str, Any]) -> None:
    fields = {name: value for name, value in results["event"].items() if name != "event"}
    scaled = ScaledWeights.model_validate(fields)
    forms = {form.format: form for form in scaled.formats}
    assert scaled.values == 64 * 200
    assert list(forms) == ["fp8", "mxfp8", "nvfp4"]
    assert all(form.worst_tensor == "weight" for form in scaled.formats)
    # The outlier takes the range of the one scale, and only its own block of the others. Zeros are no error.
    assert forms["mxfp8"].flushed < forms["fp8"].flushed < forms["nvfp4"].flushed < 0.2
    assert forms["mxfp8"].flushed < 1e-3
    assert 0 < forms["fp8"].error < 0.04
    assert forms["fp8"].error < forms["nvfp4"].error < 0.12
