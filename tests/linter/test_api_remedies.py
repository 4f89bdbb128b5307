"""What findings about names and arguments tell people to do: built from the line, and from what stays installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from vc2doctor.linter.run import LintTask, apply_rules
from vc2doctor.linter.settings import LintSettings

LOAD = "from transformers import LlamaForCausalLM\nmodel = LlamaForCausalLM.from_pretrained('x', {})\nmodel.train()\n"
SFT = "from trl import SFTTrainer\nSFTTrainer(model, max_seq_length=512).train()\n"


def remedies(folder: Path, code: str, requirements: str) -> list[str]:
    (folder / "train.py").write_text(code, encoding="utf-8")
    (folder / "requirements.txt").write_text(requirements, encoding="utf-8")
    return [
        each.remedy
        for each in apply_rules(LintTask(paths=(folder,), settings=LintSettings(select=("VC118",)))).findings
    ]


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("load_in_8bit=True", "Write `quantization_config=BitsAndBytesConfig(load_in_8bit=True)`"),
        ("load_in_8bit=False", "Leave it out"),
        ("load_in_4bit=None", "Leave it out"),
        (
            "load_in_4bit=args.q",
            "Write `quantization_config=BitsAndBytesConfig(load_in_4bit=True) if args.q else None`",
        ),
        ("**{'load_in_8bit': False}", "Leave it out"),
        (
            "**dict(load_in_4bit=flag)",
            "Write `quantization_config=BitsAndBytesConfig(load_in_4bit=True) if flag else None`",
        ),
        ("use_auth_token=False", "Write `token=False`"),
        ("use_flash_attention_2=True", 'Write `attn_implementation="flash_attention_2"`'),
        ("use_flash_attention_2=False", "Leave it out"),
        ("use_flash_attention_2=fast", 'Write `attn_implementation="flash_attention_2" if fast else "sdpa"`'),
    ],
)
def test_what_replaces_a_keyword_says_what_the_line_said(tmp_path: Path, argument: str, expected: str) -> None:
    (remedy,) = remedies(tmp_path, LOAD.format(argument), "transformers==5.9.0\n")
    assert remedy.partition(", or install")[0] == expected


def test_releases_that_do_not_work_with_what_is_pinned_are_not_advised(tmp_path: Path) -> None:
    (new,) = remedies(tmp_path, SFT, "trl==1.4.0\ntransformers==5.9.0\n")
    assert new == "Change the code: no release of trl that takes it works with transformers 5.9.0."
    (old,) = remedies(tmp_path, SFT, "trl==0.15.2\ntransformers==4.45.2\n")
    assert old.startswith("Install trl ")
