"""The whole doctor on the real stack: the reported case, run for real."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import noxfile
from tests.conftest import Ran
from vc2doctor.target.shared.recipes import DEFAULT_RECIPES

pytestmark = pytest.mark.stack

Doctor = Callable[..., Ran]
StackOf = Callable[..., Path]
TORCH = "torch==2.13.0"


def check(doctor: Doctor, environment: Path, *options: str) -> tuple[int, dict[str, Any]]:
    # These outcomes are those of VideoChat2's structure; a plain language model has no video to join.
    profile = ("--profile", "videochat2-mistral")
    ran = doctor("check", "--python", str(environment), "--device", "cpu", "--format", "json", *profile, *options)
    assert ran.out, ran.err
    report: dict[str, Any] = json.loads(ran.out)
    return ran.code, report


def outcomes_of(report: dict[str, Any]) -> dict[str, str]:
    return {recipe["recipe"]: recipe["outcome"] for recipe in report["probe"]["recipes"]}


def test_verified_set_is_fit_under_every_recipe(doctor: Doctor, stack_of: StackOf) -> None:
    cell = next(cell for cell in noxfile.CELLS if cell.name == "peft-0.21.2")
    code, report = check(doctor, stack_of(*cell.requirements))
    assert code == 0
    assert report["verdict"] == "fit"
    outcomes = outcomes_of(report)
    # Upstream joins text and video outside of autocast, so this recipe fails in every environment.
    assert outcomes.pop("bf16-in-fp16-autocast") == "error"
    assert outcomes == dict.fromkeys(outcomes, "finite")
    assert len(outcomes) == len(DEFAULT_RECIPES) - 1
    assert report["probe"]["adapter"]["done"] == ["save", "reload", "generate"]
    assert report["combination"]["verdict"] in {"verified", "compatible"}
    assert [finding["id"] for finding in report["findings"] if finding["severity"] != "note"] == ["VC009"]


def test_peft_0_10_poisons_float16_and_trains_in_bfloat16(doctor: Doctor, stack_of: StackOf) -> None:
    environment = stack_of(TORCH, "transformers==4.40.1", "peft==0.10.0")
    code, report = check(doctor, environment)
    assert code == 0
    recipes = {recipe["recipe"]: recipe for recipe in report["probe"]["recipes"]}
    assert recipes["fp16-unscaled"]["outcome"] == "poisoned"
    assert 3 < recipes["fp16-unscaled"]["first_loss"] < 6
    assert recipes["fp16-unscaled"]["adapters"] == ["float16"]
    assert recipes["fp16-scaled"]["outcome"] == "error"
    assert "Attempting to unscale FP16 gradients" in recipes["fp16-scaled"]["description"]
    assert recipes["bf16"]["outcome"] == "finite"
    code, report = check(doctor, environment, "--precision", "fp16")
    assert code == 1
    errors = [finding["id"] for finding in report["findings"] if finding["severity"] == "error"]
    assert errors == ["VC005"], "one cause gives one finding"


def test_peft_0_4_trains_in_float16_and_in_bfloat16(doctor: Doctor, stack_of: StackOf) -> None:
    code, report = check(doctor, stack_of(TORCH, "transformers==4.40.1", "peft==0.4.0"))
    assert code == 0
    outcomes = outcomes_of(report)
    assert [outcomes[name] for name in ("fp16-unscaled", "fp16-scaled", "bf16")] == ["finite"] * 3
    assert outcomes["bf16-in-fp16-autocast"] == "error"


def test_broken_pair_is_named_and_the_first_command_fixes_it(doctor: Doctor, stack_of: StackOf) -> None:
    environment = stack_of(TORCH, "transformers==4.36.2", "peft==0.17.0")
    files_before = set(environment.rglob("*"))
    ran = doctor("check", "--python", str(environment))
    assert set(environment.rglob("*")) == files_before, "the examination wrote into the environment"
    assert ran.code == 1
    assert "peft 0.17.0 with transformers 4.36.2" in ran.out
    assert "EncoderDecoderCache" in ran.out
    code, report = check(doctor, environment)
    assert code == 1
    command = report["findings"][0]["commands"][0]
    program, *arguments = shlex.split(command)
    assert program == "uv", "an environment that uv made has no pip"
    subprocess.run(
        [sys.executable, "-m", "uv", *arguments, "--quiet"], check=True, env={**os.environ, **noxfile.uv_settings()}
    )
    code, report = check(doctor, environment)
    assert code == 0, report["findings"]
    assert report["verdict"] == "fit"


CODE = """\
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

base = AutoModelForCausalLM.from_pretrained("gpt2", torch_dtype=torch.{dtype})
model = get_peft_model(base, LoraConfig())
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
scaler = torch.amp.GradScaler("cuda")
for batch in loader:
    with torch.autocast("cuda", dtype=torch.{dtype}):
        loss = model(**batch).loss
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    optimizer.zero_grad()
"""


def gate(doctor: Doctor, folder: Path, environment: Path, *options: str) -> dict[str, Any]:
    file = folder / "report.json"
    words = ("--python", str(environment), "--device", "cpu", "--output", str(file), *options)
    doctor("gate", *words, "--", str(environment / "bin" / "python"), "train.py", cwd=folder, HF_HUB_OFFLINE="1")
    report: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return report


def test_gate_runs_only_the_recipe_of_the_command_and_its_control(
    doctor: Doctor, stack_of: StackOf, tmp_path: Path
) -> None:
    (tmp_path / "train.py").write_text(CODE.format(dtype="bfloat16"), encoding="utf-8")
    cell = next(cell for cell in noxfile.CELLS if cell.name == "peft-0.21.2")
    report = gate(doctor, tmp_path, stack_of(*cell.requirements))
    assert set(outcomes_of(report)) == {"fp32", "bf16-scaled"}
    assert set(report["plan"]["recipes_left_out"]) == set(DEFAULT_RECIPES) - {"fp32", "bf16-scaled"}


def test_gate_runs_all_recipes_if_that_of_the_command_fails(doctor: Doctor, stack_of: StackOf, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(CODE.format(dtype="float16"), encoding="utf-8")
    report = gate(doctor, tmp_path, stack_of(TORCH, "transformers==4.40.1", "peft==0.10.0"))
    outcomes = outcomes_of(report)
    assert outcomes["fp16-scaled"] == "error"
    assert outcomes["bf16"] == "finite"
    assert report["plan"]["recipes_left_out"] == []
