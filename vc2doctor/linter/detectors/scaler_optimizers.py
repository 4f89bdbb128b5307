"""``unscale_`` of one optimizer in front of the clipping and the step of another one."""

import ast
from collections.abc import Iterator, Mapping

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.exclusive import are_exclusive
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call

_CLIPPING = ("clip_grad_norm_", "clip_grad_norm", "clip_grad_value_")
_URL = "https://docs.pytorch.org/docs/stable/notes/amp_examples.html#working-with-multiple-models-losses-and-optimizers"


def unscaled_other(uses: Mapping[str, list[Call]]) -> Iterator[CodeFinding]:
    """Yield ``unscale_`` between a backward pass and a step, if it names another optimizer that has its own step."""
    stepped = {_optimizer(call) for call in uses.get("step", ())}
    for step in uses.get("step", ()):
        own, since_backward = _optimizer(step), _since_backward(step)
        unscalings = [call for call in uses.get("unscale_", ()) if call in since_backward]
        others = {_optimizer(call) for call in unscalings}
        is_clipped = any(call.name in _CLIPPING for call in since_backward)
        steps_between = any(call.name == "step" for call in since_backward)
        if is_clipped and not steps_between and len(others) == 1 and own and own not in others and others < stepped:
            other = _optimizer(unscalings[0])
            yield build.at_node(
                step.place.module,
                unscalings[0].node,
                "VC104",
                Severity.ERROR,
                f"the gradients of {other} are unscaled, and {own} is stepped: its gradients are clipped while they "
                "are scaled",
                evidence=(f"stepped at {build.place_of(step.place.module, step.node).location}",),
                remedy=f"Write scaler.unscale_({own}).",
                role="scaler",
                url=_URL,
            )


def _optimizer(call: Call) -> str:
    """Return the optimizer that a call of a scaler names; empty: it is no plain name."""
    argument = call.node.args[0] if call.node.args else None
    return ast.unparse(argument) if isinstance(argument, ast.Name | ast.Attribute) else ""


def _since_backward(step: Call) -> list[Call]:
    """Return the calls between the last backward pass and a step; none if there is no backward pass before it."""
    calls = [call for call in step.place.module.calls_in(step.place.function) if call.node.lineno < step.node.lineno]
    backwards = [call.node.lineno for call in calls if call.name == "backward"]
    if not backwards:
        return []
    return [call for call in calls if call.node.lineno > max(backwards) and not are_exclusive(call.place, step.place)]
