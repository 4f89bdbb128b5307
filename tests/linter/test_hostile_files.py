"""A file that is odd or hostile is noted, or left out; it never ends the lint, blocks it, or slows it down."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from vc2doctor.linter.model import LintError
from vc2doctor.linter.run import LintResult, LintTask, apply_rules

LOOP = """import torch
with torch.autocast("cuda", dtype=torch.float16):
    loss = model(x)
loss.backward()
optimizer.step()
"""
DEEP = {
    "unary operators in a dtype": f"import torch\nx = load('a', torch_dtype={'-' * 1000}torch.float16)\n",
    "parentheses": f"import torch\nx = {'(' * 5000}torch.float16{')' * 5000}\n",
    "sums": f"import torch\nx = {'+'.join(['torch.float16'] * 3000)}\n",
    "calls": f"import torch\nx = torch.float16{'.a()' * 3000}\n",
    "branches": "import torch\nif 0:\n    torch.float16\n"
    + "".join(f"elif x == {number}:\n    torch.float16\n" for number in range(1500)),
    "digits": f"import torch\nx = torch.float16, {'9' * 5000}\n",
    "null bytes": "import torch\nx = torch.float16\0\n",
}


def lint(folder: Path) -> LintResult:
    return apply_rules(LintTask(paths=(folder,)))


def noted(result: LintResult) -> set[str]:
    return {finding.path or "" for finding in result.findings if finding.id == "VC100"}


def errors(result: LintResult) -> set[str]:
    return {finding.path or "" for finding in result.findings if finding.severity.value == "error"}


def test_file_with_null_bytes_and_without_a_word_about_precision_is_noted(tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_bytes(b"x = 1\0\n")
    assert noted(lint(tmp_path)) == {"odd.py"}


@pytest.mark.parametrize("kind", DEEP)
def test_python_that_cannot_be_read_is_a_note_and_the_other_files_are_judged(tmp_path: Path, kind: str) -> None:
    (tmp_path / "good.py").write_text(LOOP)
    (tmp_path / "odd.py").write_text(DEEP[kind])
    result = lint(tmp_path)
    assert errors(result) == {"good.py"}
    assert noted(result) <= {"odd.py"}
    assert noted(result) or kind in ("unary operators in a dtype", "branches", "parentheses", "digits")


@pytest.mark.parametrize(
    "cells",
    ['[{"cell_type": "code", "source": [1, 2]}]', '[{"cell_type": "code"}]', "[3]", '{"a": 1}', "[" * 9999, "null"],
)
def test_odd_notebook_is_a_note(tmp_path: Path, cells: str) -> None:
    (tmp_path / "good.py").write_text(LOOP)
    (tmp_path / "odd.ipynb").write_text(f'{{"fp16": 1, "cells": {cells}}}')
    result = lint(tmp_path)
    assert errors(result) == {"good.py"}
    assert noted(result) == {"odd.ipynb"}


@pytest.mark.parametrize(
    "value", ["!!timestamp 'x'", "!!int ''", "!!bool maybe", "!!float x", "9999-99-99", "1" * 5000]
)
def test_yaml_value_that_does_not_fit_its_tag_is_a_text(tmp_path: Path, value: str) -> None:
    (tmp_path / "train.yaml").write_text(f"fp16: true\nother: {value}\n")
    entries = lint(tmp_path).facts.code.files.configs[0].entries
    assert [entry.key for entry in entries] == ["fp16", "other"]


SIDE_FILES = {
    "train.yaml": "fp16: true\na0: &a0 [x, x]\n"
    + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60)),
    "broken.yaml": "fp16: true: x\nkey: a" + " " * 200_000 + "b\n",
    "keys.json": '{"fp16": 1, ' + ", ".join(f'"\\u0061{number}": 1' for number in range(8000)) + "}",
    ".gitignore": "a*" * 25 + "b\n[z-a]\n\\\n",
    "run.sh": "A=xx\n" + "A=$A$A\n" * 60 + "python train.py --fp16 $A\n",
    "pyproject.toml": "a" + ".a" * 100_000 + " = 1\n",
    "environment.yml": "dependencies: &a [*a]\n",
    "requirements.txt": f"torch=={'9' * 5000}\npeft=={'1' * 900}\n{'a' * 100_000}\n",
    "README.md": f"transformers=={'1.' * 5000}1\n",
    "setup.py": f"setup(install_requires=['trl=={'9' * 5000}'], x={'(' * 3000}{')' * 3000})\n",
}


@pytest.mark.parametrize("name", SIDE_FILES)
def test_small_file_takes_little_time(tmp_path: Path, name: str) -> None:
    (tmp_path / "good.py").write_text(LOOP)
    (tmp_path / ("a" * 60)).mkdir()
    (tmp_path / ("a" * 60) / "code.py").write_text(LOOP)
    (tmp_path / name).write_text(SIDE_FILES[name])
    start = time.process_time()
    result = lint(tmp_path)
    assert "good.py" in errors(result) or any(
        "good.py" in place.location for each in result.findings for place in each.also
    )
    assert time.process_time() - start < 10


SIDE_NAMES = (
    ".gitignore",
    "requirements.txt",
    "pyproject.toml",
    "setup.py",
    "environment.yml",
    "README.md",
    "train.yaml",
)


@pytest.mark.parametrize("name", SIDE_NAMES)
@pytest.mark.parametrize("kind", ["pipe", "endless device"])
def test_side_file_that_blocks_or_never_ends_is_left_out(tmp_path: Path, name: str, kind: str) -> None:
    (tmp_path / "good.py").write_text(LOOP)
    if kind == "pipe":
        os.mkfifo(tmp_path / name)
    else:
        (tmp_path / name).symlink_to("/dev/zero")
    assert errors(lint(tmp_path)) == {"good.py"}


def test_file_that_is_named_and_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    with pytest.raises(LintError, match=r"pipe\.py: cannot be read: it is a pipe"):
        lint(tmp_path / "pipe.py")
    (tmp_path / "large.yaml").write_text("fp16: true\n" + "#" * 300_000)
    with pytest.raises(LintError, match=r"large\.yaml: larger than 256 KiB"):
        lint(tmp_path / "large.yaml")


def test_git_index_that_never_ends_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text(LOOP)
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "index").symlink_to("/dev/zero")
    assert errors(lint(tmp_path)) == {"good.py"}


@pytest.mark.parametrize("text", ['{"fp16": {"enabled": true},}', '{"fp16":' * 3000 + "1" + "}" * 3000, '{"fp16": '])
def test_configuration_that_is_not_json_is_a_note(tmp_path: Path, text: str) -> None:
    (tmp_path / "good.py").write_text(LOOP)
    (tmp_path / "ds.json").write_text(text)
    result = lint(tmp_path)
    assert noted(result) == {"ds.json"}
    assert errors(result) == {"good.py"}
    assert "ds.json" in {each.path for each in result.coverage.not_understood}
