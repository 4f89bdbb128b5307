"""Versions that the files of a project ask for, and those that its README names."""

from __future__ import annotations

from pathlib import Path

import pytest

from vc2doctor.linter.read.requirements import requirements_of


@pytest.mark.parametrize(
    ("line", "specifier"),
    [
        ("pip install transformers==4.29.1 datasets", "==4.29.1"),
        ("- transformers, Version: 4.29.1", "==4.29.1"),
        ("* `transformers`: 4.29.1", "==4.29.1"),
        ("transformers >= 4.31.0", ">=4.31.0"),
    ],
)
def test_a_readme_names_a_version(tmp_path: Path, line: str, specifier: str) -> None:
    (tmp_path / "README.md").write_text(f"# Title\n\n{line}\n", encoding="utf-8")
    found = requirements_of(tmp_path, "")["transformers"]
    assert (found.specifier, found.location) == (specifier, "README.md:3")


@pytest.mark.parametrize("line", ["see huggingface/transformers: 4.29.1-dev0", "transformers are 3.5 times as fast"])
def test_other_texts_name_none(tmp_path: Path, line: str) -> None:
    (tmp_path / "README.md").write_text(line, encoding="utf-8")
    assert requirements_of(tmp_path, "") == {}


def test_a_file_of_requirements_counts_more_than_the_readme(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("transformers==4.29.1", encoding="utf-8")
    (tmp_path / "requirement.txt").write_text("transformers==4.30.0\n", encoding="utf-8")
    assert requirements_of(tmp_path, "")["transformers"].specifier == "==4.30.0"
