"""What code trains, and at which learning rate, is read from its models, trainers and commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.recipe import recipes_of
from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.analyse.trained_kind import learning_rate_of
from vc2doctor.linter.read.project import read_project

HEAD = """
import torch
from transformers import AutoModelForCausalLM, AutoModel, BitsAndBytesConfig, Trainer, TrainingArguments
from peft import LoraConfig, get_peft_model
"""
LOAD = "model = AutoModelForCausalLM.from_pretrained('some/model'{0})\n"
TRAIN = "Trainer(model=model, args=TrainingArguments('o', {0}=True, learning_rate=1e-6)).train()\n"
QUANTIZED = ", quantization_config=BitsAndBytesConfig(load_in_4bit=True)"
ADAPTERS = "model = get_peft_model(model, LoraConfig())\n"

CASES = {
    "every weight": (LOAD.format("") + TRAIN.format("bf16"), "full-bf16-amp"),
    "every weight in bfloat16": (LOAD.format(", torch_dtype=torch.bfloat16") + TRAIN.format("bf16"), "full-bf16"),
    "every weight in float32": (LOAD.format(", torch_dtype=torch.float32") + TRAIN.format("bf16"), "full-bf16-amp"),
    "adapters": (LOAD.format("") + ADAPTERS + TRAIN.format("bf16"), "bf16-amp"),
    "four bits": (LOAD.format(QUANTIZED) + ADAPTERS + TRAIN.format("bf16"), "qlora-bf16"),
    "four bits and loss scaling": (LOAD.format(QUANTIZED) + ADAPTERS + TRAIN.format("fp16"), "qlora-fp16"),
    "eight bits": (LOAD.format(", load_in_8bit=True") + ADAPTERS + TRAIN.format("bf16"), "bf16-amp"),
    "a part is frozen": (
        LOAD.format("") + "for p in model.model.parameters():\n    p.requires_grad = False\n" + TRAIN.format("bf16"),
        "bf16-amp",
    ),
    "not a language model": (LOAD.format("").replace("ForCausalLM", "") + TRAIN.format("bf16"), "bf16-amp"),
    "a base in bfloat16": (LOAD.format(", torch_dtype=torch.bfloat16") + ADAPTERS + TRAIN.format("bf16"), "bf16"),
    "a base that is cast": (
        "model = AutoModelForCausalLM(config).half()\n" + ADAPTERS + TRAIN.format("fp16"),
        "fp16-scaled",
    ),
    "no recipe for these weights": (
        LOAD.format(", torch_dtype=torch.bfloat16") + ADAPTERS + TRAIN.format("fp16"),
        "fp16-amp",
    ),
    "no full recipe for float16": (LOAD.format("") + TRAIN.format("fp16"), "fp16-amp"),
}


def facts_of(folder: Path, source: str, installed: dict[str, str] | None = None) -> Facts:
    (folder / "train.py").write_text(HEAD + source, encoding="utf-8")
    return Facts(CodeFacts(read_project((folder,), installed=installed)))


@pytest.mark.parametrize("name", CASES)
def test_recipe(name: str, tmp_path: Path) -> None:
    source, expected = CASES[name]
    assert recipes_of(facts_of(tmp_path, source)) == {"train.py": expected}


def test_trl_adds_adapters_by_an_argument(tmp_path: Path) -> None:
    head = "from trl import SFTTrainer, SFTConfig\n"
    train = "SFTTrainer(model=model, args=SFTConfig('o', bf16=True){0}).train()\n"
    assert recipes_of(facts_of(tmp_path, head + LOAD.format("") + train.format(""))) == {"train.py": "full-bf16-amp"}
    with_adapters = train.format(", peft_config=LoraConfig()")
    assert recipes_of(facts_of(tmp_path, head + LOAD.format("") + with_adapters)) == {"train.py": "bf16-amp"}


@pytest.mark.parametrize(("version", "expected"), [("4.57.6", "full-bf16-amp"), ("5.1.0", "full-bf16")])
def test_transformers_5_loads_the_dtype_of_the_checkpoint(version: str, expected: str, tmp_path: Path) -> None:
    source = LOAD.format("") + TRAIN.format("bf16")
    assert recipes_of(facts_of(tmp_path, source, {"transformers": version})) == {"train.py": expected}


def test_the_learning_rate_is_that_of_the_arguments(tmp_path: Path) -> None:
    assert learning_rate_of(facts_of(tmp_path, LOAD.format("") + TRAIN.format("bf16"))) == 1e-6


def test_the_command_wins_over_the_code(tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_text("python train.py --learning_rate 2e-5\n", encoding="utf-8")
    assert learning_rate_of(facts_of(tmp_path, LOAD.format("") + TRAIN.format("bf16"))) == 2e-5


def test_several_rates_are_none(tmp_path: Path) -> None:
    source = LOAD.format("") + TRAIN.format("bf16") + TRAIN.format("bf16").replace("1e-6", "1e-5")
    assert learning_rate_of(facts_of(tmp_path, source)) is None


def test_a_hand_written_loop_names_the_rate_of_its_optimizer(tmp_path: Path) -> None:
    source = LOAD.format("") + "optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)\n"
    assert learning_rate_of(facts_of(tmp_path, source)) == 3e-4
