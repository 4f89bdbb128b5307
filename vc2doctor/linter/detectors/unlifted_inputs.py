"""Blocks with autocast off whose inputs a network gave in the region around them: their arithmetic stays half.

A framework opens the region around the step (Lightning's ``16-mixed``), so the code shows only ``enabled=False``. The
rules about regions that the code opens itself are in VC107.
"""

import ast
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.autocast import Region, dtype_names
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.half_contexts import HalfContext
from vc2doctor.linter.analyse.stage import is_torch_module, words
from vc2doctor.linter.analyse.tensor_dtypes import MODELS
from vc2doctor.linter.analyse.tensor_kinds import Kind, Mode
from vc2doctor.linter.detectors.half_pattern import arithmetic_finding
from vc2doctor.linter.detectors.possible_contexts import possible_contexts
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Assigned, Call, Function, Place, last_name
from vc2doctor.linter.read.syntax import walk

_NETWORKS = MODELS | {"disc", "discriminator", "gen", "decoder", "encoder", "mpd", "msd"}
_LOSSES = frozenset({"loss", "losses", "criterion"})
_ARITHMETIC = frozenset({"mean", "sum", "pow", "square", "abs", "log", "exp", "sqrt", "mse_loss", "l1_loss", "norm"})
_CASTS = frozenset({"float", "float32", "double"})


class Unlifted(NamedTuple):
    """A call in a block with autocast off that takes what a network gave before it."""

    region: Region
    call: Call
    names: tuple[str, ...]
    """The half values that it takes."""
    callee: Function | None
    """The function of the project that it goes to; ``None``: a function of torch."""
    way: HalfContext


def unlifted_regions(facts: Facts) -> Iterator[CodeFinding]:
    """Yield a note (VC103) for each block with autocast off that takes half values without a cast."""
    found = _found(facts)
    for region in dict.fromkeys(each.region for each in found):
        calls = [each for each in found if each.region is region]
        names = ", ".join(dict.fromkeys(name for each in calls for name in each.names))
        yield build.at_node(
            region.place.module,
            region.statement.items[0].context_expr,
            "VC103",
            Severity.NOTE,
            f"autocast is off here, and {names} may be {dtype_names(calls[0].way.dtypes)}: what a network gave in the "
            "region around it keeps its dtype",
            evidence=(calls[0].way.why, "enabled=False only stops casting; tensors keep their dtypes"),
            remedy="Take these inputs to float32 first: x.float().",
            url=build.AMP_URL,
            role="region",
        )


def unlifted_losses(facts: Facts) -> Iterator[CodeFinding]:
    """Yield a note (VC110) for each function of the project that computes in half precision in such a block."""
    seen: set[Function] = set()
    for each in _found(facts):
        callee = each.callee
        node = _first_arithmetic(callee) if callee is not None and callee not in seen else None
        if callee is None or node is None:
            continue
        seen.add(callee)
        location = build.place_of(each.call.place.module, each.call.node).location
        finding = arithmetic_finding(
            node,
            Place(callee),
            f"{callee.name} computes in {dtype_names(each.way.dtypes)} where {location} calls it with autocast off, if "
            "the values are half precision there",
            (each.way.why, "enabled=False only stops casting; tensors keep their dtypes"),
            "Take the inputs to float32 first: x.float().",
        )
        yield finding.model_copy(update={"severity": Severity.NOTE, "role": "other"})


@lru_cache(maxsize=2)
def _found(facts: Facts) -> tuple[Unlifted, ...]:
    disabled = [region for region in facts.autocast.regions if region.autocast.is_disabled]
    found: list[Unlifted] = []
    contexts = possible_contexts(facts) if disabled else None
    for region in disabled:
        function = region.place.function
        if contexts is None or not function.name or facts.stages.infers_by_path(function.module):
            continue
        ways = (way for way in contexts.of(function) if way.tensors.mode is Mode.AUTOCAST)
        way = next((way for way in ways if contexts.is_used(way)), None)
        if way is not None:
            found.extend(_calls_in(facts, region, way))
    return tuple(found)


def _calls_in(facts: Facts, region: Region, way: HalfContext) -> Iterator[Unlifted]:
    opened = {item.context_expr for item in region.statement.items}
    contexts = possible_contexts(facts)
    for call in region.place.module.calls_in(region.place.function):
        if not opened & set(call.place.contexts):
            continue
        given = (each for each in call.node.args if isinstance(each, ast.Name))
        names = tuple(each.id for each in given if _is_of_network(facts, region, way, each))
        callee = contexts.known.tensors.callees.of(call) if names else None
        is_of_torch = call.name in _ARITHMETIC and callee is None
        if names and (is_of_torch or (callee is not None and not _casts(callee))):
            yield Unlifted(region, call, names, callee, way)


def _is_of_network(facts: Facts, region: Region, way: HalfContext, value: ast.Name) -> bool:
    """Return whether a network gave a value before a region, and nothing takes it to float32."""
    function = region.place.function
    plain: list[Assigned] = function.names.get(value.id, [])
    unpacked: list[Assigned] = [(each, place) for each, _, place in function.unpacked.get(value.id, [])]
    before = [(each, at) for each, at in (*plain, *unpacked) if _is_before(at, region)]
    if not before or words(value.id) & _LOSSES or value.id in function.parameters():
        return False
    tensors = possible_contexts(facts).known.tensors
    if tensors.of(value, region.place, way.tensors) is Kind.FLOAT32:
        return False
    return all(isinstance(each, ast.Call) and _is_network(facts, Call(each, at)) for each, at in before)


def _is_before(place: Place, region: Region) -> bool:
    opened = {item.context_expr for item in region.statement.items}
    is_inside = bool(opened & set(place.contexts))
    return not is_inside and place.statement is not None and place.statement.lineno < region.statement.lineno


def _is_network(facts: Facts, call: Call) -> bool:
    function = call.node.func
    if not isinstance(function, ast.Attribute | ast.Name) or words(call.name) & _LOSSES:
        return False
    cls = facts.objects.class_of(function, call.place)
    if cls is not None:
        return is_torch_module(facts.code, cls) and not words(cls.name) & _LOSSES and not _gives_float32(cls.methods)
    is_of_object = not isinstance(function, ast.Attribute) or last_name(function.value) == "self"
    return is_of_object and bool(words(call.name) & _NETWORKS)


def _gives_float32(methods: dict[str, Function]) -> bool:
    """Return whether a network casts what it returns to float32."""
    forward = methods.get("forward")
    return forward is not None and any(
        isinstance(node, ast.Attribute) and node.attr in _CASTS for value, _ in forward.returned for node in walk(value)
    )


def _casts(function: Function) -> bool:
    return any(isinstance(node, ast.Attribute) and node.attr in _CASTS for node in walk(function.node))


def _first_arithmetic(function: Function) -> ast.expr | None:
    """Return the first operation of a function that rounds: a mean, a square, a difference."""
    nodes = [
        node
        for node in walk(function.node)
        if (isinstance(node, ast.Call) and last_name(node.func) in _ARITHMETIC)
        or (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub | ast.Pow))
    ]
    return min(nodes, key=lambda node: (node.lineno, node.col_offset), default=None)
