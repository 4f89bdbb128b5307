"""Spectra that a float16 region computes of half-precision values."""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.dtypes import FLOAT16
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.float32_casts import mentions_float32
from vc2doctor.linter.analyse.loops import Loop
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, Function

_URL = "https://docs.pytorch.org/docs/stable/amp.html#cuda-ops-that-can-autocast-to-float32"

_PRODUCTS = ("matmul", "mm", "bmm")
"""The product of the spectrum with the mel filters: it loses most in float16."""


def half_spectra(facts: Facts) -> Iterator[CodeFinding]:
    """Yield calls in float16 regions that compute a spectrum of half values."""
    for loop in facts.loops.all:
        yield from _half_spectra(facts, loop)


def _half_spectra(facts: Facts, loop: Loop) -> Iterator[CodeFinding]:
    """Yield calls in a float16 region that compute a spectrum of half values: torch.stft is not on autocast's lists."""
    for region in loop.regions:
        if FLOAT16 not in region.dtypes or region.autocast.is_disabled:
            continue
        inside = {node for node in ast.walk(region.statement) if isinstance(node, ast.Call)}
        for call in region.place.module.calls:
            if call.node in inside and _computes_spectrum(facts, call) and not _is_protected(call, region.statement):
                yield _half_spectrum(facts, call)


def _half_spectrum(facts: Facts, call: Call) -> CodeFinding:
    callee = facts.code.callee(call)
    products = _functions_below(facts, callee) if callee is not None else []
    calls = (inner for function in products for inner in function.module.calls_in(function))
    return build.at_node(
        call.place.module,
        call.node,
        "VC107",
        Severity.WARNING,
        f"{call.name} computes a spectrum of half-precision values inside a float16 region",
        evidence=("autocast casts neither torch.stft nor its input; the mel product then runs in float16",),
        remedy="Leave the region first (autocast with enabled=False), and give it x.float().",
        url=_URL,
        role="cast",
        also=tuple(build.place_of(inner.place.module, inner.node) for inner in calls if inner.name in _PRODUCTS),
    )


def _functions_below(facts: Facts, function: Function) -> list[Function]:
    """Return a function, with the functions that it calls."""
    callees = (facts.code.callee(call) for call in function.module.calls_in(function))
    return [function, *dict.fromkeys(callee for callee in callees if callee is not None)]


def _computes_spectrum(facts: Facts, call: Call) -> bool:
    callee = facts.code.callee(call)
    if callee is None or any(mentions_float32(argument) for argument in call.node.args):
        return False
    functions = _functions_below(facts, callee)
    if any(_takes_input_to_float32(function) for function in functions):
        return False
    return any(inner.name == "stft" for function in functions for inner in function.module.calls_in(function))


def _takes_input_to_float32(function: Function) -> bool:
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "float"
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in function.parameters()
        for node in ast.walk(function.node)
    )


def _is_protected(call: Call, statement: ast.stmt) -> bool:
    """Return whether a region inside of the outer one turns autocast off around a call."""
    return any(
        isinstance(inner, ast.With)
        and inner is not statement
        and any("enabled=False" in ast.unparse(item.context_expr) for item in inner.items)
        and any(node is call.node for node in ast.walk(inner))
        for inner in ast.walk(statement)
    )
