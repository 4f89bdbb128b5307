"""Clipping in hand-written loops: before unscaling, with a limit that is off, or not at all."""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.autocast import HALVES
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.loops import Loop
from vc2doctor.linter.analyse.loss_scaling import scaling
from vc2doctor.linter.detectors.clipping_keys import CLIP_URL, is_off
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, last_name

_CLIPS = {"clip_grad_norm_", "clip_grad_value_", "clip_gradients", "clip_grad_norm", "clip_grads", "dispatch_clip_grad"}


def clipping_of_loop(facts: Facts, loop: Loop) -> Iterator[CodeFinding]:
    """Yield what is wrong with the clipping of one loop."""
    module = loop.function.module
    mine = [call for call in module.calls if call.place.function is loop.function]
    clips = [call for call in mine if call.name in _CLIPS]
    for call in clips:
        yield from _limit(facts, call)
    scaled = scaling(facts, loop)
    unscaled = [call for call in mine if call.name == "unscale_"]
    for call in clips if scaled else []:
        if (
            call.name in ("clip_grad_norm_", "clip_grad_value_")
            and not _is_engine(call)
            and not _is_unscaled(call, unscaled, scaled)
        ):
            yield build.at(
                module,
                call.node,
                "VC105",
                Severity.ERROR,
                "gradients are clipped while they are still scaled",
                evidence=(f"scaled at {build.place(module, scaled[0].node).location}, and not unscaled before",),
                remedy="Call scaler.unscale_(optimizer) before the clipping.",
                url=build.AMP_EXAMPLES,
            )
    if not clips and _steps(mine) and _half(facts, loop) and not _clips_deeper(facts, mine):
        first = loop.backwards[0]
        last = max(
            (call.node.end_lineno or 0 for call in mine if call.name in ("step", "update", "zero_grad")),
            default=first.node.lineno,
        )
        node = first.place.statement or first.node
        found = build.at(
            module,
            node,
            "VC105",
            Severity.NOTE,
            "no gradient clipping in a half-precision loop, and no key for it",
            remedy="Clip after unscale_ and before the step: torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0).",
            url=CLIP_URL,
        )
        yield found.model_copy(update={"end_line": max(found.end_line or 0, last)})


def _is_engine(call: Call) -> bool:
    return isinstance(call.node.func, ast.Attribute) and last_name(call.node.func.value) in (
        "accelerator",
        "fabric",
        "model",
        "model_engine",
    )


def _is_unscaled(clip: Call, unscaled: list[Call], scaled: list[Call]) -> bool:
    before = [call for call in unscaled if call.node.lineno <= clip.node.lineno]
    # In a branch of its own (bfloat16) the clip belongs to no scaled pass.
    apart = all(_apart(clip, call) for call in scaled)
    return bool(before) or apart


def _apart(one: Call, other: Call) -> bool:
    wanted = dict(one.place.tests)
    return any(test in wanted and wanted[test] is not want for test, want in other.place.tests)


def _limit(facts: Facts, call: Call) -> Iterator[CodeFinding]:
    given = call.argument("max_norm", 1)
    if given is None or call.name != "clip_grad_norm_":
        return
    values = facts.values.of(given, call.place)
    guarded = any(ast.unparse(given) in ast.unparse(test) for test, _ in call.place.tests)
    bad = [value for value in values if is_off(value)]
    if bad and not guarded:
        effect = "turns every gradient round" if min(bad) < 0 else "makes every gradient zero"
        yield build.at(
            call.place.module,
            call.node,
            "VC105",
            Severity.ERROR,
            f"clip_grad_norm_ gets {min(bad)}: it {effect}",
            evidence=("measured: max_norm=-1 turns [3, 4] into [-0.6, -0.8]; 0 gives zeros",),
            remedy=f"Clip only where it is positive: if {build.code(given)} > 0.",
            url=CLIP_URL,
        )


def _steps(calls: list[Call]) -> bool:
    return any(call.name == "step" and "optim" in ast.unparse(call.node).lower() for call in calls)


def _half(facts: Facts, loop: Loop) -> bool:
    return any(region.dtypes & HALVES and facts.values.reached(region.place) is not False for region in loop.regions)


def _clips_deeper(facts: Facts, calls: list[Call]) -> bool:
    for call in calls:
        target = facts.code.called(call)
        if target is not None and any(
            isinstance(node, ast.Call) and last_name(node.func) in _CLIPS for node in ast.walk(target.node)
        ):
            return True
        if any(word in ast.unparse(call.node) for word in ("clip_grad", "max_norm", "grad_clip")):
            return True
    return False
