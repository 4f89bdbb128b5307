"""Constructors of torch's optimizers with keywords that the class does not take: TypeError before the first step.

The class can be written there, be one of several that a name or a dictionary holds, or be chosen by an option:
``getattr(torch.optim, args.optimizer)``.
"""

import ast
from collections.abc import Iterator
from typing import NamedTuple

from vc2doctor.core.wording import enumerated
from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.api_guards import guards_of
from vc2doctor.linter.analyse.api_keywords import keywords_of
from vc2doctor.linter.analyse.api_names import code_mentioning, is_rebound
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.analyse.stage import is_inference_path
from vc2doctor.linter.knowledge.optimizer_keywords import OPTIMIZER_KEYWORDS
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, Module, Place

_URL = "https://docs.pytorch.org/docs/stable/optim.html"
_GETATTR_ARGUMENTS = 2
MAX_HOPS = 4
"""Names and dictionaries that are followed to the classes."""


class _Chosen(NamedTuple):
    """The classes that a callee can be."""

    names: tuple[str, ...]
    option: str = ""
    """The option of the program that chooses; empty: the code does."""


def refused_optimizer_calls(facts: Facts) -> Iterator[CodeFinding]:
    """Yield the constructors with a keyword that the class, or one of those that may be meant, does not take."""
    code = code_mentioning(facts, (b"optim",))
    for module in code.files.modules.values():
        if "torch" not in module.source.text or is_inference_path(module.name):
            continue
        guards = guards_of(module)
        for call in module.calls:
            given = {keyword.name for keyword in keywords_of(call)[0] if not keyword.is_conditional}
            statement = call.place.statement
            if given and not (statement is not None and guards.is_guarded(statement)):
                chosen = _classes_of(code, call.node.func, call.place, 0)
                yield from _finding(module, call, chosen, given)


def _finding(module: Module, call: Call, chosen: _Chosen, given: set[str]) -> Iterator[CodeFinding]:
    refused = {name: sorted(given - OPTIMIZER_KEYWORDS[name]) for name in chosen.names}
    refusing = [name for name, keywords in refused.items() if keywords]
    # Where no class takes what is given, the callee is most likely something else.
    if not refusing or (len(chosen.names) > 1 and (len(refusing) == len(chosen.names) or _asks_which(call, chosen))):
        return
    keywords = enumerated([f"{keyword}=" for keyword in refused[refusing[0]]])
    is_certain = len(chosen.names) == 1 and not chosen.option
    where = f" (with {chosen.option} {refusing[0]})" if chosen.option else ""
    yield build.at_node(
        module,
        call.node,
        "VC118",
        Severity.ERROR if is_certain else Severity.WARNING,
        f"torch.optim.{refusing[0]} does not take {keywords}: this call raises TypeError{where}",
        evidence=("read in the signatures of torch 2.13.0; no release of torch takes it",),
        remedy=f"Give {keywords} only to a class that takes it: {_takers(refused[refusing[0]])}.",
        url=_URL,
    )


def _asks_which(call: Call, chosen: _Chosen) -> bool:
    """Return whether a condition around a call names one of the classes: the call is then for some of them."""
    words = {name.lower() for name in chosen.names}
    nodes = (node for condition, _ in call.place.conditions for node in ast.walk(condition))
    return any(
        (isinstance(node, ast.Constant) and str(node.value).lower() in words)
        or (isinstance(node, ast.Attribute) and node.attr.lower() in words)
        for node in nodes
    )


def _takers(keywords: list[str]) -> str:
    takers = [name for name, known in OPTIMIZER_KEYWORDS.items() if known.issuperset(keywords)]
    return enumerated([f"torch.optim.{name}" for name in takers]) or "torch has none"


def _classes_of(code: CodeFacts, callee: ast.expr, place: Place, hops: int) -> _Chosen:
    """Return the optimizers that an expression can be; none: it is something else, or not all are known."""
    if hops > MAX_HOPS:
        return _Chosen(())
    name = _torch_class(place.module, callee)
    if name:
        return _Chosen((name,))
    if isinstance(callee, ast.Call) and _is_getattr(place.module, callee):
        return _by_option(code, callee.args[1], place)
    table = _table_of(callee)
    if table is not None:
        return _of_table(code, table, place, hops)
    return _all_of(code, _values(callee, place) if isinstance(callee, ast.Name) else [], place, hops)


def _table_of(callee: ast.expr) -> ast.expr | None:
    """Return the dictionary that a class is taken from: ``CLASSES[name]``, ``CLASSES.get(name)``."""
    if isinstance(callee, ast.Subscript):
        return callee.value
    if isinstance(callee, ast.Call) and isinstance(callee.func, ast.Attribute) and callee.func.attr == "get":
        return callee.func.value
    return None


def _torch_class(module: Module, callee: ast.expr) -> str:
    dotted = module.dotted(callee)
    head, _, name = dotted.rpartition(".")
    root = callee
    while isinstance(root, ast.Attribute):
        root = root.value
    is_own = isinstance(root, ast.Name) and (root.id not in module.imports or is_rebound(module, root.id))
    is_torch = head == "torch.optim" or head == f"torch.optim.{name.lower()}"
    return name if is_torch and name in OPTIMIZER_KEYWORDS and not is_own else ""


def _is_getattr(module: Module, callee: ast.Call) -> bool:
    is_two = len(callee.args) >= _GETATTR_ARGUMENTS and module.dotted(callee.func) == "getattr"
    return is_two and module.dotted(callee.args[0]) == "torch.optim"


def _by_option(code: CodeFacts, text: ast.expr, place: Place) -> _Chosen:
    """Return the classes that the choices of an option name: ``getattr(torch.optim, args.optimizer)``."""
    if isinstance(text, ast.Constant):
        return _Chosen((text.value,) if isinstance(text.value, str) and text.value in OPTIMIZER_KEYWORDS else ())
    name = ""
    if isinstance(text, ast.Attribute):
        name = text.attr
    elif isinstance(text, ast.Subscript) and isinstance(text.slice, ast.Constant):
        name = str(text.slice.value)
    arguments = code.unit_of(place.module).arguments.get(name) if place.module.name in code.files.folders else None
    choices = {choice for argument in arguments or () for choice in argument.choices}
    if not choices or not choices <= OPTIMIZER_KEYWORDS.keys():
        return _Chosen(())
    return _Chosen(tuple(sorted(choices)), f"--{name}")


def _values(name: ast.Name, place: Place) -> list[ast.expr]:
    """Return what a local name or one of the module is assigned; empty: it is a parameter, or unknown."""
    for scope in place.function.scopes():
        if name.id in scope.parameters():
            return []
        if name.id in scope.names:
            return [value for value, _ in scope.names[name.id]]
    return []


def _of_table(code: CodeFacts, table: ast.expr, place: Place, hops: int) -> _Chosen:
    values = _values(table, place) if isinstance(table, ast.Name) else [table]
    if len(values) != 1 or not isinstance(values[0], ast.Dict):
        return _Chosen(())
    return _all_of(code, values[0].values, place, hops)


def _all_of(code: CodeFacts, values: list[ast.expr], place: Place, hops: int) -> _Chosen:
    """Return the classes of some expressions; those that are not of torch are left out."""
    found = [_classes_of(code, value, place, hops + 1) for value in values]
    names = tuple(dict.fromkeys(name for chosen in found for name in chosen.names))
    return _Chosen(names, next((chosen.option for chosen in found if chosen.option), ""))
