"""What a project asks for, in each kind of file."""

from __future__ import annotations

from pathlib import Path

import pytest

from vc2doctor.linter.read.requirements import requirements_of

FILES = {
    "requirements.txt": "torch\n# transformers==1\ntransformers==4.28.1  # pinned\n--index-url x\n",
    "requirements-dev.txt": "peft>=0.3,<0.5 ; python_version > '3'\n",
    "pyproject.toml": '[project]\ndependencies = [\n  "transformers==4.28.1",\n  "peft>=0.3,<0.5",\n]\n',
    "setup.py": 'from setuptools import setup\nsetup(install_requires=["transformers==4.28.1", "peft>=0.3,<0.5"])\n',
    "environment.yml": "dependencies:\n  - python=3.10\n  - transformers=4.28.1=py_0\n  - pip:\n    - peft>=0.3,<0.5\n",
}


@pytest.mark.parametrize(
    ("names", "lines"),
    [
        (("requirements.txt", "requirements-dev.txt"), (3, 1)),
        (("pyproject.toml",), (3, 4)),
        (("setup.py",), (2, 2)),
        (("environment.yml",), (3, 5)),
    ],
)
def test_each_kind_of_file_names_versions_with_their_lines(
    names: tuple[str, ...], lines: tuple[int, int], tmp_path: Path
) -> None:
    for name in names:
        (tmp_path / name).write_text(FILES[name], encoding="utf-8")
    found = requirements_of(tmp_path, "")
    assert found["transformers"].specifier == "==4.28.1"
    assert sorted((found["peft"].specifier or "").split(",")) == ["<0.5", ">=0.3"]
    assert (found["transformers"].line, found["peft"].line) == lines


@pytest.mark.parametrize(
    ("text", "specifier"),
    [('"^4.28"', "<5,>=4.28"), ('"^0.4.1"', "<0.5,>=0.4.1"), ('"4.28.1"', "==4.28.1"), ('{git = "x"}', None)],
)
def test_versions_as_poetry_writes_them(text: str, specifier: str | None, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(f"[tool.poetry.dependencies]\npeft = {text}\n", encoding="utf-8")
    found = requirements_of(tmp_path, "")["peft"].specifier
    assert (found and ",".join(sorted(found.split(",")))) == specifier


def test_a_commit_is_an_unknown_version_and_an_exact_one_wins(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(
        "git+https://github.com/huggingface/transformers@cae78c46\npeft>=0.3\n", encoding="utf-8"
    )
    (tmp_path / "requirements_train.txt").write_text("peft==0.4.0\n", encoding="utf-8")
    found = requirements_of(tmp_path, "")
    assert found["transformers"].specifier is None
    assert found["peft"].location == "requirements_train.txt:1"


def test_broken_files_name_nothing(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "setup.py", "environment.yml"):
        (tmp_path / name).write_text("[[(: \t- {", encoding="utf-8")
    assert requirements_of(tmp_path, "") == {}
