"""The values of expressions are followed through names, defaults, classes, configurations and files."""

from __future__ import annotations

import ast
from pathlib import Path
from textwrap import dedent

import pytest

from vc2doctor.linter.analyse.config_keys import config_key
from vc2doctor.linter.analyse.dtypes import BFLOAT16, FLOAT16, FLOAT32
from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.analyse.values import Values
from vc2doctor.linter.read.config import UNKNOWN
from vc2doctor.linter.read.project import read_project


def shown_values(folder: Path, files: dict[str, str]) -> list[set[object]]:
    """Return the possible dtypes of the argument of each call of ``show``, asked for in order."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")
    code = CodeFacts(read_project((folder,)))
    values = Values(code)
    calls = [call for module in code.files.modules.values() for call in module.calls if call.name == "show"]
    return [set(values.dtypes(call.node.args[0], call.place)) for call in calls]


def shown_value(folder: Path, files: dict[str, str]) -> set[object]:
    """Return the possible dtypes of the argument of the only call of ``show``."""
    (only,) = shown_values(folder, files)
    return only


CASES: dict[str, tuple[str, set[object]]] = {
    "literal": ("import torch\nshow(torch.float16)\n", {FLOAT16}),
    "alias": ("from torch import half as h\nshow(h)\n", {FLOAT16}),
    "string": ("fp16 = show('bf16')\n", {BFLOAT16}),
    "constant": ("import torch\nD = torch.float16\nshow(D)\n", {FLOAT16}),
    "default": ("import torch\ndef f(fp16=torch.float16):\n    show(fp16)\n", {FLOAT16}),
    "caller": ("import torch\ndef f(fp16=torch.float16):\n    show(fp16)\nf(torch.bfloat16)\n", {BFLOAT16}),
    "two callers": (
        "import torch\ndef f(fp16):\n    show(fp16)\nf(torch.half)\nf(torch.bfloat16)\n",
        {FLOAT16, BFLOAT16},
    ),
    "getattr": ("import torch\nname = 'float16'\nshow(getattr(torch, name))\n", {FLOAT16}),
    "table": ("import torch\nk = 'a'\nshow({'a': torch.float16, 'b': torch.float32}[k])\n", {FLOAT16}),
    "unknown key": ("import torch\nshow({'a': torch.float16, 'b': torch.float32}[key()])\n", {FLOAT16, FLOAT32}),
    "decided": ("import torch\nON = False\nshow(torch.half if ON else torch.bfloat16)\n", {BFLOAT16}),
    "undecided": ("import torch\nshow(torch.half if flag() else torch.bfloat16)\n", {FLOAT16, BFLOAT16}),
    "dead branch": (
        "import torch\nON = True\nif ON:\n    d = torch.half\nelse:\n    d = torch.bfloat16\nshow(d)\n",
        {FLOAT16},
    ),
    "overwritten": ("import torch\nd = thing()\nd = torch.half\nshow(d)\n", {FLOAT16}),
    "overwritten in a branch": (
        "import torch\nd = torch.bfloat16\nif flag():\n    d = torch.half\nshow(d)\n",
        {FLOAT16, BFLOAT16},
    ),
    "overwritten later in a loop": (
        "import torch\nd = torch.half\nfor fp16 in range(2):\n    show(d)\n    d = torch.bfloat16\n",
        {FLOAT16, BFLOAT16},
    ),
    "returned": ("import torch\ndef pick():\n    return torch.half\nshow(pick())\n", {FLOAT16}),
    "table by name": ("import torch\nT = {'fp16': torch.half, 'x': torch.float32}\nshow(T['fp16'])\n", {FLOAT16}),
    "not a config": ("fp16 = show(thing.fp16)\n", {UNKNOWN}),
    "cycle": ("fp16 = a\na = fp16\nshow(a)\n", {UNKNOWN}),
    "inherited": (
        "import torch\nclass A:\n    d = torch.half\nclass B(A):\n    def f(self):\n        show(self.d)\n",
        {FLOAT16},
    ),
    "or": ("import torch\ndef f(fp16=None):\n    show(fp16 or torch.half)\n", {FLOAT16}),
}


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_expression_has_the_values_it_leads_to(text: str, expected: set[object], tmp_path: Path) -> None:
    assert shown_value(tmp_path, {"a.py": text}) == expected


def test_answer_found_inside_a_cycle_is_not_cached(tmp_path: Path) -> None:
    """While ``a`` is answered, the right side of ``b = c = a`` only leads back to it. Asked for ``c``, it does not."""
    text = "import torch\na = b\nb = c = a\nb = torch.half\nshow(a)\nshow(c)\n"
    assert shown_values(tmp_path, {"a.py": text}) == [{FLOAT16, UNKNOWN}, {FLOAT16, UNKNOWN}]


def test_answer_cut_short_by_the_depth_limit_is_not_cached(tmp_path: Path) -> None:
    """The start of the chain is too deep below its end, but not below its middle."""
    chain = "".join(f"x{number} = x{number - 1}\n" for number in range(1, 19))
    text = f"import torch\nx0 = torch.half\n{chain}show(x18)\nshow(x9)\n"
    assert shown_values(tmp_path, {"a.py": text}) == [{UNKNOWN}, {FLOAT16}]


def test_configuration_decides_code_in_another_file(tmp_path: Path) -> None:
    code = "import torch\ndef f(config):\n    show(torch.half if config.fp16 else torch.float32)\n"
    assert shown_value(tmp_path, {"a.py": code, "configs/c.py": "fp16 = True\n"}) == {FLOAT16}


def test_default_in_code_is_the_value_if_no_configuration_has_the_key(tmp_path: Path) -> None:
    code = "import torch\ndef f(config):\n    show(torch.bfloat16 if config.get('bf16', True) else torch.half)\n"
    assert shown_value(tmp_path, {"a.py": code, "configs/c.py": "fp16 = True\n"}) == {BFLOAT16}


def test_class_reads_only_the_configurations_that_name_it(tmp_path: Path) -> None:
    files = {
        "a.py": """
            import torch
            class Chat:
                def __init__(self, config):
                    self.half = config.get("fp16", True)
                    show(torch.half if self.half else torch.bfloat16)
            """,
        "configs/chat.py": 'model = dict(model_cls="Chat", fp16=False)\n',
        "configs/other.py": 'model = dict(model_cls="Other", fp16=True)\n',
    }
    assert shown_value(tmp_path, files) == {BFLOAT16}


def test_constant_is_followed_through_imports_and_reexports(tmp_path: Path) -> None:
    files = {
        "pkg/__init__.py": "from .inner import *\n",
        "pkg/inner/__init__.py": "from .dtypes import DTYPE\n",
        "pkg/inner/dtypes.py": "import torch\nDTYPE = torch.float16\n",
        "main.py": "from pkg.inner.dtypes import DTYPE as fp16\nshow(fp16)\n",
    }
    assert shown_value(tmp_path, files) == {FLOAT16}


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("config.fp16", "fp16"),
        ("self.config.optimizer.lr", "optimizer.lr"),
        ("cfg['run']['amp']", "run.amp"),
        ("model.fp16", None),
        ("config", None),
        ("self.fp16", None),
    ],
)
def test_expression_reads_a_key_only_from_a_configuration(text: str, key: str | None) -> None:
    assert config_key(ast.parse(text, mode="eval").body) == key


def test_a_membership_test_decides_a_branch(tmp_path: Path) -> None:
    code = """
        import argparse
        import torch

        parser = argparse.ArgumentParser()
        parser.add_argument("--precision", default="fp16")
        given = parser.parse_args()
        dtype = torch.float32
        if given.precision in ("fp16", "half"):
            dtype = torch.float16
        show(dtype)
        show(torch.bfloat16 if "bf16" in given.precision else torch.float16)
        show(torch.bfloat16 if given.precision not in {"fp16"} else torch.float32)
        show(torch.bfloat16 if given.precision in unknown() else torch.float32)
    """
    assert shown_values(tmp_path, {"train.py": code}) == [{FLOAT16}, {FLOAT16}, {FLOAT32}, {BFLOAT16, FLOAT32}]


def test_the_precision_of_accelerate_is_that_of_its_object(tmp_path: Path) -> None:
    code = """
        import torch
        from accelerate import Accelerator

        def main(given):
            accelerator = Accelerator(mixed_precision="bf16")
            show(torch.bfloat16 if accelerator.mixed_precision == "bf16" else torch.float16)
            other = Accelerator()
            show(torch.bfloat16 if other.mixed_precision == "bf16" else torch.float16)
    """
    assert shown_values(tmp_path, {"train.py": code}) == [{BFLOAT16}, {BFLOAT16, FLOAT16}]


def test_an_argument_of_an_unpacked_dictionary_is_followed(tmp_path: Path) -> None:
    code = """
        import torch

        def build(dtype=torch.float32):
            show(dtype)

        def main():
            settings = {"dtype": torch.bfloat16}
            build(**settings)
    """
    assert shown_values(tmp_path, {"train.py": code}) == [{BFLOAT16}]


def test_a_file_that_is_unpacked_into_a_class_of_fields_can_give_any_value(tmp_path: Path) -> None:
    files = {
        "settings.py": """
            from dataclasses import dataclass

            @dataclass
            class TrainConfig:
                dtype: str = "float16"
        """,
        "train.py": """
            import json
            import torch
            from settings import TrainConfig

            class Run:
                def __init__(self, path):
                    self.config = TrainConfig(**json.load(open(path)))
                    show({"float16": torch.float16, "bfloat16": torch.bfloat16}[self.config.dtype])
        """,
    }
    assert shown_value(tmp_path, files) == {FLOAT16, BFLOAT16}
    files["train.py"] = files["train.py"].replace("**json.load(open(path))", "")
    assert shown_value(tmp_path, files) == {FLOAT16}


def test_the_default_of_another_program_does_not_count(tmp_path: Path) -> None:
    files = {
        "export.py": 'import argparse\nargparse.ArgumentParser().add_argument("--precision", default="fp16")\n',
        "options.py": """
            import argparse

            def parse():
                parser = argparse.ArgumentParser()
                parser.add_argument("--precision", default="bf16")
                return parser.parse_args()
        """,
        "loop.py": "def train(args):\n    show(args.precision)\n",
        "train.py": """
            from loop import train
            from options import parse
            from torch.cuda.amp import GradScaler

            train(parse())
        """,
    }
    assert shown_value(tmp_path, files) == {BFLOAT16}


CONFIG = """import torch
from dataclasses import dataclass

