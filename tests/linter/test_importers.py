"""Programs that import training code are read, although they do not mention precision themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from vc2doctor.linter.read.importers import MAX_IMPORTERS
from vc2doctor.linter.read.project import read_project

ENGINE = """import torch

def train(model):
    with torch.autocast("cuda"):
        loss = model(1)
    loss.backward()
"""


def modules_of(folder: Path, files: dict[str, str]) -> set[str]:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return set(read_project((folder,)).modules)


@pytest.mark.parametrize(
    "statement",
    [
        "from lib.engine import train",
        "from lib import other, engine",
        "from lib import (\n    engine,\n)",
        "import lib.engine as e",
        "import os, lib.engine",
        "    from .lib.engine import train",
    ],
)
def test_program_that_imports_a_training_loop_is_read(statement: str, tmp_path: Path) -> None:
    indented = f"if True:\n{statement}\n" if statement.startswith(" ") else f"{statement}\n"
    files = {"lib/engine.py": ENGINE, "main.py": indented, "other.py": "import os\n"}
    assert modules_of(tmp_path, files) == {"lib/engine.py", "main.py"}


def test_program_that_imports_code_without_training_is_not_read(tmp_path: Path) -> None:
    files = {"dtypes.py": "import torch\nHALF = torch.float16\n", "show.py": "from dtypes import HALF\n"}
    assert modules_of(tmp_path, files) == {"dtypes.py"}


def test_model_that_the_program_hands_to_the_loop_is_read_with_it(tmp_path: Path) -> None:
    files = {
        "engine.py": ENGINE,
        "main.py": "from engine import train\nfrom net import build\n\ntrain(build())\n",
        "net.py": "import torch\n\ndef build():\n    return torch.nn.Linear(3, 3)\n",
    }
    assert modules_of(tmp_path, files) == {"engine.py", "main.py", "net.py"}


def test_a_bounded_number_of_importers_is_read(tmp_path: Path) -> None:
    programs = {f"run_{number}.py": "import engine\n" for number in range(MAX_IMPORTERS + 5)}
    # Each round reads no more than the limit.
    assert len(modules_of(tmp_path, {"engine.py": ENGINE, **programs})) > MAX_IMPORTERS


def test_class_that_a_registry_hands_over_is_read_beside_the_code_that_uses_the_registry(tmp_path: Path) -> None:
    registered = "import torch\nfrom core import register\n\n@register()\nclass {name}:\n    pass\n"
    files = {
        "zoo/criterion.py": ENGINE,
        "zoo/matcher.py": registered.format(name="Matcher"),
        "zoo/boxes.py": "import torch\n",
        "data/sets.py": registered.format(name="Boxes"),
    }
    assert modules_of(tmp_path, files) == {"zoo/criterion.py", "zoo/matcher.py"}
