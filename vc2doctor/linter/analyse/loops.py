"""Training loops: the functions that run backward passes, with their autocast regions."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from vc2doctor.linter.analyse.autocast import AutocastFacts, Region
from vc2doctor.linter.analyse.resolve import CodeFacts, Unit
from vc2doctor.linter.analyse.stage import Stage, Stages, is_inference_name
from vc2doctor.linter.read.module import Call, Function, Place, root_name

BACKWARD_AND_STEP = frozenset({"model_backward_and_update"})
"""Methods of a library's trainer that run a backward pass and a step, without loss scaling and without clipping.

https://github.com/KaiyangZhou/Dassl.pytorch/blob/master/dassl/engine/trainer.py
"""
_BACKWARDS = ("backward", "manual_backward")
"""Methods that run a backward pass; the second is Lightning's, for modules that step their optimizers themselves.

https://lightning.ai/docs/pytorch/stable/model/manual_optimization.html
"""
MAX_CALLEE_DEPTH = 3
"""Functions called by functions that a loop calls, and so on."""


@dataclass(frozen=True, slots=True, eq=False)
class Loop:
    """A function that runs backward passes."""

    function: Function
    backwards: tuple[Call, ...]
    """The calls of ``backward``."""
    regions: tuple[Region, ...]
    """The autocast regions that train: those of the function, and those of functions that it calls."""
    reached: tuple[Function, ...] = ()
    """The functions of the project that it calls, directly or through others, without those that evaluate."""

    @property
    def functions(self) -> tuple[Function, ...]:
        """The function, and those of the project that it calls."""
        return (self.function, *self.reached)

    @property
    def calls(self) -> Iterator[Call]:
        """The calls in these functions."""
        return (call for function in self.functions for call in function.module.calls_in(function))

    @property
    def own_regions(self) -> tuple[Region, ...]:
        """The regions that the function itself opens, without those of functions that it calls."""
        return tuple(region for region in self.regions if region.place.function is self.function)


class LoopFacts:
    """The training loops of one project."""

    def __init__(self, code: CodeFacts, stages: Stages, autocast: AutocastFacts) -> None:
        self.code = code
        self.stages = stages
        self.autocast = autocast

    @cached_property
    def all(self) -> tuple[Loop, ...]:
        """Every function that runs backward passes and neither evaluates nor tests."""
        regions: dict[Function, list[Region]] = defaultdict(list)
        for region in self.autocast.regions:
            if region.stage is not Stage.INFERS and not region.autocast.is_disabled:
                regions[region.place.function].append(region)
        loops = []
        for function, calls in self._backwards().items():
            if self.stages.of(calls[0].place) is not Stage.INFERS:
                own = tuple(region for region in regions[function] if _precedes_backward(region, calls))
                reached = dict(self._reached(function))
                called = tuple(
                    region
                    for callee, call in reached.items()
                    for region in regions[callee]
                    if self._is_entered_by(call, region)
                )
                loops.append(Loop(function, tuple(calls), own or called, tuple(reached)))
        return tuple(loops)

    def _is_entered_by(self, call: Call, region: Region) -> bool:
        """Return whether a call of a function can enter a region in it, as far as its arguments tell."""
        function = region.place.function
        for condition, wanted in region.place.conditions:
            if not isinstance(condition, ast.Name) or condition.id not in function.parameters():
                continue
            argument = call.argument(condition.id, function.position(condition.id))
            place = call.place
            if argument is None:
                argument, place = function.defaults().get(condition.id), Place(function.outer or function)
            truth = self.autocast.values.truth(argument, place) if argument is not None else None
            if truth is not None and truth is not wanted:
                return False
        return True

    def _reached(self, function: Function) -> Iterator[tuple[Function, Call]]:
        """Yield the functions that a loop calls, directly or through others, each with its first call.

        Functions that evaluate are left out.
        """
        seen, waiting = {function}, [(function, 0)]
        while waiting:
            caller, depth = waiting.pop()
            for call in caller.module.calls_in(caller) if depth < MAX_CALLEE_DEPTH else ():
                callee = self.code.callee(call)
                if callee is None or callee in seen or callee.name == "__init__":
                    continue
                # A function that one call evaluates can train in another one: a reference model, and the trained one.
                if self.stages.of(call.place) is not Stage.INFERS and not is_inference_name(callee.name):
                    seen.add(callee)
                    yield callee, call
                    waiting.append((callee, depth + 1))

    def _backwards(self) -> dict[Function, list[Call]]:
        """Return the backward passes by the function that runs them."""
        backwards: dict[Function, list[Call]] = defaultdict(list)
        for module in self.code.files.modules.values():
            for call in module.calls:
                if (call.name in _BACKWARDS and _is_backward_pass(call)) or _is_backward_and_step(call):
                    backwards[call.place.function].append(call)
        return backwards

    def of(self, unit: Unit) -> list[Loop]:
        """Return the loops of a unit."""
        return [loop for loop in self.all if self.code.unit_of(loop.function.module) is unit]


def _is_backward_and_step(call: Call) -> bool:
    """Return whether a method that the project's class inherits runs the backward pass and the step of a loss."""
    is_of_self = isinstance(call.node.func, ast.Attribute) and root_name(call.node.func) == "self"
    return is_of_self and call.name in BACKWARD_AND_STEP and call.place.function.name != call.name


def _is_backward_pass(call: Call) -> bool:
    """Return whether a call of ``backward`` is ``loss.backward()``, and not part of a custom autograd function."""
    function = call.place.function
    if not isinstance(call.node.func, ast.Attribute):
        return False
    # A method of a trainer can have the name, too: it steps the optimizer as well.
    if function.name == "backward" and not any(each.name == "step" for each in function.module.calls_in(function)):
        return False
    return "autograd" not in call.place.module.dotted(call.node.func)


def _precedes_backward(region: Region, backwards: list[Call]) -> bool:
    """Return whether a backward pass follows a region; a region behind the last one evaluates."""
    last = max(call.node.lineno for call in backwards)
    return region.statement.lineno <= last
