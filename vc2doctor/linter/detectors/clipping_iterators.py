"""Clipping that gets an iterator which is used up: ``layers = filter(…)``, then the optimizer, then the clipping.

The optimizer makes a list of what it gets, so it trains all of it; the clipping finds nothing and says nothing.
https://github.com/huggingface/diffusers/blob/v0.27.0/examples/text_to_image/train_text_to_image_lora.py
"""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.stage import Stage
from vc2doctor.linter.detectors.clipping_keys import CLIPPING_CALLS, CLIPPING_URL
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, last_name

_ITERATORS = frozenset({"filter", "map", "parameters", "chain", "iter"})
"""Calls whose result can be gone through once."""


def clipping_of_used_iterator(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Yield clippings whose parameters are an iterator that something before has gone through (VC105)."""
    for name in CLIPPING_CALLS:
        for clipping in unit.calls.get(name, []):
            parameters = clipping.argument("parameters", 0)
            if not isinstance(parameters, ast.Name) or facts.stages.of(clipping.place) is Stage.INFERS:
                continue
            parameters = _aliased(clipping, parameters)
            made = _iterator(clipping, parameters)
            used = _used_before(clipping, parameters.id, made) if made is not None else None
            if made is not None and used is not None:
                yield _finding(clipping, made, used)


def _aliased(clipping: Call, name: ast.Name) -> ast.Name:
    """Return the name that a name stands for: ``lora_layers`` behind ``params_to_clip = lora_layers``."""
    values = clipping.place.function.names.get(name.id, [])
    value = values[0][0] if len(values) == 1 else None
    return value if isinstance(value, ast.Name) else name


def _iterator(clipping: Call, name: ast.Name) -> ast.expr | None:
    """Return the iterator that is the only value of a name in the function of a clipping; ``None``: it is none."""
    values = clipping.place.function.names.get(name.id, [])
    if len(values) != 1 or name.id in clipping.place.function.parameters():
        return None
    value, _ = values[0]
    is_call = isinstance(value, ast.Call) and last_name(value.func) in _ITERATORS
    return value if is_call or isinstance(value, ast.GeneratorExp) else None


def _used_before(clipping: Call, name: str, made: ast.expr) -> Call | None:
    """Return the call that goes through an iterator first: an optimizer that gets it before the clipping."""
    for call in clipping.place.module.calls_in(clipping.place.function):
        is_between = made.lineno < call.node.lineno < clipping.node.lineno
        gets = [*call.node.args, *(keyword.value for keyword in call.node.keywords)]
        is_given = any(isinstance(each, ast.Name) and each.id == name for each in gets)
        if is_between and is_given and "optim" in f"{ast.unparse(call.node.func)} {_target(call)}".lower():
            return call
    return None


def _target(call: Call) -> str:
    targets = call.place.targets
    return ast.unparse(targets[0]) if targets else ""


def _finding(clipping: Call, made: ast.expr, used: Call) -> CodeFinding:
    module = clipping.place.module
    return build.at_node(
        module,
        clipping.node,
        "VC105",
        Severity.WARNING,
        f"{build.code(made)} is an iterator, and the optimizer has gone through it: the clipping gets no parameters",
        evidence=(
            f"made at {build.place_of(module, made).location}",
            f"used up at {build.place_of(module, used.node).location}",
        ),
        remedy="Make a list of it where it is made: list(…).",
        url=CLIPPING_URL,
    )
