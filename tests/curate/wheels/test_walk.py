"""What the doors of small packages need from other packages."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.curate.wheels.wheels import wheel
from vc2doctor.curate.wheels.walk import Need, Needs, needs

OTHERS = frozenset({"other", "peft", "torch", "accelerate"})
GUARDS = """
import importlib.metadata
import importlib.util
from functools import lru_cache

import torch
from packaging import version

MIN_VERSION = "0.21.0"
_peft_available = importlib.util.find_spec("peft") is not None
_accelerate_available, _accelerate_version = _is_package_available("accelerate", return_version=True)


def is_peft_available():
    return _peft_available

def is_accelerate_available(min_version: str = MIN_VERSION) -> bool:
    return _accelerate_available and version.parse(_accelerate_version) >= version.parse(min_version)

@lru_cache
def is_new_accelerate_available(min_version: str = "1.1"):
    is_available, found = _is_package_available("accelerate", return_version=True)
    return is_available and version.parse(found) >= version.parse(min_version)

@lru_cache()
def is_torch_at_least(text, accept_dev=False):
    if not is_torch_available():
        return False
    return version.parse(importlib.metadata.version("torch")) >= version.parse(text)

def is_gpu_available():
    return _peft_available and torch.cuda.is_available()

def is_other_available():
    if importlib.util.find_spec("other") is None:
        return False
    MINIMUM = version.parse("0.16.0")
    try:
        found = version.parse(importlib.metadata.version("other"))
    except importlib.metadata.PackageNotFoundError:
        return False
    if found < MINIMUM:
        raise ImportError("too old")
    return True
"""


def needs_of(folder: Path, source: str, *roots: str, **files: str) -> Needs:
    modules = {f"pkg/{name}.py": text for name, text in files.items()}
    reader = wheel(folder, "pkg", {"pkg/__init__.py": "", "pkg/guards.py": GUARDS, "pkg/a.py": source, **modules})
    return needs(reader, roots or ("pkg.a",), OTHERS)


def imported(needed: Needs) -> dict[tuple[str, str], dict[str, str]]:
    """Return the conditions by module and symbol, of imports from other packages than torch."""
    return {
        (need.module, need.symbol): dict(need.condition)
        for need in needed.symbols
        if not need.is_use and need.module != "torch"
    }


@pytest.mark.parametrize(
    ("guard", "condition"),
    [
        ("is_peft_available()", {}),
        ("is_peft_available() and is_torch_available()", {}),
        ("is_accelerate_available()", {"accelerate": ">=0.21.0"}),
        ("is_accelerate_available('0.28')", {"accelerate": ">=0.28"}),
        ("is_new_accelerate_available()", {"accelerate": ">=1.1"}),
        ("is_torch_at_least('2.5')", {"torch": ">=2.5"}),
        ("not is_torch_at_least('2.5')", {"torch": "<2.5"}),
        ("is_other_available()", {"other": ">=0.16.0"}),
        ("not is_sagemaker_mp_enabled()", {}),
        ("is_fbcode() or compare_versions(torch.__version__, '2.7.0') >= 0", {"torch": ">=2.7.0"}),
        ("version.parse(torch.__version__) >= version.parse('2.5')", {"torch": ">=2.5"}),
    ],
)
def test_a_guard_that_asks_for_packages_makes_a_need_conditional(
    tmp_path: Path, guard: str, condition: dict[str, str]
) -> None:
    source = f"from .guards import *\nfrom .guards import {', '.join(NAMES)}\nif {guard}:\n    from peft import X\n"
    assert imported(needs_of(tmp_path, source)) == {("peft", "X"): condition}


NAMES = (
    "is_peft_available",
    "is_accelerate_available",
    "is_new_accelerate_available",
    "is_torch_at_least",
    "is_gpu_available",
    "is_other_available",
)


@pytest.mark.parametrize(
    "guard",
    [
        "is_gpu_available()",
        "hasattr(torch, 'compiler')",
        "os.environ.get('X')",
        "not is_peft_available()",
        "TYPE_CHECKING",
        "sys.version_info >= (3, 12)",
        "unknown",
    ],
)
def test_what_another_guard_protects_is_not_needed(tmp_path: Path, guard: str) -> None:
    source = f"import torch\nfrom .guards import {', '.join(NAMES)}\nif {guard}:\n    from peft import X\n"
    assert imported(needs_of(tmp_path, source)) == {}


def test_the_other_branch_and_what_follows_an_early_error_hold_when_a_guard_does_not(tmp_path: Path) -> None:
    source = """
