"""Loads of checkpoints that refuse pickled objects since torch 2.6."""

import ast
from collections import defaultdict
from collections.abc import Iterator

from packaging.version import Version

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.detectors.torch_names import TorchTarget, torch_of
from vc2doctor.linter.knowledge.torch_names import SAFE_LOAD
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, Module

_URL = "https://docs.pytorch.org/docs/stable/generated/torch.load.html"
_OF_MODULES = frozenset({"state_dict", "parameters", "named_parameters", "modules", "named_modules", "eval", "train"})
"""Methods that modules have and tensors do not."""
_KEEPING = frozenset({"float", "half", "to", "cuda", "cpu", "eval", "fuse", "get"})
"""Methods that return the module itself, or an entry of the checkpoint."""


def checkpoint_loads(facts: Facts) -> Iterator[CodeFinding]:
    """Yield loads of checkpoints with the new default (VC119), one finding a unit: a note, unless a module is read."""
    loads: dict[tuple[str, bool], list[Call]] = defaultdict(list)
    trained = _trained(facts)
    for module in facts.code.files.modules.values():
        if "torch.load" in module.source.text and module in trained:
            for call in module.calls:
                if call.name == "load" and module.dotted(call.node.func) == "torch.load" and _uses_default(call):
                    is_module = _holds_module(call)
                    if is_module or facts.stages.module_trains(module):
                        loads[facts.code.folder_of(module.name), is_module].append(call)
    for (folder, is_module), calls in loads.items():
        torch = torch_of(facts, folder)
        if torch is not None and torch.newest >= Version(SAFE_LOAD):
            yield _refused(calls, torch) if is_module else _load(calls, torch)


def _trained(facts: Facts) -> frozenset[Module]:
    """Return the modules that train, with all that they import."""
    training = (module for module in facts.code.files.modules.values() if facts.stages.module_trains(module))
    return frozenset(other for module in training for other in facts.code.import_closure(module))


def _uses_default(call: Call) -> bool:
    return not any(keyword.arg in (None, "weights_only") for keyword in call.node.keywords)


def _holds_module(call: Call) -> bool:
    """Return whether code reads a whole module from what is loaded: ``checkpoint["model"].float().state_dict()``."""
    function, statement = call.place.function, call.place.statement
    names = {
        target.id
        for target in (statement.targets if isinstance(statement, ast.Assign) and statement.value is call.node else ())
        if isinstance(target, ast.Name)
    }
    return any(
        inner.name in _OF_MODULES and _is_entry(inner.receiver, names, call.node)
        for inner in call.place.module.calls_in(function)
    )


def _is_entry(expression: ast.expr, names: set[str], load: ast.Call) -> bool:
    """Return whether an expression is an entry of the loaded checkpoint, perhaps moved or cast."""
    has_entry = False
    while True:
        if isinstance(expression, ast.Subscript):
            expression, has_entry = expression.value, True
        elif isinstance(expression, ast.Call) and expression is not load and isinstance(expression.func, ast.Attribute):
            if expression.func.attr not in _KEEPING:
                return False
            expression = expression.func.value
        else:
            break
    is_loaded = expression is load or (isinstance(expression, ast.Name) and expression.id in names)
    return has_entry and is_loaded


def _refused(calls: list[Call], torch: TorchTarget) -> CodeFinding:
    first, *others = calls
    return build.at_node(
        first.place.module,
        first.node,
        "VC119",
        Severity.ERROR if torch.is_exact else Severity.WARNING,
        "torch.load refuses this checkpoint since torch 2.6: it holds a whole module, which weights_only=True forbids",
        remedy="Pass weights_only=False for a file that you trust, or save state_dict() in place of the module.",
        evidence=(torch.reason, "a method of modules is called on what is loaded"),
        url=_URL,
        also=tuple(build.place_of(call.place.module, call.node) for call in others),
    )


def _load(calls: list[Call], torch: TorchTarget) -> CodeFinding:
    first, *others = calls
    return build.at_node(
        first.place.module,
        first.node,
        "VC119",
        Severity.NOTE,
        "torch.load refuses checkpoints with other objects than tensors since torch 2.6, unless weights_only=False",
        remedy="Pass weights_only=True for plain weights, or weights_only=False for a file of your own that you trust.",
        evidence=(torch.reason,),
        url=_URL,
        also=tuple(build.place_of(call.place.module, call.node) for call in others),
    )
