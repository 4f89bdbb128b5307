"""The whole doctor on the real stack: what the issue names, run for real."""

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
from vc2doctor.target.shared.recipes import RECIPES

pytestmark = pytest.mark.stack

Doctor = Callable[..., Ran]
StackOf = Callable[..., Path]
TORCH = "torch==2.13.0"


def examined(doctor: Doctor, environment: Path, *options: str) -> tuple[int, dict[str, Any]]:
    ran = doctor("check", "--python", str(environment), "--device", "cpu", "--format", "json", *options)
    assert ran.out, ran.err
    told: dict[str, Any] = json.loads(ran.out)
    return ran.code, told


def outcomes(told: dict[str, Any]) -> dict[str, str]:
    return {recipe["recipe"]: recipe["outcome"] for recipe in told["probe"]["recipes"]}


def test_the_verified_set_is_fit_under_every_recipe(doctor: Doctor, stack_of: StackOf) -> None:
    cell = next(cell for cell in noxfile.CELLS if cell.name == "peft-0.21.2")
    code, told = examined(doctor, stack_of(*cell.requirements))
    assert code == 0
    assert told["verdict"] == "fit"
    found = outcomes(told)
    # bfloat16 and float16 meet where upstream joins text and video, whatever is installed.
    assert found.pop("bf16-in-fp16-autocast") == "error"
    assert found == dict.fromkeys(found, "finite")
    assert len(found) == len(RECIPES) - 1
    assert told["probe"]["adapter"]["done"] == ["save", "reload", "generate"]
    assert told["combination"]["verdict"] in {"verified", "compatible"}
    assert [finding["id"] for finding in told["findings"] if finding["severity"] != "note"] == ["VC009"]


def test_peft_0_10_poisons_float16_and_trains_in_bfloat16(doctor: Doctor, stack_of: StackOf) -> None:
    environment = stack_of(TORCH, "transformers==4.40.1", "peft==0.10.0")
    code, told = examined(doctor, environment)
    assert code == 0
    found = {recipe["recipe"]: recipe for recipe in told["probe"]["recipes"]}
    assert found["fp16-unscaled"]["outcome"] == "poisoned"
    assert 3 < found["fp16-unscaled"]["first_loss"] < 6
    assert found["fp16-unscaled"]["adapters"] == ["float16"]
    assert found["fp16-scaled"]["outcome"] == "error"
    assert "Attempting to unscale FP16 gradients" in found["fp16-scaled"]["description"]
    assert found["bf16"]["outcome"] == "finite"
    code, told = examined(doctor, environment, "--precision", "fp16")
    assert code == 1
    assert [f["id"] for f in told["findings"] if f["severity"] == "error"] == ["VC005"], "one cause, one finding"


def test_peft_0_4_trains_in_both(doctor: Doctor, stack_of: StackOf) -> None:
    code, told = examined(doctor, stack_of(TORCH, "transformers==4.40.1", "peft==0.4.0"))
    assert code == 0
    found = outcomes(told)
    assert [found[name] for name in ("fp16-unscaled", "fp16-scaled", "bf16")] == ["finite"] * 3
    assert found["bf16-in-fp16-autocast"] == "error"


def test_the_broken_pair_is_named_and_the_first_prescription_mends_it(doctor: Doctor, stack_of: StackOf) -> None:
    environment = stack_of(TORCH, "transformers==4.36.2", "peft==0.17.0")
    before = set(environment.rglob("*"))
    ran = doctor("check", "--python", str(environment))
    assert set(environment.rglob("*")) == before, "the examination wrote into the environment"
    assert ran.code == 1
    assert "peft 0.17.0 with transformers 4.36.2" in ran.out
    assert "EncoderDecoderCache" in ran.out
    code, told = examined(doctor, environment)
    assert code == 1
    command = told["findings"][0]["commands"][0]
    program, *arguments = shlex.split(command)
    assert program == "uv", "an environment that uv made has no pip"
    subprocess.run(
        [sys.executable, "-m", "uv", *arguments, "--quiet"], check=True, env={**os.environ, **noxfile.uv_settings()}
    )
    code, told = examined(doctor, environment)
    assert code == 0, told["findings"]
    assert told["verdict"] == "fit"
