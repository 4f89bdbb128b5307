"""The worker's parts on the real stack: the measurements must agree with what was planted."""

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
from tests.probe_truth import truth
from tests.probe_truth.table import FAULTS
from vc2doctor.core.precision import FLOAT16
from vc2doctor.probe import run

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("probe")]
"""The tests share the results of a fixture that takes long: one worker runs them."""

Doctor = Callable[..., Ran]
StackOf = Callable[..., Path]
NEWEST = noxfile.TRUTH_CELLS[0]
IN_CI = ("half_adapters", "padded_rows_overflow", "labels_ignored", "own_autocast", "untouched_adapters", "nan_weight")
"""Faults of the table that every run of the tests plants; ``nox -s probe-truth`` plants all of them."""


@pytest.fixture(scope="module")
def target(stack_of: StackOf) -> Path:
    return stack_of(*NEWEST.requirements)


@pytest.fixture(scope="module")
def results(target: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what ``in_target.py`` prints."""
    folder = tmp_path_factory.mktemp("in-target")
    command = [str(target / "bin" / "python"), str(Path(__file__).with_name("in_target.py"))]
    done = subprocess.run([*command, str(run.WORKER), str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return printed


def test_float16_breaks_exactly_where_headroom_is_negative_and_other_precisions_never(results: dict[str, Any]) -> None:
    signs = set()
    for largest, fp32, bf16, fp16 in results["ladder"].values():
        bits = math.log2(FLOAT16 / largest)
        signs.add(bits > 0)
        assert (fp32, bf16) == (True, True)
        assert fp16 is (bits > 0), f"at {bits:.2f} bits"
    assert signs == {True, False}


def test_a_model_that_is_trained_again_trains_as_a_new_one(results: dict[str, Any]) -> None:
    reuse = results["reuse"]
    assert reuse["shared"] == reuse["alone"]
    # One model for each dtype of the base, and the search for a fault may need more.
    assert reuse["built"] < reuse["recipes"]


def test_an_additive_mask_does_not_count_as_an_activation(results: dict[str, Any]) -> None:
    assert results["masks"] == {"bert": 7.0, "finfo": 7.0, "none": 7.0}


def test_gradient_norm_is_that_of_all_tensors_without_the_loss_scale(results: dict[str, Any]) -> None:
    assert results["norms"] == {"many": 500.0, "scaled": 1.25, "bad": None, "none": 0.0}


def test_questions_for_a_gpu_are_answered_by_computing(results: dict[str, Any]) -> None:
    answers = results["answers"]
    for name in ("bf16 product", "fp16 product", "fp32 product", "bf16 conv3d", "bf16 sdpa"):
        assert 0 < answers[name][0] < 0.01, name
    assert [answers[f"fp16 AdamW, {form}"][0] for form in ("foreach", "for-loop", "fused")] == [0.0, 0.0, 1.0]
    assert "Attempting to unscale FP16 gradients" in answers["GradScaler on fp16 parameters"][1]
    assert answers["sdpa, masked row"][0] == 1.0
    assert answers["bf16 speed"][0] > 0
    assert answers["flash-attention"] == [None, "ModuleNotFoundError"]


def test_a_checkpoint_that_does_not_fit_or_is_not_safe_is_refused(results: dict[str, Any]) -> None:
    refusals = results["refusals"]
    assert "GiB are free on cpu" in refusals["no room"]
    assert refusals["room for bfloat16"] == "bfloat16"
    assert "does not load pickled weights" in refusals["pickled"]
    assert "vc2doctor never runs code from a checkpoint" in refusals["code"]
    assert "is not a safetensors file" in refusals["damaged"]


def test_a_checkpoint_leads_to_no_pickle_and_to_no_file_outside_of_it(results: dict[str, Any]) -> None:
    layouts = results["layouts"]
    for name in ("outside", "absolute"):
        assert "which is not a file below the folder" in layouts[name], name
    for name in ("inside", "misnamed", "linked pickle"):
        assert "is not a safetensors file" in layouts[name], name
    assert "is not a regular file" in layouts["pipe"]
    # These checkpoints are loaded, but none of the files beside them.
    for name in ("adapter", "steered", "hub cache", "indexed"):
        assert layouts[name].endswith(" tensors"), name


def test_architectures_are_trained_with_two_small_layers_and_the_others_are_named(results: dict[str, Any]) -> None:
    answers = results["architectures"]
    failed = {name: answer[0] for name, answer in answers.items() if len(answer) == 1}
    assert failed == {"gemma": "shrink", "t5": "shrink", "made_up": "unknown", "chatglm": "own-code"}
    trained = {name: answer for name, answer in answers.items() if name not in failed}
    assert len(trained) >= 20
    for name, (_, parameters, losses) in trained.items():
        assert parameters < 1_000_000, name
        for steps in losses:
            assert steps[-1] < steps[0], f"{name}: the loss of the same batch falls"
    assert [answers[name][0] for name in ("gpt2", "gemma3", "deepseek_v3", "qwen2_5_vl")] == [
        *("GPT2LMHeadModel", "Gemma3ForCausalLM", "DeepseekV3ForCausalLM", "Qwen2_5_VLForConditionalGeneration"),
    ]


def test_values_that_are_not_finite_are_counted_by_tensor(results: dict[str, Any]) -> None:
    assert results["non_finite"] == [{"tensor": "model.layers.1.mlp.down_proj.weight", "values": 3, "of": 64 * 32}]


def test_a_function_that_returns_something_else_gets_a_clear_message(results: dict[str, Any]) -> None:
    entries = results["entries"]
    assert entries["missing"] == "Module user_module has no function missing. Check the name after the colon."
    assert "returned an object of type NoneType. It must return (model, batch)" in entries["nothing"]
    assert "returned a model of type int, which is not a torch.nn.Module" in entries["number"]
    assert entries["vectors"] == "The model returned a loss of shape (2, 2). It must be one number."
    assert entries["logits"] == (
        "The model returned an object of type dict without a loss. Check that the batch holds labels."
    )
    good = "torch.bfloat16 () from 1"
    assert entries["good"] == good, "the function gets the dtype, and a loss of shape (1,) is reshaped"
    assert entries["file"] == good, "a file is named by its path"


def test_batches_of_a_data_loader_are_passed_by_position_and_only_two_are_taken(results: dict[str, Any]) -> None:
    entries = results["entries"]
    assert entries["loader"] == "torch.bfloat16 () from 2"
    assert "returned a tuple_iterator without a batch" in entries["empty"]


def test_exception_of_the_function_is_told_with_its_place_and_one_of_torch_is_not_its_own(
    results: dict[str, Any],
) -> None:
    entries = results["entries"]
    assert entries["raises"] == (
        "user_module:raises(torch.bfloat16) raised KeyError at user_module.py:12: 'weights'. Fix this in your code."
    )
    assert "The iteration over the batches of user_module:damaged raised ValueError" in entries["damaged"]
    assert entries["no_memory"] == "not the function's: RuntimeError"


def probed(doctor: Doctor, target: Path, *options: str) -> dict[str, Any]:
    ran = doctor("probe", "--python", str(target), "--device", "cpu", "--format", "json", *options)
    assert ran.out, ran.err
    report: dict[str, Any] = json.loads(ran.out)
    return report


def test_a_checkpoint_is_measured_and_trained(doctor: Doctor, target: Path, results: dict[str, Any]) -> None:
    options = (
        "--model",
        results["checkpoint"],
        "--text",
        "a b c d e f g h",
        "--text",
        "h g f",
        "--profile",
        "causal-lm",
    )
    report = probed(doctor, target, *options)
    assert (report["verdict"], report["exit_code"]) == ("measured", 0)
    layers = report["probe"]["headroom"]["layers"]
    assert {"model.layers.0", "model.layers.1", "lm_head"} <= set(layers)
    report = probed(doctor, target, *options, "--train", "--recipes", "fp32,bf16")
    assert (report["verdict"], report["exit_code"]) == ("fit", 0)
    assert [recipe["outcome"] for recipe in report["probe"]["recipes"]] == ["finite", "finite"]
    for recipe in report["probe"]["recipes"]:
        assert [step["step"] for step in recipe["steps"]] == list(range(6))
        assert all(step["gradient_norm"] > 0 for step in recipe["steps"])


@pytest.mark.parametrize("options", [(), ("--train", "--recipes", "bf16")])
def test_a_checkpoint_that_holds_nan_is_an_error(
    doctor: Doctor, target: Path, results: dict[str, Any], options: tuple[str, ...]
) -> None:
    report = probed(doctor, target, "--model", results["checkpoint"] + "-bad", "--text", "a b c d", *options)
    assert (report["verdict"], report["exit_code"]) == ("unfit", 1)
    [finding] = [finding for finding in report["findings"] if finding["id"] == "VC018"]
    assert finding["message"].endswith("tiny-bad holds NaN or infinity in 1 tensor")
    assert finding["evidence"] == ["model.layers.1.mlp.down_proj.weight: 3 of 2048 values"]
    assert report["probe"]["headroom"] is None, "the largest finite value is not the range of the model"
    assert report["probe"]["range_broken"]["module"] == "model.layers.1.mlp.down_proj"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("nowhere:build", "there is no module nowhere. Check the name before the colon"),
        ("user_code:buld", "Module user_code has no function buld. Did you mean build?"),
        ("user_code:number", "user_code:number returned an object of type int. It must return (model, batch)"),
    ],
)
def test_a_mistake_in_the_name_of_the_function_is_wrong_usage(
    doctor: Doctor, target: Path, tmp_path: Path, entry: str, message: str
) -> None:
    (tmp_path / "user_code.py").write_text("def number():\n    return 3\n\n\ndef build():\n    raise KeyError('x')\n")
    ran = doctor("probe", "--python", str(target), "--entry", entry, cwd=tmp_path)
    assert (ran.code, ran.out) == (2, "")
    assert f"--entry {entry}: {message}" in ran.err


def test_function_that_raises_is_told_once_as_wrong_usage(doctor: Doctor, target: Path, tmp_path: Path) -> None:
    (tmp_path / "user_code.py").write_text("def build():\n    raise KeyError('x')\n")
    ran = doctor("probe", "--python", str(target), "--entry", "user_code.py:build", cwd=tmp_path)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.count("KeyError") == 1
    assert "--entry user_code.py:build: user_code.py:build() raised KeyError at user_code.py:2: 'x'." in ran.err


def test_stress_shows_margins_and_does_not_change_the_verdict(doctor: Doctor, target: Path) -> None:
    profile = ("--profile", "videochat2-mistral")
    report = probed(doctor, target, "--stress", "--seed", "3", "--attention", "eager", *profile)
    assert report["verdict"] == "fit"
    bits, outcomes = {}, {}
    for stress in report["probe"]["stress"]:
        bits[stress["plant"]] = math.log2(FLOAT16 / stress["headroom"]["tightest"]["largest"])
        outcomes[stress["plant"]] = {recipe["recipe"]: recipe["outcome"] for recipe in stress["recipes"]}
    assert bits == pytest.approx({"sink": 4.64, "smollm": 1.39, "stress": -0.03, "stress4x": -2.03}, abs=0.05)
    assert {outcomes[plant][name] for plant in outcomes for name in ("fp32", "bf16")} == {"finite"}
    assert [outcomes[plant]["fp16-amp"] for plant in outcomes] == ["finite", "finite", "non-finite", "non-finite"]


def test_a_probe_on_a_cpu_lists_what_only_a_gpu_can_show(doctor: Doctor, target: Path) -> None:
    probe = probed(doctor, target, "--recipes", "fp32,fp16-scaled")["probe"]
    assert "memory" in probe["not_measured"]
    assert {measure["status"] for measure in probe["measures"]} == {"unsupported"}
    assert (probe["self_test"]["seen"], probe["self_test"]["passed"]) == (True, True)
    assert all(recipe["seconds"] > 0 for recipe in probe["recipes"])


def test_planted_faults_are_named_and_their_twins_pass(target: Path) -> None:
    planted = [fault for fault in FAULTS if fault.name in IN_CI]
    rows = list(truth.rows(str(target), NEWEST.name, planted))
    assert len(rows) >= len(IN_CI)
    assert [truth.line(row) for row in rows if row.verdict != "right"] == []
