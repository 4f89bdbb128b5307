"""The doors that only some code uses: each shows a fault that releases really have, and passes where it has none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Ran
from vc2doctor.probe.doors import DoorOutcome, door_outcomes
from vc2doctor.probe.run import probe

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("used-doors")]

Doctor = Callable[..., Ran]
StackOf = Callable[..., Path]
TORCH = "torch==2.13.0"
TRAINS_PREFIXES = (TORCH, "transformers==4.49.0", "peft==0.14.0", "accelerate==1.4.0")
"""Its Trainer sums the gradients of LLaVA, and its checkpointing gets no input with a gradient."""
BREAKS_PREFIXES = (TORCH, "transformers==4.57.1", "peft==0.12.0", "accelerate==1.10.0")
"""This peft hands prefixes over as tuples, and this transformers takes objects."""
LOSES_RANDOM_STATES = (TORCH, "transformers==4.46.2", "peft==0.13.2", "accelerate==1.1.1", "numpy==1.26.4")
"""This transformers loads NumPy's random state in a way that torch refuses from 2.6 on."""
CHECKPOINTED = {"adapts_model": True, "uses_trainer": True, "checkpointing": "arguments"}
MISTRAL = json.dumps({"model_type": "mistral"})
LLAVA = json.dumps({"model_type": "llava"})


@pytest.fixture(scope="module")
def target(stack_of: StackOf) -> str:
    return str(stack_of(*TRAINS_PREFIXES) / "bin" / "python")


def opened(target: str, door: str, use: dict[str, Any] | None = None, architecture: str = "") -> DoorOutcome:
    spec = {"model": "language", "doors": [door], "use": use or {}, "architecture": architecture}
    run = probe(target, "cpu", [], 300.0, lambda _: None, spec)
    assert run.ending == "finished", run.child.errors
    (outcome,) = door_outcomes(run)
    return outcome


@pytest.mark.parametrize("door", ["prefix", "prompt", "p_tuning"])
def test_prompt_learning_trains(target: str, door: str) -> None:
    outcome = opened(target, door, {"uses_trainer": door == "prefix", "checkpointing": "arguments"})
    assert outcome.outcome == "passed", outcome.description


def test_prefixes_that_this_transformers_does_not_take_are_found(stack_of: StackOf) -> None:
    outcome = opened(str(stack_of(*BREAKS_PREFIXES) / "bin" / "python"), "prefix")
    assert outcome.outcome == "failed"
    assert "'tuple' object has no attribute" in outcome.description


def test_a_run_that_cannot_be_resumed_is_found(target: str, stack_of: StackOf) -> None:
    older = str(stack_of(*LOSES_RANDOM_STATES) / "bin" / "python")
    assert opened(target, "resume", {"uses_trainer": True, "resumes": "does"}).outcome == "passed"
    does = opened(older, "resume", {"uses_trainer": True, "resumes": "does"})
    assert (does.outcome, "UnpicklingError" in does.description) == ("failed", True), does.description
    may = opened(older, "resume", {"uses_trainer": True, "resumes": "may"})
    assert may.outcome == "passed"
    assert may.doubt is not None
    assert may.doubt.startswith("a run cannot go on from its own checkpoint: UnpicklingError")


def test_prefix_under_checkpointing_gets_no_gradient(target: str) -> None:
    assert opened(target, "prefix_checkpointing", {"checkpointing": "after"}).outcome == "failed"


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        (CHECKPOINTED, "failed"),
        ({**CHECKPOINTED, "uses_trainer": False}, "failed"),
        ({**CHECKPOINTED, "checkpointing": "after"}, "failed"),
        ({**CHECKPOINTED, "checkpointing": "before"}, "passed"),
        ({**CHECKPOINTED, "reentrant": False}, "passed"),
        # The user names the door, and no code was read.
        ({}, "failed"),
    ],
)
def test_checkpointing_of_a_frozen_model(target: str, use: dict[str, Any], expected: str) -> None:
    outcome = opened(target, "checkpointing", use)
    assert outcome.outcome == expected, outcome.description


def test_accumulated_gradients_of_a_class_that_ignores_the_number_of_items_are_a_sum(target: str) -> None:
    summed = opened(target, "accumulation", {}, LLAVA)
    assert summed.outcome == "passed"
    assert summed.doubt is not None
    assert "4.00 times that of the same rows in one batch" in summed.doubt
    averaged = opened(target, "accumulation", {}, MISTRAL)
    assert (averaged.outcome, averaged.doubt) == ("passed", None)


@pytest.mark.parametrize(
    ("targets", "is_pattern", "outcome", "doubts"),
    [
        (["q_proj", "v_proj"], False, "passed", False),
        (["query_key_value"], False, "failed", False),
        ([], False, "unsupported", False),
        ([r".*self_attn\.(q|v)_proj"], True, "passed", False),
        ([r".*attention\.(q|v)"], True, "failed", False),
        # The miniature has two layers.
        ([r".*layers\.2\d\..*q_proj"], True, "unsupported", False),
        (["q_proj", r".*mlp\.(up|down)_proj"], False, "passed", True),
    ],
)
def test_target_modules_of_the_code(
    target: str, targets: list[str], is_pattern: bool, outcome: str, doubts: bool
) -> None:
    found = opened(target, "targets", {"targets": targets, "is_pattern": is_pattern}, MISTRAL)
    assert (found.outcome, found.doubt is not None) == (outcome, doubts), found.description


PROGRAM = """\
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

model = AutoModelForCausalLM.from_pretrained("mistralai/Mistral-7B-v0.1")
model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj", "v_proj"]))
{more}
args = TrainingArguments("out", bf16=True, gradient_checkpointing=True)
Trainer(model=model, args=args, train_dataset=[]).train()
"""


@pytest.mark.parametrize(("more", "code"), [("", 1), ("model.enable_input_require_grads()", 0)])
def test_check_tries_what_the_code_does(doctor: Doctor, target: str, tmp_path: Path, more: str, code: int) -> None:
    (tmp_path / "train.py").write_text(PROGRAM.format(more=more), encoding="utf-8")
    ran = doctor("check", "--python", target, "--device", "cpu", "--format", "json", "--code", str(tmp_path))
    report = json.loads(ran.out)
    assert ran.code == code, report["findings"]
    if code:
        first = report["findings"][0]
        assert first["id"] == "VC022"
        assert first["remedy"].startswith("Call model.enable_input_require_grads()")
        assert not first["commands"]
