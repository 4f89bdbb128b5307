"""The table of names of small wheels: modules, keywords, attributes, and the releases in which they exist."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from vc2doctor.curate.wheels.api import package_api, text_of
from vc2doctor.linter.knowledge.api_table import ApiTable
from vc2doctor.matrix.api_file import Api, read, to_bits, to_text

OLD = {
    "peft/__init__.py": "from .config import *\nfrom .tune import Tuner, prepare\n",
    "peft/config.py": """
from dataclasses import dataclass, field
from typing import ClassVar
from transformers import TrainingArguments
@dataclass
class Base:
    shared: int = 0
    hidden: int = field(init=False, default=1)
    kind: ClassVar[str] = "x"
@dataclass
class Config(Base):
    old_field: int = 0
@dataclass
class Arguments(TrainingArguments):
    length: int = 1
""",
    "peft/tune.py": """
class Tuner:
    def __init__(self, model, tokenizer=None):
        self.model = model
        self.scaler = None
    def step(self):
        return self.model, self.read_only
def prepare(model, **kwargs): ...
def gone(model): ...
""",
    "peft/old_place.py": "class Moved: ...\n",
}
NEW = {
    "peft/__init__.py": """
import sys
_import_structure = {"config": ["Config", "Arguments"], "tune": ["Tuner", "prepare"], "kept_name": []}
sys.modules[__name__] = _LazyModule(__name__, _import_structure)
""",
    "peft/config.py": OLD["peft/config.py"].replace("old_field", "new_field").replace("length", "size"),
    "peft/tune.py": """
class Tuner:
    @deprecate_kwarg("tokenizer", new_name="processor", version="3.0")
    def __init__(self, model, processor=None):
        self.model = model
    def step(self):
        return self.model, self.read_only
def prepare(model): ...
""",
    "peft/new_place.py": "class Moved: ...\n",
}
NEWEST = {**NEW, "peft/tune.py": NEW["peft/tune.py"].replace("    @deprecate_kwarg", "    # @deprecate_kwarg")}


def write(folder: Path, version: str, files: Mapping[str, str]) -> tuple[str, Path]:
    path = folder / f"peft-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return version, path


@pytest.fixture
def api(tmp_path: Path) -> Api:
    releases = [write(tmp_path, "1.0", OLD), write(tmp_path, "2.0", NEW), write(tmp_path, "3.0", NEWEST)]
    arguments = {"": "-", "-": "evaluation_strategy output_dir"}
    transformers = {"releases": ["4.0"], "modules": {}, "members": {}, "callables": {"TrainingArguments": arguments}}
    others = Api.model_validate({"date": "", "packages": {"transformers": transformers}}).packages
    return Api(date="2026-11-28", packages={"peft": package_api("peft", releases), **others})


def test_names_of_a_module_are_those_of_imports_stars_and_lazy_structures(api: Api) -> None:
    table = ApiTable(api)
    for module, name, bits in (
        ("peft", "Config", 0b111),
        ("peft", "Base", 0b001),
        ("peft.tune", "gone", 0b001),
        ("peft.old_place", "Moved", 0b001),
        ("peft.new_place", "", 0b110),
        ("peft", "new_place", 0b110),
    ):
        found = table.importable(module, name)
        assert found is not None, (module, name)
        assert found.bits == bits, (module, name)
    assert table.importable("peft.nowhere", "x") is None


def test_a_name_that_moved_is_found_in_the_newest_release(api: Api) -> None:
    assert ApiTable(api).replacement("peft.old_place", "Moved") == "from peft.new_place import Moved"
    assert ApiTable(api).replacement("peft.tune", "gone") == ""


def test_keywords_are_those_of_fields_of_bases_and_of_old_names_that_a_decorator_translates(api: Api) -> None:
    table = ApiTable(api)
    for dotted, keyword, bits in (
        ("peft.Config", "shared", 0b111),
        ("peft.Config", "old_field", 0b001),
        ("peft.Config", "new_field", 0b110),
        ("peft.Tuner", "tokenizer", 0b011),
        ("peft.Arguments", "length", 0b001),
        ("peft.tune.prepare", "model", 0b111),
    ):
        found = table.keyword(dotted, keyword)
        assert found is not None, (dotted, keyword)
        assert found.bits == bits, (dotted, keyword)
    for dotted, keyword in (("peft.Config", "hidden"), ("peft.Config", "kind"), ("peft.Config", "typo")):
        assert table.keyword(dotted, keyword) is None
    assert table.new_name("peft.Tuner", "tokenizer") == "processor"


def test_keywords_of_a_base_in_another_package_are_those_of_that_package(api: Api) -> None:
    found = ApiTable(api).keyword("peft.Arguments", "evaluation_strategy")
    assert found is not None
    assert found.package == "transformers"


def test_attributes_are_what_a_release_defines_and_reads_alone_are_no_definition(api: Api) -> None:
    table = ApiTable(api)
    scaler = table.member("peft.Tuner", "scaler")
    assert scaler is not None
    assert scaler.bits == 0b001
    assert table.member("peft.Tuner", "model") is None
    assert table.member("peft.Tuner", "read_only") is None


def test_file_is_the_same_for_the_same_wheels_and_reads_back(api: Api, tmp_path: Path) -> None:
    path = tmp_path / "api.json.gz"
    path.write_bytes(text_of(api))
    assert text_of(api) == path.read_bytes()
    assert read(path) == api
    assert read(tmp_path / "nothing.json.gz") is None


@pytest.mark.parametrize(
    ("bits", "text"),
    [(0b1111, "-"), (0b0011, "-2"), (0b1100, "3-"), (0b0110, "2-3"), (0b1001, "-1,4-"), (0b0100, "3-3"), (0, "")],
)
def test_ranges_of_releases_read_back(bits: int, text: str) -> None:
    releases = ("1", "2", "3", "4")
    assert to_text(bits, releases) == text
    assert to_bits(text, {release: position for position, release in enumerate(releases)}) == bits
