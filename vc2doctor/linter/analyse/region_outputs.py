"""Outputs of a model that leave their region for a criterion, around which the loop has turned autocast off."""

import ast
import re
from collections.abc import Iterator, Mapping

from vc2doctor.linter.analyse.autocast import Region
from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.read.module import Call, Class, Module

_CAST = re.compile(r"\b(\w*(logits|pred|src|output|prob)\w*(\[[^\]]*\])?)\.(float|double)\(\)")
"""A value of a model that is taken to float32, in the text of a class."""


def outputs_of(region: Region) -> set[str]:
    """Return the names that hold what calls return in a region."""
    names: set[str] = set()
    for statement in region.statement.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=ast.Name() | ast.Attribute())):
                names.add(name)
            case ast.Assign(targets=[ast.Tuple(elts=elements)], value=ast.Call(func=ast.Name() | ast.Attribute())):
                names |= {element.id for element in elements if isinstance(element, ast.Name)}
    return names


def calls_without_region(regions: Mapping[ast.expr, Region], region: Region) -> Iterator[tuple[Call, str]]:
    """Yield the calls in a region without autocast that take an output of an earlier region first, with its name."""
    outputs, around = outputs_of(region), len(region.place.contexts)
    for call in region.place.module.calls_in(region.place.function):
        inner = [regions.get(context) for context in call.place.contexts[around:]]
        is_off = bool(inner) and all(each is not None and each.autocast.is_disabled for each in inner)
        first = call.node.args[0] if call.node.args else None
        is_behind = call.node.lineno > (region.statement.end_lineno or 0)
        if is_off and is_behind and isinstance(first, ast.Name) and first.id in outputs:
            yield call, first.id


def classes_beside(code: CodeFacts, module: Module) -> Iterator[Class]:
    """Yield the classes that a registry may hand to a loop: those of the unit, and of the package at the top."""
    package = module.name.partition("/")[0]
    of_package = [each for each in code.files.modules.values() if each.name.startswith(f"{package}/")]
    for each in dict.fromkeys((*code.unit_of(module).modules, *of_package)):
        yield from each.classes.values()


def casts_outputs(cls: Class) -> bool:
    """Return whether a criterion takes what it gets to float32 itself."""
    return _CAST.search(ast.unparse(cls.node)) is not None
