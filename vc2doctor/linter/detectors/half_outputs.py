"""Outputs of a region that a loop gives to its criterion outside of it, where autocast lifts no loss to float32."""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.autocast import HALF_DTYPES, Region, dtype_names
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.loops import Loop
from vc2doctor.linter.analyse.region_outputs import calls_without_region, casts_outputs, classes_beside, outputs_of
from vc2doctor.linter.analyse.stage import words
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, Function

_CRITERION_WORDS = frozenset({"criterion", "loss", "losses"})
_TAKES_TO_FLOAT32 = frozenset({"float", "float32", "double"})


def half_outputs(facts: Facts, loop: Loop) -> Iterator[CodeFinding]:
    """Yield the first criterion behind a region of a loop that gets what the model returned in the region as it is."""
    for region in loop.own_regions:
        is_half = bool(region.dtypes) and region.dtypes <= HALF_DTYPES
        outputs = outputs_of(region) if is_half and facts.values.is_reached(region.place) is not False else set()
        outputs = {name for name in outputs if not words(name) & _CRITERION_WORDS}
        yield from _criterion_without_region(facts, loop, region, outputs)
        call = next((call for call in _calls_behind(loop, region) if _takes(call, outputs)), None)
        if call is not None and not _is_cast(loop.function, outputs) and not _casts_inside(facts, call):
            yield _loss_outside(region, call)


def _criterion_without_region(facts: Facts, loop: Loop, region: Region, outputs: set[str]) -> Iterator[CodeFinding]:
    """Yield the first criterion that gets outputs of a region where the loop has turned autocast off."""
    regions = {item.context_expr: each for each in facts.autocast.regions for item in each.statement.items}
    for call, name in calls_without_region(regions, region):
        is_criterion = _takes(call, outputs & {name}) and not _is_cast(loop.function, {name})
        if is_criterion and not _casts_inside(facts, call) and not _may_cast(facts, call):
            finding = _loss_outside(region, call)
            message = (
                f"autocast is off around {build.code(call.node.func)}, and its {dtype_names(region.dtypes)} inputs are "
                "not cast to float32: the loss is computed in half precision"
            )
            yield finding.model_copy(update={"severity": Severity.WARNING, "message": message})
            return


def _may_cast(facts: Facts, call: Call) -> bool:
    """Return whether some criterion of the unit takes its inputs to float32: a registry may make this one."""
    if facts.objects.class_of(call.node.func, call.place) is not None:
        return False
    classes = classes_beside(facts.code, call.place.module)
    return any(casts_outputs(cls) for cls in classes if words(cls.name) & _CRITERION_WORDS)


def _calls_behind(loop: Loop, region: Region) -> Iterator[Call]:
    """Yield the calls behind a region, in the same branch and in no other context."""
    end = region.statement.end_lineno or 0
    for call in loop.function.module.calls_in(loop.function):
        is_reached_with_region = all(condition in call.place.conditions for condition in region.place.conditions)
        if call.node.lineno > end and call.place.contexts == region.place.contexts and is_reached_with_region:
            yield call


def _takes(call: Call, outputs: set[str]) -> bool:
    is_criterion = bool(words(call.name) & _CRITERION_WORDS) or call.name == "cross_entropy"
    return is_criterion and any(
        isinstance(argument, ast.Name) and argument.id in outputs for argument in call.node.args
    )


def _is_cast(function: Function, outputs: set[str]) -> bool:
    """Return whether a function takes one of some names to float32 anywhere: ``output = output.float()``."""
    return any(
        isinstance(node, ast.Attribute)
        and node.attr in _TAKES_TO_FLOAT32
        and any(isinstance(inner, ast.Name) and inner.id in outputs for inner in ast.walk(node.value))
        for node in ast.walk(function.node)
    )


def _casts_inside(facts: Facts, call: Call) -> bool:
    """Return whether a criterion of the project takes one of its arguments to float32 itself, or opens a region."""
    cls = facts.objects.class_of(call.node.func, call.place)
    methods = [facts.code.method(cls, name) for name in ("__call__", "forward")] if cls is not None else []
    functions = [each for each in (*methods, facts.code.callee(call)) if each is not None]
    return any(
        _is_cast(function, set(function.parameters()) - {"self"})
        or any(isinstance(node, ast.Attribute) and node.attr == "autocast" for node in ast.walk(function.node))
        for function in functions
    )


def _loss_outside(region: Region, call: Call) -> CodeFinding:
    module = call.place.module
    is_of_torch = module.dotted(call.node.func).startswith("torch.")
    return build.at_node(
        module,
        call.node,
        "VC107",
        # Only a run can tell what the model or a criterion of the project does with dtypes.
        Severity.WARNING if is_of_torch else Severity.NOTE,
        f"{build.code(call.node.func)} gets {dtype_names(region.dtypes)} outputs outside of the region that made them, "
        "so the loss is computed in half precision",
        evidence=(
            f"made in the region at {build.place_of(module, region.call.node).location}",
            "inside of a region autocast computes losses in float32",
        ),
        remedy="Move the criterion into the region, or give it outputs.float().",
        url="https://docs.pytorch.org/docs/stable/amp.html#cuda-ops-that-can-autocast-to-float32",
    )
