"""Adapters that are added in place to a base whose dtype the run chooses, and that only float16 takes to float32.

Marked parts of a base that is half in every run are found in ``marked_parts``. Here the dtype follows accelerate.
"""

import ast
import re
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.autocast import HALF_DTYPES, dtype_names
from vc2doctor.linter.analyse.dtypes import BFLOAT16, Value
from vc2doctor.linter.analyse.expressions import value_at
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.stage import Stage
from vc2doctor.linter.detectors.trained_dtype import keeps_small_updates
from vc2doctor.linter.knowledge.optimizers import PLAIN_OPTIMIZERS
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, Place, last_name, root_name

_CASTS_TRAINED = "cast_training_params"
"""https://huggingface.co/docs/diffusers/main/en/api/utilities"""
_FLOAT16_ONLY = re.compile(r"fp16|float16|half")
_BOTH = re.compile(r"bf16|bfloat16|float32|fp32|['\"]no['\"]")
"""What a condition has that asks for bfloat16 as well: ``in ("fp16", "bf16")``, ``!= torch.float32``, ``!= "no"``."""
_URL = "https://github.com/huggingface/peft/blob/main/src/peft/mapping.py"


def adapters_in_place(facts: Facts) -> Iterator[CodeFinding]:
    """Yield where adapters that ``add_adapter`` made may stay in the half precision of their base (VC109)."""
    for unit in facts.code.units.values():
        for added in unit.calls.get("add_adapter", []):
            is_method = isinstance(added.node.func, ast.Attribute) and (added.node.args or added.node.keywords)
            if not is_method or facts.stages.of(added.place) is Stage.INFERS or not _gets_plain_optimizer(added):
                continue
            dtypes = _dtypes_before(facts, added)
            if dtypes:
                yield from _of_adapters(added, dtypes)


def _gets_plain_optimizer(added: Call) -> bool:
    """Return whether the module of an adapter makes an optimizer that keeps no float32 copies."""
    calls = [call for call in added.place.module.calls if _is_optimizer(call)]
    return bool(calls) and not any(map(keeps_small_updates, calls))


def _is_optimizer(call: Call) -> bool:
    return call.name in PLAIN_OPTIMIZERS or call.name.lower() in ("optimizer_cls", "optimizer_class")


def _dtypes_before(facts: Facts, added: Call) -> frozenset[Value]:
    """Return the half precisions that the run may choose for a base that is cast before it gets its adapters."""
    owner = ast.unparse(added.receiver)
    dtypes = {
        dtype
        for cast in facts.weights.casts
        if cast.call.place.function is added.place.function
        and cast.call.node.lineno < added.node.lineno
        and ast.unparse(cast.receiver) == owner
        and len(cast.dtypes) > 1
        for dtype in cast.dtypes
    }
    return frozenset((dtypes or _dtypes_of_pipeline(facts, added)) & HALF_DTYPES)


def _dtypes_of_pipeline(facts: Facts, added: Call) -> set[Value]:
    """Return the dtypes in which a pipeline was loaded whose part gets adapters: ``transformer = pipe.transformer``."""
    part, place = value_at(added.receiver, added.place)
    makers = facts.objects.of(part.value, place).calls() if isinstance(part, ast.Attribute) else ()
    nodes = {maker.node for maker in makers if last_name(maker.receiver).endswith("Pipeline")}
    return {dtype for load in facts.weights.loads if load.node in nodes for dtype in load.dtypes}


def _of_adapters(added: Call, dtypes: frozenset[Value]) -> Iterator[CodeFinding]:
    upcasts = [
        (place, _added_conditions(place, added.place))
        for place in added.place.module.statements
        if place.function is added.place.function and _upcasts(place, added)
    ]
    if not upcasts:
        yield _finding(added, added.node, dtypes, "nothing takes them to float32")
        return
    if any(all(_asks_for_both(condition) for condition, _ in conditions) for _, conditions in upcasts):
        return
    for _, conditions in upcasts:
        guard = next((condition for condition, wanted in conditions if wanted and _is_float16(condition)), None)
        if guard is not None:
            yield _finding(added, guard, dtypes, _why_of_guard(added, guard, dtypes))
            return


def _upcasts(place: Place, added: Call) -> bool:
    """Return whether a statement takes trained parameters to float32."""
    statement = place.statement
    if statement is None or statement.lineno < added.node.lineno or isinstance(statement, ast.If | ast.For | ast.With):
        return False
    match statement:
        case ast.Expr(value=ast.Call(func=function)):
            return last_name(function) == _CASTS_TRAINED
        case ast.Assign(targets=[target], value=ast.Call() as value):
            is_float32 = last_name(value.func) == "float" or "float32" in ast.unparse(value)
            return is_float32 and root_name(target) != "" and ast.unparse(target).endswith((".data", "param"))
    return False


def _added_conditions(place: Place, base: Place) -> list[tuple[ast.expr, bool]]:
    known = {ast.unparse(condition) for condition, _ in base.conditions}
    return [
        pair
        for pair in place.conditions
        if ast.unparse(pair[0]) not in known and "requires_grad" not in ast.unparse(pair[0])
    ]


def _asks_for_both(condition: ast.expr) -> bool:
    return _BOTH.search(ast.unparse(condition)) is not None


def _is_float16(condition: ast.expr) -> bool:
    return _FLOAT16_ONLY.search(ast.unparse(condition)) is not None and not _asks_for_both(condition)


def _why_of_guard(added: Call, guard: ast.expr, dtypes: frozenset[Value]) -> str:
    reasons = [f"with bf16 {build.code(guard)} is false"] if BFLOAT16 in dtypes else []
    if "accelerator" not in ast.unparse(guard) and "accelerator.mixed_precision" in added.place.module.source.text:
        reasons.append("it does not see a precision that accelerate's own file or command asks for")
    return ", and ".join(reasons)


def _finding(added: Call, node: ast.expr, dtypes: frozenset[Value], why: str) -> CodeFinding:
    module = added.place.module
    owner = build.code(added.receiver)
    return build.at_node(
        module,
        node,
        "VC109",
        Severity.NOTE,
        f"the adapters get the dtype of {owner}, which may be {dtype_names(dtypes)}, and may be trained in it: "
        "bfloat16 loses small updates, and in float16 a scaler raises an error",
        evidence=(f"added at {build.place_of(module, added.node).location}", why),
        remedy="Take what is trained to float32 whatever the precision is: "
        f"cast_training_params({owner}, dtype=torch.float32).",
        url=_URL,
        role="cast",
    )
