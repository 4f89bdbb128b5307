"""Parameters by release, and what a class passes to its own methods, read in small wheels."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from vc2doctor.curate.wheels.api import package_api
from vc2doctor.linter.knowledge.api_shapes import (
    Given,
    foreign_bases,
    function_shapes,
    has_known_bases,
    method_shapes,
    misplaced,
    passed_to,
    problem,
    shape,
)
from vc2doctor.linter.knowledge.api_table import PackageTable

OLD = {
    "trl/__init__.py": "from .base import Base, Loop\nfrom .outside import Own\n",
    "trl/base.py": """
class Base:
    def __init__(self, model, args=None, *, seed): ...
    def train(self, batch):
        return self.step(batch)
    def step(self, batch): ...
class Loop(Base):
    def save(self, path, *, safe=True): ...
""",
    "trl/outside.py": "from transformers import Trainer\nclass Own(Trainer):\n    pass\n",
}
NEW = {
    **OLD,
    "trl/base.py": """
class Base:
    def __init__(self, model, loss=None, args=None, *, seed): ...
    def train(self, batch):
        return self.step(batch, count=1)
    def step(self, batch, count=None): ...
    def adapt(self, batch):
        if "count" in signature(self.step).parameters:
            self.step(batch, extra=1)
        is_new = "more" in signature(self.step).parameters
        if is_new:
            self.step(batch, more=1)
class Loop(Base):
    def save(self, folder, path, **kwargs): ...
""",
}


def write(folder: Path, version: str, files: Mapping[str, str]) -> tuple[str, Path]:
    path = folder / f"trl-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return version, path


@pytest.fixture
def package(tmp_path: Path) -> PackageTable:
    return PackageTable("trl", package_api("trl", [write(tmp_path, "1.0", OLD), write(tmp_path, "2.0", NEW)]))


def given(*positional: str, keywords: tuple[str, ...] = ()) -> Given:
    return Given(positional, frozenset(keywords), is_complete=True)


def test_parameters_are_those_of_each_release(package: PackageTable) -> None:
    shapes = {bits: found for bits, found in function_shapes(package, "trl.Base") if found}
    assert {bits: found.positional for bits, found in shapes.items()} == {
        0b01: ("model", "args"),
        0b10: ("model", "loss", "args"),
    }
    assert shapes[0b01].required == {"model", "seed"}


def test_methods_are_inherited(package: PackageTable) -> None:
    shapes = dict(method_shapes(package, "trl.Loop", "step"))
    assert shapes == {0b01: shape("batch"), 0b10: shape("batch count=")}
    assert method_shapes(package, "trl.Loop", "nothing") == ()


def test_a_base_of_another_package_hides_what_is_not_known(package: PackageTable) -> None:
    assert foreign_bases(package, "trl.Own") == {"transformers.Trainer"}
    assert method_shapes(package, "trl.Own", "train") == ((0b11, None),)
    assert has_known_bases(package, "trl.Loop")
    assert not has_known_bases(package, "trl.Own")


def test_what_is_passed_to_a_method_counts_but_not_under_a_question_for_its_parameters(package: PackageTable) -> None:
    passed = {(each.what, each.caller, each.bits) for each in passed_to(package, "trl.Loop", "step")}
    # What every release passes is not listed.
    assert passed == {("count", "train", 0b10)}


@pytest.mark.parametrize(
    ("text", "call", "expected"),
    [
        ("a b=", given("x", "y"), ""),
        ("a b=", given("x", "y", "z"), "takes 2 arguments by position, and 3 are given"),
        ("a b= *", given("x", "y", "z"), ""),
        ("a b=", given("x", keywords=("a",)), "gets a twice: by position and by keyword"),
        ("a b=", given("x", keywords=("c",)), "does not take c="),
        ("a b= **", given("x", keywords=("c",)), ""),
        ("a :b", given("x"), "requires b, which is not given"),
        ("a :b", Given(("x",), frozenset(), is_complete=False), ""),
        ("a= :b=", given(), ""),
    ],
)
def test_a_call_is_taken_or_refused_with_the_reason(text: str, call: Given, expected: str) -> None:
    parameters = shape(text)
    assert parameters is not None
    assert problem(parameters, call) == expected


def test_a_variable_with_the_name_of_another_parameter_is_misplaced() -> None:
    parameters = shape("model loss= args=")
    assert parameters is not None
    assert misplaced(parameters, given("model", "args")) == "has loss at the position where args is given"
    assert misplaced(parameters, given("net", "options")) == ""
