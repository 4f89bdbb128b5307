"""Copies of libraries inside a project are recognized by their contents, left out, and listed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.linter.test_source import TRAINING_CODE, write_training_code
from vc2doctor.linter.read.discover import LeftOut
from vc2doctor.linter.read.libraries import LAYOUTS, MIN_MODEL_FOLDERS, Layout, other_framework
from vc2doctor.linter.run import LintResult, LintTask, apply_rules


def linted(path: Path) -> LintResult:
    return apply_rules(LintTask(paths=(path,)))


def left_out(path: Path) -> list[tuple[str, str, int]]:
    every: tuple[LeftOut, ...] = linted(path).facts.code.files.left_out
    return [(each.name, each.reason, each.files) for each in every]


def places(path: Path) -> list[str]:
    return [finding.file for finding in linted(path).findings if finding.id == "VC102"]


def write_copy(folder: Path, layout: Layout) -> None:
    """Write a package with a layout, whose first subfolder or file has training code."""
    for name in (*layout.files, *layout.deeper):
        write_training_code(folder, name)
    for name in layout.folders:
        write_training_code(folder, f"{name}/code.py")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_copy_of_a_library_is_left_out_under_any_name(layout: Layout, tmp_path: Path) -> None:
    write_training_code(tmp_path, "train.py")
    write_copy(tmp_path / "src" / "renamed", layout)
    assert places(tmp_path) == ["train.py"]
    ((name, reason, count),) = left_out(tmp_path)
    assert (name, reason) == ("src/renamed", f"is a copy of {layout.library}")
    assert count == len(list((tmp_path / "src").rglob("*.py")))


def test_version_of_a_copy_is_read(tmp_path: Path) -> None:
    write_training_code(tmp_path, "train.py")
    write_copy(tmp_path / "hf", next(layout for layout in LAYOUTS if layout.library == "transformers"))
    (tmp_path / "hf" / "__init__.py").write_text('__version__ = "4.51.0"\n', encoding="utf-8")
    assert [reason for _, reason, _ in left_out(tmp_path)] == ["is a copy of transformers 4.51.0"]


def test_folder_with_the_models_of_transformers_is_a_copy(tmp_path: Path) -> None:
    write_training_code(tmp_path, *(f"zoo/m{number}/modeling_m{number}.py" for number in range(MIN_MODEL_FOLDERS)))
    write_training_code(tmp_path, "models/mine/modeling_mine.py")
    assert places(tmp_path) == ["models/mine/modeling_mine.py"]


@pytest.mark.parametrize("name", ["apex", "mmcv", "detectron2", "fairseq", "transformers"])
def test_folder_of_the_project_that_has_only_the_name_of_a_library_is_read(name: str, tmp_path: Path) -> None:
    write_training_code(tmp_path, f"{name}/train.py")
    assert places(tmp_path) == [f"{name}/train.py"]
    assert left_out(tmp_path) == []


@pytest.mark.parametrize("setup_file", ["setup.py", "pyproject.toml"])
def test_library_is_read_in_its_own_repository(setup_file: str, tmp_path: Path) -> None:
    setup = {"setup.py": 'setup(name="peft", version="1")\n', "pyproject.toml": '[project]\nname = "peft"\n'}
    (tmp_path / setup_file).write_text(setup[setup_file], encoding="utf-8")
    write_copy(tmp_path / "src" / "peft", next(layout for layout in LAYOUTS if layout.library == "peft"))
    assert left_out(tmp_path) == []
    assert places(tmp_path)


@pytest.mark.parametrize("path", ["copy", "copy/tuners", "copy/peft_model.py"])
def test_copy_is_read_where_the_user_names_it(path: str, tmp_path: Path) -> None:
    write_copy(tmp_path / "copy", next(layout for layout in LAYOUTS if layout.library == "peft"))
    assert left_out(tmp_path / path) == []
    assert places(tmp_path / path)


def test_training_program_beside_the_package_in_a_checkout_is_read(tmp_path: Path) -> None:
    write_training_code(tmp_path, "det/tools/train.py")
    (tmp_path / "det" / "setup.py").write_text('setup(name="detectron2")\n', encoding="utf-8")
    write_copy(tmp_path / "det" / "fork", next(layout for layout in LAYOUTS if layout.library == "detectron2"))
    assert places(tmp_path) == ["det/tools/train.py"]
    assert [name for name, _, _ in left_out(tmp_path)] == ["det/fork"]


def test_programs_of_a_library_are_left_out_with_its_whole_repository(tmp_path: Path) -> None:
    write_training_code(
        tmp_path, "lib/examples/train.py", "lib/tests/t.py", "lib/docs/d.py", "lib/own/train.py", "a.py"
    )
    (tmp_path / "lib" / "setup.py").write_text('setup(name="peft", version="1")\n', encoding="utf-8")
    write_copy(tmp_path / "lib" / "src" / "peft", next(layout for layout in LAYOUTS if layout.library == "peft"))
    assert places(tmp_path) == ["a.py", "lib/own/train.py"]
    reasons = {name: reason for name, reason, _ in left_out(tmp_path)}
    assert reasons["lib/examples"] == "belongs to a copy of the repository of peft"
    assert reasons.keys() == {"lib/docs", "lib/examples", "lib/src/peft", "lib/tests"}


def test_programs_beside_a_part_of_a_library_are_read(tmp_path: Path) -> None:
    """Whoever deletes its tests and documents keeps the rest for a reason."""
    write_training_code(tmp_path, "lib/examples/train.py")
    (tmp_path / "lib" / "setup.py").write_text('setup(name="peft", version="1")\n', encoding="utf-8")
    write_copy(tmp_path / "lib" / "src" / "peft", next(layout for layout in LAYOUTS if layout.library == "peft"))
    assert places(tmp_path) == ["lib/examples/train.py"]


def test_folder_named_for_the_code_of_others_is_listed_with_its_count(tmp_path: Path) -> None:
    write_training_code(tmp_path, "train.py", "third_party/a.py", "third_party/b/c.py")
    assert left_out(tmp_path) == [("third_party", "is a folder for the code of others, by its name", 2)]


@pytest.mark.parametrize(
    ("text", "framework"),
    [
        ("import jittor as jt\n", "jittor"),
        ("import jittor as torch\n", "jittor"),
        ("try:\n    import paddle\nexcept ImportError:\n    pass\n", "paddle"),
        ("from mindspore import nn\n", "mindspore"),
        ("import jittor as jt\nimport torch\n", None),
        ("from transformers import Trainer\nimport mxnet\n", None),
        ("# import jittor\nimport torch\n", None),
        ("import jittor_tools\n", None),
    ],
)
def test_framework_of_a_file_is_that_which_it_imports(text: str, framework: str | None) -> None:
    assert other_framework(text.encode()) == framework


def test_code_for_another_framework_is_left_out(tmp_path: Path) -> None:
    write_training_code(tmp_path, "train.py")
    code = TRAINING_CODE.replace("import torch", "import jittor as torch")
    (tmp_path / "jittor_train.py").write_text(code, encoding="utf-8")
    assert places(tmp_path) == ["train.py"]
    assert left_out(tmp_path) == [("jittor_train.py", "is written for jittor", 1)]
