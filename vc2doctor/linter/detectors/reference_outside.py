"""Reference models that a loop runs outside of the region in which it runs its policy.

Both give log-probabilities that are subtracted, and they differ by the rounding of the half precision as well.
"""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.autocast import HALF_DTYPES, Region
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.loops import Loop
from vc2doctor.linter.analyse.stage import is_without_gradients, words
from vc2doctor.linter.detectors.weight_causes import cause_of_model
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, last_name

_REFERENCE = frozenset({"ref", "reference"})
_MODEL = frozenset({"model", "policy", "net", "lm", "actor"})
_METHODS = frozenset({"to", "eval", "train", "requires_grad_", "load_state_dict", "parameters", "cuda", "cpu", "half"})
_URL = "https://docs.pytorch.org/docs/stable/amp.html#autocasting"


def references_outside(facts: Facts, loop: Loop) -> Iterator[CodeFinding]:
    """Yield the first call of a loop that runs a float32 reference model outside of the policy's region (VC106)."""
    regions = [region for region in loop.own_regions if _is_half(facts, region)]
    opened = {item.context_expr for region in regions for item in region.statement.items}
    for call in loop.function.module.calls_in(loop.function) if regions else ():
        model = _reference_of(call)
        if model is None or opened & set(call.place.contexts) or not is_without_gradients(call.place):
            continue
        run = Call(ast.copy_location(ast.Call(func=model, args=[], keywords=[]), call.node), call.place)
        if cause_of_model(facts, run) is None:
            region = build.place_of(regions[0].place.module, regions[0].statement)
            yield build.at_node(
                call.place.module,
                call.node,
                "VC106",
                Severity.NOTE,
                f"{build.code(model)} runs outside of the region that the policy runs in: their log-probabilities may "
                "differ by rounding alone",
                evidence=(f"the region is at {region.path}:{region.line}",),
                remedy="Run both in the same region.",
                url=_URL,
                role="region",
            )
            return


def _is_half(facts: Facts, region: Region) -> bool:
    is_reached = facts.values.is_reached(region.place) is not False
    return bool(region.dtypes & HALF_DTYPES) and is_reached and not region.autocast.is_disabled


def _reference_of(call: Call) -> ast.expr | None:
    """Return the reference model that a call runs, itself or as the first argument of a helper; ``None``: none."""
    if call.name in _METHODS or not (call.node.args or call.node.keywords):
        return None
    for expression in (call.node.func, *call.node.args[:1]):
        named = words(last_name(expression))
        if named & _REFERENCE and named & _MODEL:
            return expression
    return None
