"""Imports and names of the modules of small wheels."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.curate.wheels.wheels import wheel
from vc2doctor.curate.wheels.read import Reader

MODULES = {
    "pkg/__init__.py": "from .a import thing\nfrom . import b\n",
    "pkg/a.py": """
import other
from other.sub import needed as renamed
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from other import only_typing
try:
    from other import guarded
except ImportError:
    guarded = None
if is_torch_available():
    from other import with_torch
if is_x_available():
    from other import optional
def thing():
    from other import late
""",
    "pkg/b.py": "from .deep.c import *\nfrom ..outside import x\n",
    "pkg/deep/__init__.py": "",
    "pkg/deep/c.py": "from other import deep_down\nVALUE: int = 1\nA, B = 1, 2\nclass C: ...\nclass E(A): ...\n",
    "pkg/unreached.py": "from other import never\n",
    "pkg/old.py": "print 'Python 2'\n",
    "pkg/lazy/__init__.py": "_import_structure = {'x': ['Lazy']}\nimport sys\nsys.modules[__name__] = _LazyModule()\n",
    "pkg/lazy/x.py": "class Lazy: ...\n__all__ = ['Lazy', 'Listed']\n",
    "pkg/stub.pyi": "compiled: int = ...\n",
    "pkg/with_getattr.py": "def __getattr__(name):\n    if name == 'deprecated':\n        return 1\n",
    "pkg-1.dist-info/METADATA": "Name: pkg\nRequires-Dist: torch>=1\nRequires-Dist: x; extra == 'y'\n\ntext\n",
}


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return wheel(tmp_path, "pkg", MODULES)


@pytest.mark.parametrize(
    ("module", "symbol", "provided"),
    [
        ("pkg", "thing", True),
        ("pkg", "b", True),
        ("pkg", "deep", True),
        ("pkg", "nothing", False),
        ("pkg.a", "renamed", True),
        ("pkg.a", "guarded", True),
        ("pkg.a", "only_typing", False),
        ("pkg.b", "C", True),
        ("pkg.deep.c", "VALUE", True),
        ("pkg.deep.c", "B", True),
        ("pkg.gone", "", False),
        ("pkg.deep", "", True),
        ("pkg.lazy", "Lazy", True),
        ("pkg.lazy", "Listed", True),
        ("pkg.lazy", "Unlisted", False),
        ("pkg.old", "x", False),
        ("pkg", "deep.c.C", True),
        ("pkg", "deep.c.D", False),
        ("pkg", "deep.c.C.attribute_of_a_class", False),
        ("pkg", "deep.c.E.attribute_of_an_unknown_base", True),
        ("pkg.stub", "compiled", True),
        ("pkg.with_getattr", "deprecated", True),
        ("pkg.with_getattr", "other", False),
    ],
)
def test_a_module_provides_what_an_import_of_it_would_find(
    reader: Reader, module: str, symbol: str, provided: bool
) -> None:
    assert reader.provides(module, symbol) is provided


def test_requirements_are_read_from_the_metadata(reader: Reader) -> None:
    assert reader.requirements() == ["torch>=1", "x; extra == 'y'"]


def test_an_import_of_a_lazy_package_leads_to_the_module_of_the_symbol(tmp_path: Path) -> None:
    init = """
from typing import TYPE_CHECKING
_import_structure = {'trainer': ['Trainer'], 'models': ['Model']}
if TYPE_CHECKING:
    try:
        pass
    except ImportError:
        from .dummy_objects import Trainer
    else:
        from .trainer import Trainer
    from .models import *
else:
    sys.modules[__name__] = _LazyModule(__name__)
"""
    files = {"pkg/__init__.py": init, "pkg/trainer.py": "class Trainer: ...\n", "pkg/models.py": "class Model: ...\n"}
    lazy = wheel(tmp_path, "pkg", files)
    assert lazy.origin("pkg", "Trainer") == "pkg.trainer"
    assert lazy.origin("pkg", "Model") == "pkg.models"
    assert lazy.origin("pkg", "Nothing") is None
    assert lazy.origin("pkg.trainer", "Trainer") is None


def test_torch_provides_what_its_stubs_declare_and_what_its_own_modules_use(tmp_path: Path) -> None:
    files = {
        "torch/__init__.py": "from torch._C import *\n",
        "torch/_C/__init__.pyi": "float16: dtype = ...\n",
        "torch/_C/_VariableFunctions.pyi": "def arange(): ...\n",
        "torch/_utils.py": "import torch\nSIZES = {torch.float8_e5m2: 1}\n",
    }
    torch = wheel(tmp_path, "torch", files)
    assert all(torch.provides("torch", name) for name in ("float16", "arange", "float8_e5m2"))
    assert not torch.provides("torch", "float8_e8m0fnu")
