"""An environment without peft, and code that never mentions adapters: every weight is trained, and faults are found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Ran
from vc2doctor.checks.tried import NO_ADAPTERS
from vc2doctor.probe.doors import door_outcomes, installed_doors
from vc2doctor.probe.run import probe

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("without-peft")]

Doctor = Callable[..., Ran]
StackOf = Callable[..., Path]
TORCH = "torch==2.13.0"
PLAIN_TRAINER = """\
from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

model = AutoModelForCausalLM.from_pretrained("base")
Trainer(model=model, args=TrainingArguments("out", learning_rate=2e-5{more}), train_dataset=[]).train()
"""


def check(doctor: Doctor, environment: Path, folder: Path, more: str = "") -> tuple[int, dict[str, Any]]:
    (folder / "train.py").write_text(PLAIN_TRAINER.format(more=more), encoding="utf-8")
    options = ("--device", "cpu", "--format", "json", "--code", str(folder))
    ran = doctor("check", "--python", str(environment), *options)
    assert ran.out, ran.err
    return ran.code, json.loads(ran.out)


@pytest.mark.parametrize("more", ["", ", fp16=True"])
def test_plain_trainer_is_fit_and_the_report_says_that_no_adapter_was_tried(
    doctor: Doctor, stack_of: StackOf, tmp_path: Path, more: str
) -> None:
    environment = stack_of(TORCH, "transformers==4.49.0", "accelerate==1.4.0")
    code, report = check(doctor, environment, tmp_path, more)
    assert (code, report["verdict"]) == (0, "fit"), report["findings"]
    assert report["plan"]["precision"] == ("fp16-amp" if more else "full-bf16-amp")
    assert report["probe"]["not_tried"][0] == NO_ADAPTERS
    assert report["probe"]["adapter"] is None
    assert {door["door"]: door["outcome"] for door in report["probe"]["doors"]}["trainer"] == "passed"
    assert ("VC001", "note") in {(each["id"], each["severity"]) for each in report["findings"]}


def test_accelerate_that_this_trainer_refuses_is_found_and_the_remedy_leaves_peft_away(
    doctor: Doctor, stack_of: StackOf, tmp_path: Path
) -> None:
    environment = stack_of(TORCH, "transformers==4.50.0", "accelerate==0.25.0")
    code, report = check(doctor, environment, tmp_path)
    assert (code, report["verdict"]) == (1, "unfit")
    first = report["findings"][0]
    assert first["id"] == "VC022"
    (command,) = first["commands"]
    assert "accelerate==0.26.0" in command
    assert "peft" not in command


def test_every_door_trains_without_adapters(stack_of: StackOf) -> None:
    environment = stack_of(TORCH, "transformers==4.49.0", "accelerate==1.4.0")
    doors = ("accelerate", "ddp", "trainer")
    assert set(doors) <= set(installed_doors(["accelerate"]))
    spec = {"model": "language", "doors": doors, "import_doors": True, "adapters": False}
    run = probe(str(environment / "bin" / "python"), "cpu", ["qlora-bf16"], 300.0, lambda _: None, spec)
    outcomes = {each.door: (each.outcome, each.description) for each in door_outcomes(run)}
    # What only adapters need is closed: its import would fail for want of peft.
    assert {door: state for door, (state, _) in outcomes.items()} == dict.fromkeys(doors, "passed"), outcomes
    (recipe,) = run.recipes
    assert recipe.unsupported is not None
    assert "needs bitsandbytes" in recipe.unsupported
