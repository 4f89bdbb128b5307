"""The import of the user's file, and whose code raised an exception: in this Python, without the stack."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vc2doctor.target.probe import exceptions, user_module


@pytest.fixture(autouse=True)
def restored_imports() -> Iterator[None]:
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in sys.modules.keys() - modules:
        del sys.modules[name]


def test_file_in_a_package_can_import_its_neighbors(tmp_path: Path) -> None:
    package = tmp_path / "project_of_user" / "training"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").write_text("")
    (package.parent / "models.py").write_text("size = 3\n")
    (package / "train.py").write_text("from ..models import size\n")
    module = user_module.load(str(package / "train.py"))
    assert (module.size, module.__name__) == (3, "project_of_user.training.train")


@pytest.mark.parametrize("name", ["train-v1.5.py", "json.py"])
def test_name_of_a_file_need_not_be_that_of_a_module_and_takes_no_other_ones_place(tmp_path: Path, name: str) -> None:
    before = sys.modules["json"]
    (tmp_path / "helpers_of_user.py").write_text("size = 3\n")
    (tmp_path / name).write_text("import dataclasses, helpers_of_user\n@dataclasses.dataclass\nclass A:\n    a: int\n")
    module = user_module.load(str(tmp_path / name))
    assert (module.helpers_of_user.size, module.A(1).a) == (3, 1)
    assert sys.modules["json"] is before
    assert user_module.load(str(tmp_path / name)) is module, "the file is run once"


def test_function_that_changes_the_working_directory_is_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(user_module, "_START", [])
    (tmp_path / "mine.py").write_text("import os\ndef build():\n    os.mkdir('x'); os.chdir('x'); os.rmdir('../x')\n")
    user_module.load("mine.py").build()
    module = user_module.load("mine.py")
    assert Path.cwd() == tmp_path
    module.build()
    assert not (tmp_path / "x").exists()


SOURCES = {
    "own": ("raise ValueError('x')", True),
    "by the standard library for the user": ("import json\njson.loads('{')", True),
    "own RuntimeError": ("raise RuntimeError('x')", True),
    "file that is missing": ("from pathlib import Path\nPath('nowhere/data').read_text()", True),
    "syntax": ("def broken(:", True),
    "end of the program": ("raise SystemExit(1)", True),
    "missing package": ("import nowhere_at_all", False),
    "missing name": ("from pathlib import Nowhere", False),
    "argument that another release may have": ("import json\njson.loads(s='1', cls=None, nowhere=dict())", False),
    "memory": ("raise MemoryError", False),
    "package": ("from packaging.version import Version\nVersion('x.y.z')", False),
}


@pytest.mark.parametrize("name", SOURCES)
def test_exception_is_the_users_own_or_one_of_a_package(tmp_path: Path, name: str) -> None:
    source, is_own = SOURCES[name]
    (tmp_path / "code_of_user.py").write_text(source)
    error = _error(lambda: user_module.load(str(tmp_path / "code_of_user.py")))
    assert exceptions.is_of_users_code(error) is is_own


def _error(action: Callable[[], object]) -> BaseException:
    try:
        action()
    except BaseException as error:  # noqa: BLE001 - SystemExit is one of the cases
        return error
    raise AssertionError(json.dumps("no exception"))
