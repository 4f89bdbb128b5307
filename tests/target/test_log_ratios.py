"""Log-ratios of trainer and rollout on the real torch: rounding in bfloat16 is eight times as coarse as in float16."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import noxfile
from tests.facts import child
from tests.target.test_doors import OTHER_TARGET
from vc2doctor.probe import run
from vc2doctor.probe.events import EventReader
from vc2doctor.probe.log_ratio import LogRatios

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("log-ratios")]
"""The tests share the results of a fixture that takes long: one worker runs them."""
SCRIPT = Path(__file__).with_name("log_ratios_in_target.py")


@pytest.fixture(scope="module")
def printed(stack_of: Callable[..., Path]) -> dict[str, Any]:
    named = os.environ.get(OTHER_TARGET)
    python = named or str(stack_of(*noxfile.TRUTH_CELLS[0].requirements) / "bin" / "python")
    done = subprocess.run([python, "-B", str(SCRIPT), str(run.WORKER)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


@pytest.fixture(scope="module")
def measured(printed: dict[str, Any]) -> LogRatios:
    reader = EventReader()
    for event in printed["events"]:
        reader.take(event)
    probe = reader.run(child())
    assert probe.malformed_events == 0
    assert probe.log_ratios is not None
    return probe.log_ratios


def size(measured: LogRatios, trainer: str, rollout: str) -> float:
    pair = measured.pair(trainer, rollout)
    assert pair is not None
    assert pair.mean_size is not None
    return pair.mean_size


def test_all_pairs_of_dtypes_are_compared_on_the_same_tokens(measured: LogRatios) -> None:
    assert len(measured.pairs) == 9
    assert not measured.failures
    assert {pair.tokens for pair in measured.pairs} == {16 * 32}


def test_bfloat16_is_about_eight_times_as_far_from_float32_as_float16(measured: LogRatios) -> None:
    """bfloat16 has 8 significant bits and float16 has 11, so the factor is about 2**3."""
    assert size(measured, "float32", "float32") < 1e-5
    assert 4 < size(measured, "float32", "bfloat16") / size(measured, "float32", "float16") < 16


def test_tokens_after_the_end_do_not_count_and_the_end_does(printed: dict[str, Any]) -> None:
    assert printed["mask"] == [[1, 1, 0], [1, 0, 0]]
