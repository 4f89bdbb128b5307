"""Puts a mutant into the place of the original, in a running process."""

from __future__ import annotations

import functools
import sys
from types import FunctionType, ModuleType

from tests.mutants.mutations import Mutant


def apply(mutant: Mutant, module: ModuleType) -> None:
    """Change ``module`` as the mutant says, for everyone who already imported from it.

    A function keeps its identity and gets the code of the mutant, so this works for decorated functions, and for those
    that other modules imported by name. The change cannot be taken back: call this in a process of its own.

    Raises:
        SyntaxError: the changed source is no valid Python.
        NameError: a changed default or constant names something that the module does not have.
    """
    names = {**vars(module)}
    exec(compile(mutant.source, str(module.__file__), "exec"), names)  # noqa: S102
    if mutant.is_constant:
        _replace_constant(mutant.owner, vars(module)[mutant.owner], names[mutant.owner])
        return
    function, changed = _function(module, mutant.owner), names[mutant.owner.rpartition(".")[2]]
    function.__code__ = changed.__code__
    function.__defaults__ = changed.__defaults__
    function.__kwdefaults__ = changed.__kwdefaults__


def _replace_constant(name: str, old: object, new: object) -> None:
    for module in [*sys.modules.values()]:
        if vars(module).get(name) is old:
            setattr(module, name, new)


def _function(module: ModuleType, owner: str) -> FunctionType:
    """Return the function that a name of a module, or of a class in it, stands for."""
    scope: object = module
    *classes, name = owner.split(".")
    for each in classes:
        scope = vars(scope)[each]
    found = vars(scope)[name]
    if isinstance(found, property):
        found = found.fget
    elif isinstance(found, functools.cached_property):
        found = found.func
    elif isinstance(found, (staticmethod, classmethod)):
        found = found.__func__
    assert isinstance(found, FunctionType)
    return found
