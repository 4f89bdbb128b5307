"""Replaces one attribute of one module of the doctor; ``VC2DOCTOR_FAULTS_GUARD`` says which, as JSON.

Python imports this module at its start. It must work in the target's Python as well, which never loads the doctor.
"""

from __future__ import annotations

import importlib.machinery
import json
import os
import shutil
import sys
from typing import Any

GUARD = json.loads(os.environ["VC2DOCTOR_FAULTS_GUARD"])

_WRAPPER = """
import importlib.util, os, sys
spec = importlib.util.spec_from_file_location("guarded", {file!r})
module = importlib.util.module_from_spec(spec)
sys.modules["guarded"] = module
spec.loader.exec_module(module)
parts = {attribute!r}.split(".")
holder = module
for part in parts[:-1]:
    holder = getattr(holder, part)
original = getattr(holder, parts[-1])
setattr(holder, parts[-1], eval({replacement!r}))
module.main(sys.argv[1:])
os._exit(0)
"""
"""Takes the place of a file that the doctor starts by its path, in a Python without ``sitecustomize``."""


class Finder:
    """Finds the module of the guard as usual, and changes it after it was loaded."""

    @staticmethod
    def find_spec(name: str, path: Any = None, _target: Any = None) -> importlib.machinery.ModuleSpec | None:
        """Return the spec of the guarded module alone."""
        if name != GUARD["module"]:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_replace(module: Any) -> None:
            execute(module)
            remove(module)

        spec.loader.exec_module = execute_and_replace  # type: ignore[method-assign]
        return spec


def remove(module: Any) -> None:
    """Replace the guard in its module."""
    way = GUARD["way"]
    if way == "file":
        path = os.path.join(GUARD["folder"], "wrapper.py")
        with open(path, "w", encoding="utf-8") as file:
            file.write(_WRAPPER.format(file=module.__file__, **GUARD))
        module.__file__ = path
        return
    parts = GUARD["attribute"].split(".")
    holder = module
    for part in parts[:-1]:
        holder = getattr(holder, part)
    original = getattr(holder, parts[-1])
    if way == "target":
        # The attribute is the folder that the target runs: change the text of a file in a copy of it.
        copy = os.path.join(GUARD["folder"], "target")
        if not os.path.exists(copy):
            shutil.copytree(original, copy)
            name, old, new = GUARD["replacement"]
            with open(os.path.join(copy, name), encoding="utf-8") as file:
                text = file.read()
            if old not in text:
                sys.exit("the guard is not in the file any more")
            with open(os.path.join(copy, name), "w", encoding="utf-8") as file:
                file.write(text.replace(old, new))
        setattr(holder, parts[-1], type(original)(copy))
        return
    setattr(holder, parts[-1], eval(GUARD["replacement"], {"original": original, "module": module}))


sys.meta_path.insert(0, Finder)
