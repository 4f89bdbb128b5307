"""What files import at the top of a module."""

from __future__ import annotations

from pathlib import Path

from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.analyse.tried_imports import imported_names
from vc2doctor.linter.read.project import read_project

CODE = """
import os, gliner.model as m
from setfit import (
    SetFitModel,  # a comment, with a comma
    Trainer as T,
)
from a.b import c  # x, y
try:
    import optional
except ImportError:
    pass
def f():
    import inner
"""


def names_in(folder: Path) -> frozenset[str]:
    return imported_names(Facts(CodeFacts(read_project((folder,), (), {}, {}))))


def test_imports_at_the_top_are_found_and_those_that_may_not_run_are_not(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(CODE, encoding="utf-8")
    assert names_in(tmp_path) == {"os:", "gliner.model:", "setfit:SetFitModel", "setfit:Trainer", "a.b:c"}


def test_files_that_only_run_a_model_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "inference.py").write_text("import setfit\n", encoding="utf-8")
    assert names_in(tmp_path) == frozenset()
