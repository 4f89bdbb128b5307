"""What reaches a program: its imports, its launch script and its configurations, by path and never by name alone."""

from __future__ import annotations

from pathlib import Path

from vc2doctor.linter.fix.programs import Program, programs_of
from vc2doctor.linter.fix.view import ProjectView
from vc2doctor.linter.run import LintTask, apply_rules

TRAIN = """import torch
{imports}

if __name__ == "__main__":
    torch.optim.AdamW([])
    torch.ones(1).sum().backward()
"""


def programs(folder: Path, files: dict[str, str]) -> dict[str, Program]:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    task = LintTask(paths=(folder,))
    return {program.name: program for program in programs_of(ProjectView(task, apply_rules(task), {}))}


def test_imports_are_followed_through_code_that_does_not_mention_precision(tmp_path: Path) -> None:
    files = {
        "train.py": TRAIN.format(imports="from lib import engine"),
        "lib/__init__.py": "",
        "lib/engine.py": "from . import deep\nfrom .sub.names import value\n",
        "lib/deep.py": "import plain\n",
        "lib/sub/__init__.py": "",
        "lib/sub/names.py": "value = 1\n",
        "plain.py": "",
        "unrelated.py": "",
    }
    (program,) = programs(tmp_path, files).values()
    assert program.code == set(files) - {"unrelated.py"}


def test_code_that_is_imported_by_a_name_from_the_run_makes_the_unit_reachable(tmp_path: Path) -> None:
    files = {
        "train.py": TRAIN.format(imports="import importlib, sys\n\nmodel = importlib.import_module(sys.argv[1])"),
        "models/a.py": "",
        "other.py": TRAIN.format(imports=""),
    }
    found = programs(tmp_path, files)
    assert found["train.py"].code == {"train.py", "models/a.py"}
    assert found["other.py"].code == {"other.py"}


def test_class_that_is_named_as_a_text_is_reached(tmp_path: Path) -> None:
    files = {"train.py": TRAIN.format(imports="target = 'models.vit.ViT'"), "models/vit.py": "", "models/other.py": ""}
    (program,) = programs(tmp_path, files).values()
    assert program.code == {"train.py", "models/vit.py"}


def test_script_starts_the_file_at_its_path_and_no_other_of_that_name(tmp_path: Path) -> None:
    files = {
        "a/train.py": TRAIN.format(imports=""),
        "b/train.py": TRAIN.format(imports=""),
        "a/run.sh": "python train.py --config configs/one.yaml\n",
        "a/configs/one.yaml": "precision: 16\n",
        "b/configs/one.yaml": "precision: 16\n",
        "run_b.sh": "torchrun --nproc_per_node 2 \\\n    b/train.py\n",
    }
    found = programs(tmp_path, files)
    assert set(found) == {"a/train.py (a/run.sh)", "b/train.py (run_b.sh)"}
    assert found["a/train.py (a/run.sh)"].settings == {"a/configs/one.yaml"}


def test_each_script_that_starts_a_file_is_a_program(tmp_path: Path) -> None:
    files = {"train.py": TRAIN.format(imports=""), "one.sh": "python train.py\n", "two.sh": "python -m train\n"}
    assert set(programs(tmp_path, files)) == {"train.py (one.sh)", "train.py (two.sh)"}


def test_code_that_evaluates_is_no_program(tmp_path: Path) -> None:
    files = {
        "train.py": TRAIN.format(imports=""),
        "eval.py": "import torch\nimport train\n\nif __name__ == '__main__':\n    torch.ones(1).half()\n",
        "eval.sh": "python eval.py\n",
    }
    assert set(programs(tmp_path, files)) == {"train.py"}
