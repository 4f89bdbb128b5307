"""Autograd functions of a project that nothing applies, or only a helper that nothing calls."""

import ast

from vc2doctor.linter.analyse.expressions import expressions_of
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.stage import words
from vc2doctor.linter.read.module import Class, Function, Place


def is_never_applied(facts: Facts, cls: Class | None) -> bool:
    """Return whether a class is an autograd function, and no code that can run applies it: ``Softmax.apply(x)``.

    Tests of the project do not count: they train nothing.
    """
    if cls is None or not any(base.rpartition(".")[2] == "Function" for base in facts.code.base_names(cls)):
        return False
    modules = facts.code.unit_of(cls.module).modules
    mentioning = [module for module in modules if f"{cls.name}.apply" in module.source.text]
    places = [place for module in mentioning for place in module.statements if _mentions_apply(place, cls)]
    return not any(_can_run(facts, place.function) for place in places)


def _mentions_apply(place: Place, cls: Class) -> bool:
    return any(
        isinstance(node, ast.Attribute)
        and node.attr == "apply"
        and isinstance(node.value, ast.Name)
        and node.value.id == cls.name
        for node in expressions_of(place)
    )


def _can_run(facts: Facts, function: Function) -> bool:
    """Return whether a function can run: a method, the level of a module, or a function that something calls."""
    if not function.name or function.cls is not None or (function.outer is not None and function.outer.name):
        return True
    callers = (call.place.function for call in facts.code.callers(function))
    return any(not words(caller.name) & {"test", "tests"} for caller in callers)
