"""Dtypes that a program works out from its options, and then overwrites or never uses."""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.autocast import HALF_DTYPES
from vc2doctor.linter.analyse.dtypes import FLOAT32, Dtype
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.stage import is_inference_path
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Assigned, Function, Module, last_name
from vc2doctor.linter.read.syntax import walk

_URL = "https://docs.pytorch.org/docs/stable/tensor_attributes.html#torch.dtype"
_SHOWS = ("print", "info", "debug", "warning", "write", "log")
"""Calls that only show a value."""


def unused_dtypes(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Yield dtypes of options that are overwritten by a literal, or that nothing uses."""
    for module in unit.modules:
        if "torch" not in module.imports or is_inference_path(module.name):
            continue
        for function in module.functions:
            for name, assigned in function.names.items():
                chosen = [each for each in assigned if _is_chosen_dtype(module, each[0])]
                if chosen:
                    yield from _of_name(facts, function, name, chosen[-1])


def _of_name(facts: Facts, function: Function, name: str, chosen: Assigned) -> Iterator[CodeFinding]:
    value, place = chosen
    lines = sorted(node.lineno for node in _reads(function, name))
    after = [each for each in function.names[name] if each[0].lineno > value.lineno]
    for other, other_place in after:
        dtypes = facts.values.dtypes(other, other_place)
        is_literal = (
            len(dtypes) == 1 and dtypes <= HALF_DTYPES | {FLOAT32} and not _is_chosen_dtype(function.module, other)
        )
        is_certain = other_place.conditions == place.conditions[: len(other_place.conditions)]
        is_read_between = any(value.lineno < line < other.lineno for line in lines)
        if is_literal and is_certain and not is_read_between:
            yield _overwritten(function.module, name, chosen, other, next(iter(dtypes)))
            return
    if not lines and not after:
        yield _unread(function.module, name, value)


def _is_chosen_dtype(module: Module, value: ast.expr) -> bool:
    """Return whether an expression makes a dtype of an option: a table of dtypes, or ``getattr(torch, args.dtype)``."""
    for node in walk(value):
        match node:
            case ast.Call(func=ast.Name(id="getattr"), args=[owner, name, *_]):
                if module.dotted(owner) == "torch" and not _is_text(name):
                    return True
    if isinstance(value, ast.Subscript) and isinstance(value.value, ast.Dict) and not _is_text(value.slice):
        names = [module.dotted(each) for each in value.value.values]
        return bool(names) and all(name.startswith("torch.") and "float" in name for name in names)
    return False


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant)


def _reads(function: Function, name: str) -> Iterator[ast.Name]:
    """Yield the places in a function that use a name, without those that only show it."""
    shown = {
        inner
        for call in walk(function.node)
        if isinstance(call, ast.Call) and last_name(call.func) in _SHOWS
        for inner in walk(call)
    }
    for node in walk(function.node):
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load) and node not in shown:
            yield node


def _overwritten(module: Module, name: str, chosen: Assigned, other: ast.expr, dtype: Dtype) -> CodeFinding:
    value, place = chosen
    finding = build.at_node(
        module,
        other,
        "VC106",
        Severity.WARNING,
        f"{name} is read from the options, and this line makes it {dtype.name} in every run",
        evidence=(f"{build.place_of(module, value).location} {build.code(value)}",),
        remedy="Delete this line, or the option.",
        url=_URL,
        role="config",
        cause="float16" if dtype.name == "float16" else None,
        if_missed="the weights are float16 whatever the option says" if dtype.name == "float16" else None,
    )
    _, line, _ = build.span(module, place.statement or value)
    return finding.model_copy(update={"line": line})


def _unread(module: Module, name: str, value: ast.expr) -> CodeFinding:
    return build.at_node(
        module,
        value,
        "VC106",
        Severity.NOTE,
        f"{name} is worked out from the options, and nothing uses it: the option has no effect",
        evidence=(build.code(value),),
        remedy=f"Pass {name} where the dtype is decided, for example autocast(dtype={name}).",
        url=_URL,
        role="config",
    )
