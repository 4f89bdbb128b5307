"""What the code does at the doors is read where it is written out, and runs whenever the program does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vc2doctor.linter.analyse.code_use import use_of
from vc2doctor.linter.analyse.doors import doors_of
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.read.project import read_project
from vc2doctor.target.shared.code_use import CodeUse, parsed

PROGRAM = """\
from peft import LoraConfig, PrefixTuningConfig, PromptEncoderConfig, PromptTuningConfig, TaskType, get_peft_model
from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

TARGETS = ["q_proj", "v_proj"]

def main():
    model = AutoModelForCausalLM.from_pretrained("base")
    {before}
    model = get_peft_model(model, {config})
    {after}
    args = TrainingArguments("out", bf16=True{arguments})
    Trainer(model=model, args=args, train_dataset=[]).train()

if __name__ == "__main__":
    main()
"""
PARTS = {"before": "pass", "after": "pass", "arguments": "", "config": "LoraConfig()"}
CHECKPOINTING = ", gradient_checkpointing=True"
SWITCH = "model.gradient_checkpointing_enable()"
CASES: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "plain": ({}, ()),
    "by the arguments": ({"arguments": CHECKPOINTING}, ("checkpointing",)),
    "switched off": ({"arguments": ", gradient_checkpointing=False"}, ()),
    "a run decides": ({"arguments": ", gradient_checkpointing=args.checkpointing"}, ()),
    "after the adapters": ({"after": SWITCH}, ("checkpointing",)),
    "under a condition": ({"after": f"if args.checkpointing: {SWITCH}"}, ()),
    "inputs with gradients": ({"after": "model.enable_input_require_grads()", "arguments": CHECKPOINTING}, ()),
    "embeddings trained": ({"config": "LoraConfig(modules_to_save=['embed'])", "arguments": CHECKPOINTING}, ()),
    "prefix": ({"config": "PrefixTuningConfig()"}, ("prefix",)),
    "prompt": ({"config": "PromptTuningConfig(task_type='CAUSAL_LM')"}, ("prompt",)),
    "p-tuning": ({"config": "PromptEncoderConfig(task_type=TaskType.CAUSAL_LM)"}, ("p_tuning",)),
    "of an encoder": ({"config": "PrefixTuningConfig(task_type=TaskType.SEQ_2_SEQ_LM)"}, ()),
    "prefix, checkpointed": (
        {"config": "PrefixTuningConfig()", "arguments": CHECKPOINTING},
        ("prefix", "prefix_checkpointing"),
    ),
    "accumulated": ({"arguments": ", gradient_accumulation_steps=8"}, ("accumulation",)),
    "one batch to a step": ({"arguments": ", gradient_accumulation_steps=1"}, ()),
    "names": ({"config": "LoraConfig(target_modules=TARGETS)"}, ("targets",)),
    "every linear layer": ({"config": "LoraConfig(target_modules='all-linear')"}, ()),
    "names of a run": ({"config": "LoraConfig(target_modules=args.targets)"}, ()),
}


def use_and_doors(folder: Path, source: str) -> tuple[CodeUse, set[str]]:
    (folder / "train.py").write_text(source, encoding="utf-8")
    facts = Facts(CodeFacts(read_project((folder,))))
    use = use_of(facts)
    return use, set(doors_of(facts, use))


@pytest.mark.parametrize("name", CASES)
def test_doors_that_only_some_code_uses(name: str, tmp_path: Path) -> None:
    parts, expected = CASES[name]
    _, doors = use_and_doors(tmp_path, PROGRAM.format(**{**PARTS, **parts}))
    assert doors == {"trainer", *expected}


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"before": SWITCH}, {"checkpointing": "before"}),
        ({"after": SWITCH}, {"checkpointing": "after"}),
        ({"before": SWITCH, "after": SWITCH}, {"checkpointing": ""}),
        ({"arguments": ", gradient_checkpointing_kwargs={'use_reentrant': False}"}, {"reentrant": False}),
        ({"config": "LoraConfig(target_modules=TARGETS)"}, {"targets": ("q_proj", "v_proj"), "is_pattern": False}),
        ({"config": r"LoraConfig(target_modules=r'.*\.q')"}, {"targets": (r".*\.q",), "is_pattern": True}),
    ],
)
def test_what_the_code_does_there(parts: dict[str, str], expected: dict[str, Any], tmp_path: Path) -> None:
    use, _ = use_and_doors(tmp_path, PROGRAM.format(**{**PARTS, **parts}))
    assert {name: getattr(use, name) for name in expected} == expected
    assert parsed({**use._asdict(), "targets": list(use.targets)}) == use


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", ""),
        ("resume_from_checkpoint=None", ""),
        ("resume_from_checkpoint=False", ""),
        ("resume_from_checkpoint=True", "does"),
        ("'out/checkpoint-2'", "does"),
        ("resume_from_checkpoint=args.checkpoint", "may"),
    ],
)
def test_a_trainer_that_goes_on_from_a_checkpoint(given: str, expected: str, tmp_path: Path) -> None:
    source = PROGRAM.format(**PARTS).replace(".train()", f".train({given})")
    use, doors = use_and_doors(tmp_path, source)
    assert use.resumes == expected
    assert ("resume" in doors) is bool(expected)


def test_trainer_with_steps_of_its_own_averages_as_it_likes(tmp_path: Path) -> None:
    own = "class Mine(Trainer):\n    def compute_loss(self, model, inputs, **more):\n        return 0\n"
    source = PROGRAM.format(**{**PARTS, "arguments": ", gradient_accumulation_steps=8"}) + own
    assert "accumulation" not in use_and_doors(tmp_path, source)[1]


def test_target_modules_of_a_diffusion_model_say_nothing_about_its_text_encoder(tmp_path: Path) -> None:
    source = "import diffusers\n" + PROGRAM.format(**{**PARTS, "config": "LoraConfig(target_modules=TARGETS)"})
    assert "targets" not in use_and_doors(tmp_path, source)[1]