from .guards import is_torch_at_least, is_accelerate_available
if is_torch_at_least("2.5"):
    from torch.new import A
else:
    from torch.old import B
if not is_accelerate_available():
    raise ImportError
from peft import C
"""
    assert imported(needs_of(tmp_path, source)) == {
        ("torch.new", "A"): {"torch": ">=2.5"},
        ("torch.old", "B"): {"torch": "<2.5"},
        ("peft", "C"): {"accelerate": ">=0.21.0"},
    }


def test_imports_are_followed_module_by_module_and_keep_their_conditions(tmp_path: Path) -> None:
    source = "from .guards import is_accelerate_available\nif is_accelerate_available():\n    from .b import thing\n"
    needed = needs_of(tmp_path, source, b="from other import X\nfrom .c import y\n", c="from peft import Y\n")
    assert imported(needed) == {("other", "X"): {"accelerate": ">=0.21.0"}, ("peft", "Y"): {"accelerate": ">=0.21.0"}}


def test_a_module_that_is_also_imported_without_a_condition_is_needed_without_one(tmp_path: Path) -> None:
    source = "from .guards import is_accelerate_available\nif is_accelerate_available():\n    from .b import x\n"
    needed = needs_of(tmp_path, f"{source}import pkg.b\n", b="from other import X\n")
    assert ("other", "X", ()) in {(need.module, need.symbol, need.condition) for need in needed.symbols}


USES = """
import torch
import torch.nn as nn
from torch import distributed as dist
SIZES = {torch.float8: 1, "x": nn.attention.bias}
def function(x: torch.annotated, y=torch.default):
    return torch.late
class C(nn.Base):
    value = dist.tensor.DTensor
    def method(self):
        return torch.later
try:
    torch.caught
except AttributeError:
    pass
if hasattr(torch, "compiler"):
    torch.compiler
OTHER = torch.guarded if hasattr(torch, "guarded") else None
FUNCTION = lambda: torch.in_lambda
for name in ():
    torch.in_loop
"""


def test_attributes_that_are_read_at_import_are_needed(tmp_path: Path) -> None:
    used = {need.symbol for need in needs_of(tmp_path, USES).symbols if need.is_use}
    assert used == {
        "float8",
        "nn.attention.bias",
        "annotated",
        "default",
        "nn.Base",
        "distributed.tensor.DTensor",
    }


def test_annotations_that_are_not_evaluated_are_not_needed(tmp_path: Path) -> None:
    needed = needs_of(tmp_path, f"from __future__ import annotations\n{USES}")
    assert "annotated" not in {need.symbol for need in needed.symbols}


def test_a_function_needs_what_it_imports_and_refuses_what_its_checks_refuse(tmp_path: Path) -> None:
    source = """
from .guards import is_other_available
def dispatch(target):
    result = None
    if not hasattr(target, "weight"):
        return result
    if not is_other_available():
        return result
    from other.tensors import Tensor
    if isinstance(target, Tensor):
        from other import unreached
"""
    needed = needs_of(tmp_path, source, "pkg.a:dispatch", "pkg.a:gone", "pkg.gone:dispatch")
    assert [(need, file) for need, file in needed.symbols.items() if need.module != "torch"] == [
        (Need("other.tensors", "Tensor", is_use=False, condition=(("other", ">=0.16.0"),)), "pkg/a.py")
    ]
    assert needed.refusals == {(("other", "<0.16.0"),): "pkg/guards.py"}


def test_an_error_behind_a_check_of_versions_is_a_refusal(tmp_path: Path) -> None:
    source = """
