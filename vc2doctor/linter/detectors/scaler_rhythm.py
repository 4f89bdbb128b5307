"""Scaler calls at the wrong frequency: unscale_ more often than step, or a new scaler in each iteration."""

import ast
import re
from collections.abc import Iterator, Mapping

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.exclusive import are_exclusive
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.loops import Loop
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, Place, last_name

_ACCUMULATION = re.compile(r"%|accum|sync|is_last|should_step|do_step", re.IGNORECASE)
"""What a condition has that steps the optimizer only after several backward passes."""
_URL = "https://docs.pytorch.org/docs/stable/notes/amp_examples.html#gradient-accumulation"


def unscaled_too_often(uses: Mapping[str, list[Call]]) -> Iterator[CodeFinding]:
    """Yield ``unscale_`` after each backward pass of a loop that steps and updates only after several of them."""
    for unscaling in uses.get("unscale_", ()):
        function = unscaling.place.function
        steps = [call for name in ("step", "update") for call in uses.get(name, ()) if call.place.function is function]
        if steps and all(_is_rarer(step, unscaling, through_constants=True) for step in steps):
            is_certain = all(_is_rarer(step, unscaling) for step in steps)
            location = build.place_of(steps[0].place.module, steps[0].node).location
            yield build.at_node(
                unscaling.place.module,
                unscaling.node,
                "VC104",
                # The conditions under which a switch is assigned may never hold: a step for each batch is common.
                Severity.ERROR if is_certain else Severity.WARNING,
                "gradients are unscaled after each micro-batch, and the scaler is updated only after several: "
                "torch raises RuntimeError at the second",
                evidence=(f"stepped at {location}, and unscale_ may be called once between two updates",),
                remedy="Move unscale_ and the clipping under the condition that steps the optimizer.",
                role="scaler",
                url=_URL,
            )


def updated_too_often(uses: Mapping[str, list[Call]]) -> Iterator[CodeFinding]:
    """Yield ``update`` after each backward pass of a loop that steps, and unscales, only after several of them."""
    # `update(new_scale)` sets the scale by hand, and asks for no check.
    for update in (call for call in uses.get("update", ()) if not call.node.args and not call.node.keywords):
        others = (call for name in ("step", "unscale_") for call in uses.get(name, ()))
        checks = [call for call in others if call.place.function is update.place.function]
        # Of branches that exclude each other, one is always taken.
        in_branches = any(are_exclusive(one.place, other.place) for one in checks for other in checks)
        if checks and not in_branches and all(_is_rarer(check, update) for check in checks):
            location = build.place_of(checks[0].place.module, checks[0].node).location
            yield build.at_node(
                update.place.module,
                update.node,
                "VC104",
                Severity.ERROR,
                "the scaler is updated after each micro-batch, and steps only after several: torch raises "
                "AssertionError, because no gradients were checked since the last update",
                evidence=(f"stepped at {location}", "torch: No inf checks were recorded prior to update."),
                remedy="Move scaler.update() under the condition that steps the optimizer.",
                role="scaler",
                url=_URL,
            )


def _is_rarer(step: Call, unscaling: Call, *, through_constants: bool = False) -> bool:
    """Return whether a step is reached less often than ``unscale_``: under an accumulation, or behind a loop.

    With ``through_constants`` also under a name that is assigned constants, by the conditions around them.
    """
    place, other = step.place, unscaling.place
    if place.loop_depth < other.loop_depth:
        return place.conditions == other.conditions[: len(place.conditions)]
    if are_exclusive(place, other):
        return False
    own = {ast.unparse(condition) for condition, _ in other.conditions}
    extra = [condition for condition, _ in place.conditions if ast.unparse(condition) not in own]
    return any(_counts_batches(condition, place, through_constants=through_constants) for condition in extra)


def _counts_batches(condition: ast.expr, place: Place, *, through_constants: bool) -> bool:
    """Return whether a condition holds for some of the batches only, by its text or by what its name was assigned."""
    assigned = place.function.names.get(condition.id, []) if isinstance(condition, ast.Name) else []
    # `update = False` within `if step % 4:` says by its conditions when it holds.
    constants = [at for value, at in assigned if isinstance(value, ast.Constant) and through_constants]
    around = [test for at in constants for test, _ in at.conditions]
    texts = [ast.unparse(expression) for expression in (condition, *(value for value, _ in assigned), *around)]
    return any(_ACCUMULATION.search(text) for text in texts)


def scaler_made_anew(facts: Facts, loop: Loop) -> Iterator[CodeFinding]:
    """Yield a scaler that is constructed in each iteration in which it scales."""
    calls = loop.function.module.calls_in(loop.function)
    scaling = [call for call in calls if call.name == "scale" and call.place.loop_depth]
    for scaler in facts.scalers.all:
        place = scaler.call.place
        names = [last_name(target) for target in place.targets]
        is_repeated = any(
            call.place.loop_depth == place.loop_depth and last_name(call.receiver) in names for call in scaling
        )
        if place.function is loop.function and place.loop_depth and is_repeated and scaler.enabled != {False}:
            yield build.at_node(
                place.module,
                scaler.call.node,
                "VC104",
                Severity.WARNING,
                "a new scaler is made in each iteration: its scale is 65536 each time and never adapts",
                evidence=("where that overflows, every step is skipped",),
                remedy="Make the scaler once, before the loop.",
                role="scaler",
                url=_URL,
            )


def scaler_of_each_epoch(facts: Facts, loop: Loop) -> Iterator[CodeFinding]:
    """Yield a scaler that a function makes which runs one epoch: each epoch starts with the first scale again."""
    calls = [call for call in facts.code.callers(loop.function) if call.place.loop_depth]
    scales_in_loop = any(
        call.name == "scale" and call.place.loop_depth for call in loop.function.module.calls_in(loop.function)
    )
    for scaler in facts.scalers.all if calls and scales_in_loop else ():
        place = scaler.call.place
        if place.function is loop.function and not place.loop_depth and scaler.enabled != {False}:
            location = build.place_of(calls[0].place.module, calls[0].node).location
            yield build.at_node(
                place.module,
                scaler.call.node,
                "VC104",
                Severity.NOTE,
                "a new scaler is made in each epoch: its scale starts at 65536 each time, and first steps are skipped",
                evidence=(f"{loop.function.name} is called in a loop at {location}",),
                remedy="Make the scaler once, before the loop over epochs, and hand it over.",
                role="scaler",
                url=_URL,
            )
