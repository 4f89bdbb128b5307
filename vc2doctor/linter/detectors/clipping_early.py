"""Gradient clipping that runs in front of the backward pass, so that it never meets the gradients of the step."""

import re
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.loops import Loop
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.detectors.clipping_keys import CLIPPING_CALLS, CLIPPING_URL
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, Class

_MANUAL = re.compile(r"automatic_optimization\s*=\s*False|manual_backward|\.backward\(")
"""What a module of Lightning has that runs its backward passes itself."""
_LIGHTNING_URL = "https://lightning.ai/docs/pytorch/stable/common/optimization.html#automatic-optimization"


def clipping_in_training_step(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Yield clipping in ``training_step`` of Lightning's modules whose trainer runs the backward pass afterwards."""
    for classes in unit.classes.values():
        for cls in classes:
            calls = _clippings_in_step(cls)
            if calls and _is_automatic(facts, cls):
                yield build.at_node(
                    cls.module,
                    calls[0].node,
                    "VC105",
                    Severity.WARNING,
                    "training_step clips before Lightning runs zero_grad and backward: the gradients of this step are "
                    "not clipped",
                    evidence=("the trainer calls training_step, then zero_grad and backward, and then the step",),
                    remedy="Pass gradient_clip_val to the Trainer, or clip in configure_gradient_clipping.",
                    url=_LIGHTNING_URL,
                    also=tuple(build.place_of(cls.module, call.node) for call in calls[1:]),
                )


def _clippings_in_step(cls: Class) -> list[Call]:
    step = cls.methods.get("training_step")
    calls = cls.module.calls_in(step) if step is not None else []
    return [call for call in calls if call.name in CLIPPING_CALLS]


def _is_automatic(facts: Facts, cls: Class) -> bool:
    """Return whether Lightning's trainer runs the backward passes of a module."""
    return facts.code.is_lightning_module(cls) and not any(
        _MANUAL.search(owner.module.source.text) for owner in facts.code.mro(cls)
    )


def clipping_before_backward(loop: Loop) -> Iterator[CodeFinding]:
    """Yield clipping in a loop's function with one backward pass that follows it, and the step behind both."""
    calls = loop.function.module.calls_in(loop.function)
    if len(loop.backwards) != 1:
        return
    backward = loop.backwards[0]
    clippings = [call for call in calls if call.name in CLIPPING_CALLS]
    steps = [call.node.lineno for call in calls if call.name == "step" and "sched" not in build.code(call.receiver)]
    line = backward.node.lineno
    for clipping in clippings:
        first = clipping.node.lineno
        is_beside = clipping.place.loop_depth == backward.place.loop_depth
        is_always = clipping.place.conditions == backward.place.conditions
        steps_between = any(first < step < line for step in steps)
        follows = any(step > line for step in steps)
        is_early = first < line and is_beside and is_always and follows and not steps_between
        if is_early and not any(other.node.lineno > line for other in clippings):
            yield build.at_node(
                clipping.place.module,
                clipping.node,
                "VC105",
                Severity.WARNING,
                "gradients are clipped before the backward pass that makes them: the step uses gradients that nothing "
                "clipped",
                evidence=(f"the backward pass is at {build.place_of(backward.place.module, backward.node).location}",),
                remedy="Clip between backward and step; with a scaler after scaler.unscale_(optimizer).",
                url=CLIPPING_URL,
            )