@dataclass
class Cfg:
    dtype: torch.dtype = torch.float16

"""
OBJECTS: dict[str, tuple[str, set[object]]] = {
    "default of a field": (f"{CONFIG}def run(cfg):\n    show(cfg.dtype)\nrun(Cfg())\n", {FLOAT16}),
    "argument of a field": (f"{CONFIG}def run(cfg):\n    show(cfg.dtype)\nrun(Cfg(dtype=torch.float32))\n", {FLOAT32}),
    "argument by position": (f"{CONFIG}made = Cfg(torch.float32)\nshow(made.dtype)\n", {FLOAT32}),
    "unpacked into the class": (f"{CONFIG}made = Cfg(**read())\nshow(made.dtype)\n", {UNKNOWN}),
    "two objects": (
        f"{CONFIG}def run(cfg):\n    show(cfg.dtype)\nrun(Cfg())\nrun(Cfg(dtype=torch.bfloat16))\n",
        {FLOAT16, BFLOAT16},
    ),
    "attribute of an attribute": (
        f"{CONFIG}class R:\n def __init__(self, c):\n  self.c = c\n def f(self):\n  show(self.c.dtype)\nR(Cfg())\n",
        {FLOAT16},
    ),
    "returned object": (f"{CONFIG}def make():\n    return Cfg()\nmade = make()\nshow(made.dtype)\n", {FLOAT16}),
    "set outside": (f"{CONFIG}made = Cfg()\nmade.dtype = torch.float32\nshow(made.dtype)\n", {UNKNOWN}),
    "set by a text": (f"{CONFIG}made = Cfg()\nsetattr(made, 'dtype', 1)\nshow(made.dtype)\n", {UNKNOWN}),
    "one unknown object": (f"{CONFIG}def run(cfg):\n    show(cfg.dtype)\nrun(Cfg())\nrun(read())\n", {UNKNOWN}),
}


@pytest.mark.parametrize("case", OBJECTS)
def test_attribute_of_an_object_is_what_its_construction_gives(case: str, tmp_path: Path) -> None:
    text, expected = OBJECTS[case]
    assert shown_value(tmp_path, {"a.py": text}) == expected


ARGPARSE = """import argparse
p = argparse.ArgumentParser()
p.add_argument('--fp16', action='store_true')
args = p.parse_args()
"""


def test_what_code_sets_on_its_arguments_is_one_of_their_values(tmp_path: Path) -> None:
    text = f"{ARGPARSE}if args.O:\n    args.fp16 = True\nshow(args.fp16)\n"
    assert {True, False} <= shown_value(tmp_path, {"a.py": text})
