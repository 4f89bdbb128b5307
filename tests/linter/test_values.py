"""What expressions can be, followed through names, defaults, classes, configurations and files."""

from __future__ import annotations

import ast
from pathlib import Path
from textwrap import dedent

import pytest

from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.analyse.values import BFLOAT, FLOAT, HALF, Values, config_key
from vc2doctor.linter.read.config import UNKNOWN
from vc2doctor.linter.read.module import Call
from vc2doctor.linter.read.project import read_project


def values_of(folder: Path, files: dict[str, str]) -> set[object]:
    """Return what the argument of the only call of ``show`` can be."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")
    code = CodeFacts(read_project((folder,)))
    (call,) = [call for module in code.files.modules.values() for call in module.calls if call.name == "show"]
    assert isinstance(call, Call)
    return set(Values(code).dtypes(call.node.args[0], call.place))


CASES: dict[str, tuple[str, set[object]]] = {
    "literal": ("import torch\nshow(torch.float16)\n", {HALF}),
    "alias": ("from torch import half as h\nshow(h)\n", {HALF}),
    "string": ("fp16 = show('bf16')\n", {BFLOAT}),
    "constant": ("import torch\nD = torch.float16\nshow(D)\n", {HALF}),
    "default": ("import torch\ndef f(fp16=torch.float16):\n    show(fp16)\n", {HALF}),
    "caller": ("import torch\ndef f(fp16=torch.float16):\n    show(fp16)\nf(torch.bfloat16)\n", {BFLOAT}),
    "two callers": ("import torch\ndef f(fp16):\n    show(fp16)\nf(torch.half)\nf(torch.bfloat16)\n", {HALF, BFLOAT}),
    "getattr": ("import torch\nname = 'float16'\nshow(getattr(torch, name))\n", {HALF}),
    "table": ("import torch\nk = 'a'\nshow({'a': torch.float16, 'b': torch.float32}[k])\n", {HALF}),
    "unknown key": ("import torch\nshow({'a': torch.float16, 'b': torch.float32}[key()])\n", {HALF, FLOAT}),
    "decided": ("import torch\nON = False\nshow(torch.half if ON else torch.bfloat16)\n", {BFLOAT}),
    "undecided": ("import torch\nshow(torch.half if flag() else torch.bfloat16)\n", {HALF, BFLOAT}),
    "dead branch": (
        "import torch\nON = True\nif ON:\n    d = torch.half\nelse:\n    d = torch.bfloat16\nshow(d)\n",
        {HALF},
    ),
    "not a config": ("fp16 = show(thing.fp16)\n", {UNKNOWN}),
    "circle": ("fp16 = a\na = fp16\nshow(a)\n", {UNKNOWN}),
    "inherited": (
        "import torch\nclass A:\n    d = torch.half\nclass B(A):\n    def f(self):\n        show(self.d)\n",
        {HALF},
    ),
    "or": ("import torch\ndef f(fp16=None):\n    show(fp16 or torch.half)\n", {HALF}),
}


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_an_expression_is_followed(text: str, expected: set[object], tmp_path: Path) -> None:
    assert values_of(tmp_path, {"a.py": text}) == expected


def test_a_configuration_reaches_code_in_another_file(tmp_path: Path) -> None:
    code = "import torch\ndef f(config):\n    show(torch.half if config.fp16 else torch.float32)\n"
    assert values_of(tmp_path, {"a.py": code, "configs/c.py": "fp16 = True\n"}) == {HALF}


def test_the_default_in_code_is_the_value_where_no_configuration_has_the_key(tmp_path: Path) -> None:
    code = "import torch\ndef f(config):\n    show(torch.bfloat16 if config.get('bf16', True) else torch.half)\n"
    assert values_of(tmp_path, {"a.py": code, "configs/c.py": "fp16 = True\n"}) == {BFLOAT}


def test_a_class_reads_the_configurations_that_name_it(tmp_path: Path) -> None:
    files = {
        "a.py": """
            import torch
            class Chat:
                def __init__(self, config):
                    self.half = config.get("fp16", True)
                    show(torch.half if self.half else torch.bfloat16)
            """,
        "configs/mine.py": 'model = dict(model_cls="Chat", fp16=False)\n',
        "configs/other.py": 'model = dict(model_cls="Other", fp16=True)\n',
    }
    assert values_of(tmp_path, files) == {BFLOAT}


def test_a_constant_is_followed_through_imports_and_reexports(tmp_path: Path) -> None:
    files = {
        "pkg/__init__.py": "from .inner import *\n",
        "pkg/inner/__init__.py": "from .dtypes import DTYPE\n",
        "pkg/inner/dtypes.py": "import torch\nDTYPE = torch.float16\n",
        "main.py": "from pkg.inner.dtypes import DTYPE as fp16\nshow(fp16)\n",
    }
    assert values_of(tmp_path, files) == {HALF}


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
def test_the_key_that_code_reads(text: str, key: str | None) -> None:
    assert config_key(ast.parse(text, mode="eval").body) == key
