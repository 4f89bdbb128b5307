"""The names that programs import whenever they run: real files in a folder."""

from __future__ import annotations

from pathlib import Path

from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.analyse.tried_imports import TriedImport, imports_of_programs
from vc2doctor.linter.read.project import read_project

TRAIN = """import torch
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    Qwen9ForCausalLM as Model,
)
from helper import build

try:
    from peft import Missing
except ImportError:
    Missing = None

if torch.cuda.is_available():
    from trl import OnlyOnGpus


def late():
    from accelerate import Later


model = build(Model)
model.train()
loss = model(x)
loss.backward()
"""


def found(folder: Path, **files: str) -> tuple[TriedImport, ...]:
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    return imports_of_programs(Facts(CodeFacts(read_project((folder,)))))


def test_what_runs_always_is_found_with_its_own_line(tmp_path: Path) -> None:
    names = found(tmp_path, train=TRAIN, helper="from peft import get_peft_model as wrap\n")
    assert {(each.module, each.name, each.path, each.line) for each in names} == {
        ("torch", "nn", "train.py", 2),
        ("transformers", "AutoModelForCausalLM", "train.py", 4),
        ("transformers", "Qwen9ForCausalLM", "train.py", 5),
        ("peft", "get_peft_model", "helper.py", 1),
    }


def test_a_file_that_no_program_imports_is_left_out(tmp_path: Path) -> None:
    names = found(
        tmp_path, train=TRAIN, helper="build = 1\n", old="from peft import get_peft_modle\n\ndef f():\n    pass\n"
    )
    assert "old.py" not in {each.path for each in names}


def test_a_package_of_the_projects_own_is_not_that_of_the_index(tmp_path: Path) -> None:
    (tmp_path / "peft").mkdir()
    (tmp_path / "peft" / "__init__.py").write_text("x = 1\n", encoding="utf-8")
    assert found(tmp_path, train="from peft import x\nimport torch\nloss.backward()\n") == ()
