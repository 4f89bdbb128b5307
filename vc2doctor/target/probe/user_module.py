"""Imports the module or the file that holds the user's own function (``--entry``)."""

import contextlib
import importlib
import importlib.util
import os
import sys
from typing import Any, Dict, List

SUFFIX = ".py"
_LOADED: Dict[str, Any] = {}
"""The files that were imported, by absolute path: each is run once, as an imported module is."""
_START: List[str] = []
"""The working directory of the first import."""


def load(place: str) -> Any:
    """Return the module ``place``: a dotted name, or the path of a file with the suffix ``.py``.

    The current directory is added to ``sys.path``, and for a file the folder that holds it. A file in a package is
    imported as a part of that package, so its relative imports work. The working directory is the one of the first
    import again: the user's function may have left it, and is called once for each recipe.

    Raises:
        BaseException: whatever the import of the user's module raises.
    """
    _enter_start_folder()
    if "" not in sys.path:
        sys.path.insert(0, "")
    if not place.endswith(SUFFIX):
        return importlib.import_module(place)
    path = os.path.abspath(place)
    if path not in _LOADED:
        _LOADED[path] = _load_file(path)
    return _LOADED[path]


def _enter_start_folder() -> None:
    if not _START:
        _START.append(os.getcwd())
    # It may have been removed. Then the import says what is missing.
    with contextlib.suppress(OSError):
        os.chdir(_START[0])


def _load_file(path: str) -> Any:
    folder, name = os.path.split(path[: -len(SUFFIX)])
    while os.path.isfile(os.path.join(folder, "__init__.py")):
        folder, package = os.path.split(folder)
        name = package + "." + name
    if folder not in sys.path:
        sys.path.insert(0, folder)
    parent = name.rpartition(".")[0]
    if parent and os.path.isfile(os.path.join(os.path.dirname(path), "__init__.py")):
        return importlib.import_module(name)
    # By its path: the name of the file may hold dots, or be the name of a package that is imported already.
    name = name if name not in sys.modules and not parent else "vc2doctor_entry_" + name.replace(".", "_")
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError("%s cannot be imported" % path)
    module = importlib.util.module_from_spec(spec)
    # Classes of the file must be found by the name of their module: dataclasses and pickle look there.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