from .guards import is_accelerate_available
class Arguments:
    def set_up(self):
        if self.no_cuda and not is_accelerate_available("0.99"):
            raise ImportError
        if not is_accelerate_available():
            raise ImportError
        if self.wrong:
            raise ValueError
"""
    assert needs_of(tmp_path, source, "pkg.a:Arguments.set_up").refusals == {(("accelerate", "<0.21.0"),): "pkg/a.py"}


def test_keywords_that_a_class_passes_to_an_imported_base_are_needed(tmp_path: Path) -> None:
    source = """
from other import Base
class Child(Base):
    def __init__(self, x, **kwargs):
        super().__init__(model=x, tokenizer=x, **kwargs)
        if x:
            super().__init__(sometimes=x)
class Two(Base, Mixin):
    def __init__(self):
        super().__init__(ambiguous=1)
"""
    needed = needs_of(tmp_path, source)
    symbols = {need.symbol for need in needed.symbols if "(" in need.symbol}
    assert symbols == {"Base.__init__(model=)", "Base.__init__(tokenizer=)"}


@pytest.mark.parametrize(
    ("init", "accepted"),
    [
        ("def __init__(self, model, processing_class=None): ...", False),
        ("def __init__(self, model, *, tokenizer=None): ...", True),
        ("def __init__(self, **kwargs): ...", True),
        (
            "@deprecate_kwarg('tokenizer', new_name='processing_class')\n    def __init__(self, processing_class): ...",
            True,
        ),
        ("value = 1", True),
    ],
)
def test_a_class_provides_the_keywords_that_it_accepts(tmp_path: Path, init: str, accepted: bool) -> None:
    reader = wheel(tmp_path, "other", {"other/__init__.py": f"class Base:\n    {init}\n"})
    assert reader.provides("other", "Base.__init__(tokenizer=)") is accepted


@pytest.mark.parametrize(
    "answer",
    [
        "_third_available = _is_package_available('third')\ndef is_third_available():\n    return _third_available\n",
        "def is_third_available():\n    return _is_package_available('third')\n",
    ],
)
def test_a_guard_that_another_package_answers_needs_an_answer_that_can_be_false(tmp_path: Path, answer: str) -> None:
    source = "from .asked import is_third_available\nif is_third_available():\n    import third.sub\n"
    needed = needs_of(tmp_path, source, asked=f"from other.utils import _is_package_available\n{answer}")
    need = Need("other.utils", "_is_package_available() -> bool", is_use=False, condition=(("third", "absent"),))
    assert needed.symbols[need] == "pkg/a.py"


def test_a_guard_that_the_package_answers_itself_needs_nothing(tmp_path: Path) -> None:
    source = "from .guards import is_third_available\nif is_third_available():\n    import third\n"
    answer = "def _is_package_available(name): ...\n_third_available = _is_package_available('third')\n"
    files = {"pkg/__init__.py": "", "pkg/a.py": source}
    files["pkg/guards.py"] = f"{answer}def is_third_available():\n    return _third_available\n"
    assert needs(wheel(tmp_path, "pkg", files), ["pkg.a"], OTHERS).symbols == {}


@pytest.mark.parametrize(
    ("body", "can_be_false"),
    [("return found", True), ("return found, version", False), ("if x:\n        return found\n    return 1, 2", True)],
)
def test_only_a_function_that_always_returns_a_tuple_has_no_truth_value(
    tmp_path: Path, body: str, can_be_false: bool
) -> None:
    reader = wheel(tmp_path, "other", {"other/__init__.py": f"def probe(name):\n    {body}\n"})
    assert reader.provides("other", "probe() -> bool") is can_be_false
