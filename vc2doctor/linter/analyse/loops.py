"""Training loops: the functions that run backward passes, with their autocast regions."""

import ast
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property

from vc2doctor.linter.analyse.autocast import AutocastFacts, Region
from vc2doctor.linter.analyse.resolve import CodeFacts, Unit
from vc2doctor.linter.analyse.stage import Stage, Stages
from vc2doctor.linter.read.module import Call, Function


@dataclass(frozen=True, slots=True, eq=False)
class Loop:
    """A function that runs backward passes."""

    function: Function
    backwards: tuple[Call, ...]
    """The calls of ``backward``."""
    regions: tuple[Region, ...]
    """The autocast regions of the function that train."""


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
                training = tuple(region for region in regions[function] if _precedes_backward(region, calls))
                loops.append(Loop(function, tuple(calls), training))
        return tuple(loops)

    def _backwards(self) -> dict[Function, list[Call]]:
        """Return the backward passes by the function that runs them."""
        backwards: dict[Function, list[Call]] = defaultdict(list)
        for module in self.code.files.modules.values():
            for call in module.calls:
                if call.name == "backward" and _is_backward_pass(call):
                    backwards[call.place.function].append(call)
        return backwards

    def of(self, unit: Unit) -> list[Loop]:
        """Return the loops of a unit."""
        return [loop for loop in self.all if self.code.unit_of(loop.function.module) is unit]


def _is_backward_pass(call: Call) -> bool:
    """Return whether a call of ``backward`` is ``loss.backward()``, and not part of a custom autograd function."""
    if not isinstance(call.node.func, ast.Attribute) or call.place.function.name == "backward":
        return False
    return "autograd" not in call.place.module.dotted(call.node.func)


def _precedes_backward(region: Region, backwards: list[Call]) -> bool:
    """Return whether a backward pass follows a region; a region behind the last one evaluates."""
    last = max(call.node.lineno for call in backwards)
    return region.statement.lineno <= last
