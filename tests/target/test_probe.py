"""The worker's parts on the real stack: what is measured has to be what is there."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import noxfile
from tests.conftest import Ran
from tests.faults import truth
from tests.faults.table import FAULTS
from vc2doctor.core.precision import FLOAT16
from vc2doctor.probe import run

pytestmark = pytest.mark.stack

Doctor = Callable[..., Ran]
StackOf = Callable[..., Path]
NEWEST = noxfile.TRUTH_CELLS[0]
IN_CI = ("half_adapters", "padded_rows_overflow", "labels_ignored", "own_autocast", "untouched_adapters", "nan_weight")
"""Faults of the table that every run of the tests plants; ``nox -s probe-truth`` plants them all."""


@pytest.fixture(scope="module")
def target(stack_of: StackOf) -> Path:
    return stack_of(*NEWEST.requirements)


@pytest.fixture(scope="module")
def found(target: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("in-target")
    command = [str(target / "bin" / "python"), "-B", str(Path(__file__).with_name("in_target.py"))]
    done = subprocess.run([*command, str(run.WORKER), str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    made: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return made


def test_float16_breaks_where_headroom_says_so_and_nothing_else_breaks(found: dict[str, Any]) -> None:
    signs = set()
    for largest, fp32, bf16, fp16 in found["ladder"].values():
        bits = math.log2(FLOAT16 / largest)
        signs.add(bits > 0)
        assert (fp32, bf16) == (True, True)
        assert fp16 is (bits > 0), f"at {bits:.2f} bits"
    assert signs == {True, False}


def test_an_additive_mask_is_no_activation(found: dict[str, Any]) -> None:
    assert found["masks"] == {"bert": 7.0, "finfo": 7.0, "none": 7.0}


def test_the_questions_for_a_gpu_are_answered_by_value(found: dict[str, Any]) -> None:
    answers = found["answers"]
    for name in ("bf16 product", "fp16 product", "fp32 product", "bf16 conv3d", "bf16 sdpa"):
        assert 0 < answers[name][0] < 0.01, name
    assert [answers[f"fp16 AdamW, {form}"][0] for form in ("foreach", "for-loop", "fused")] == [0.0, 0.0, 1.0]
    assert "Attempting to unscale FP16 gradients" in answers["GradScaler on fp16 parameters"][1]
    assert answers["sdpa, masked row"][0] == 1.0
    assert answers["bf16 speed"][0] > 0
    assert answers["flash-attention"] == [None, "ModuleNotFoundError"]


def test_what_does_not_fit_or_is_not_safe_is_refused(found: dict[str, Any]) -> None:
    refusals = found["refusals"]
    assert "GiB are free on cpu" in refusals["no room"]
    assert refusals["room for bfloat16"] == "bfloat16"
    assert "pickled weights are not loaded" in refusals["pickled"]
    assert "code that came with it, which is never run" in refusals["code"]
    assert "is not a safetensors file" in refusals["damaged"]


def test_a_checkpoint_leads_to_no_pickle_and_to_no_file_outside_of_it(found: dict[str, Any]) -> None:
    layouts = found["layouts"]
    for name in ("outside", "absolute"):
        assert "which is not a file below the folder" in layouts[name], name
    for name in ("inside", "misnamed", "linked pickle"):
        assert "is not a safetensors file" in layouts[name], name
    assert "is not a regular file" in layouts["pipe"]
    # The checkpoint itself is loaded, and nothing that stands beside it.
    for name in ("adapter", "steered", "hub cache", "indexed"):
        assert layouts[name].endswith(" tensors"), name


def test_values_that_are_not_finite_are_counted_by_tensor(found: dict[str, Any]) -> None:
    assert found["non_finite"] == [{"tensor": "model.layers.1.mlp.down_proj.weight", "values": 3, "of": 64 * 32}]


def test_a_function_that_gives_something_else_is_told_so(found: dict[str, Any]) -> None:
    entries = found["entries"]
    assert entries["missing"].endswith("the module given_by_user has no function missing")
    assert "returned a NoneType; it must return (model, batch)" in entries["nothing"]
    assert "returned a int as its model" in entries["number"]
    assert entries["vectors"] == "the model returned a loss of shape (2, 2); it must be one number"
    assert entries["logits"] == "the model returned a dict without a loss; does the batch hold labels?"
    assert entries["good"] == "torch.bfloat16 ()", "the dtype is handed in, and a loss of one number is one"


def probed(doctor: Doctor, target: Path, *options: str) -> dict[str, Any]:
    ran = doctor("probe", "--python", str(target), "--device", "cpu", "--format", "json", *options)
    assert ran.out, ran.err
    told: dict[str, Any] = json.loads(ran.out)
    return told


def test_a_checkpoint_is_measured_and_trained(doctor: Doctor, target: Path, found: dict[str, Any]) -> None:
    options = ("--model", found["place"], "--text", "a b c d e f g h", "--text", "h g f", "--profile", "causal-lm")
    told = probed(doctor, target, *options)
    assert (told["verdict"], told["exit_code"]) == ("measured", 0)
    layers = told["probe"]["headroom"]["layers"]
    assert {"model.layers.0", "model.layers.1", "lm_head"} <= set(layers)
    told = probed(doctor, target, *options, "--train", "--recipes", "fp32,bf16")
    assert (told["verdict"], told["exit_code"]) == ("fit", 0)
    assert [one["outcome"] for one in told["probe"]["recipes"]] == ["finite", "finite"]


@pytest.mark.parametrize("options", [(), ("--train", "--recipes", "bf16")])
def test_a_checkpoint_that_holds_nan_is_an_error(
    doctor: Doctor, target: Path, found: dict[str, Any], options: tuple[str, ...]
) -> None:
    told = probed(doctor, target, "--model", found["place"] + "-bad", "--text", "a b c d", *options)
    assert (told["verdict"], told["exit_code"]) == ("unfit", 1)
    [finding] = [each for each in told["findings"] if each["id"] == "VC018"]
    assert finding["message"].endswith("tiny-bad holds NaN or infinity in 1 tensor")
    assert finding["evidence"] == ["model.layers.1.mlp.down_proj.weight: 3 of 2048 values"]
    assert told["probe"]["headroom"] is None, "no maximum passes over what is not finite"
    assert told["probe"]["range_broken"]["module"] == "model.layers.1.mlp.down_proj"


def test_a_module_that_is_not_there_is_one_finding(doctor: Doctor, target: Path) -> None:
    told = probed(doctor, target, "--entry", "nowhere:build")
    assert told["exit_code"] == 1
    errors = [(one["id"], one["message"]) for one in told["findings"] if one["severity"] == "error"]
    assert errors == [("VC018", "nowhere:build cannot be loaded")]


def test_stress_shows_margins_and_leaves_the_verdict_alone(doctor: Doctor, target: Path) -> None:
    told = probed(doctor, target, "--stress", "--seed", "3", "--attention", "eager")
    assert told["verdict"] == "fit"
    bits, fates = {}, {}
    for plant in told["probe"]["stress"]:
        bits[plant["plant"]] = math.log2(FLOAT16 / plant["headroom"]["tightest"]["largest"])
        fates[plant["plant"]] = {one["recipe"]: one["outcome"] for one in plant["recipes"]}
    assert bits == pytest.approx({"sink": 4.64, "smollm": 1.39, "stress": -0.03, "stress4x": -2.03}, abs=0.05)
    assert {fates[plant][name] for plant in fates for name in ("fp32", "bf16")} == {"finite"}
    assert [fates[plant]["fp16-amp"] for plant in fates] == ["finite", "finite", "non-finite", "non-finite"]


def test_on_a_cpu_what_only_a_gpu_can_say_is_listed(doctor: Doctor, target: Path) -> None:
    told = probed(doctor, target, "--recipes", "fp32,fp16-scaled")["probe"]
    assert "memory" in told["not_measured"]
    assert {measure["status"] for measure in told["measures"]} == {"unsupported"}
    assert (told["self_test"]["seen"], told["self_test"]["passed"]) == (True, True)
    assert all(one["seconds"] > 0 for one in told["recipes"])


def test_planted_faults_are_named_and_their_twins_pass(target: Path) -> None:
    planted = [fault for fault in FAULTS if fault.name in IN_CI]
    rows = list(truth.rows(str(target), NEWEST.name, planted))
    assert len(rows) >= len(IN_CI)
    assert [truth.line(row) for row in rows if row.verdict != "right"] == []
