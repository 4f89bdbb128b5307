"""Training loops: the functions that run backward passes, with the regions that train in them."""

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
    regions: tuple[Region, ...]
    """Its autocast regions that train."""


class LoopFacts:
    """The training loops of one project."""

    def __init__(self, code: CodeFacts, stages: Stages, autocast: AutocastFacts) -> None:
        self.code = code
        self.stages = stages
        self.autocast = autocast

    @cached_property
    def all(self) -> tuple[Loop, ...]:
        """Every function that runs backward passes, outside of evaluation and tests."""
        backwards: dict[Function, list[Call]] = defaultdict(list)
        for module in self.code.files.modules.values():
            for call in module.calls:
                if call.name == "backward" and self._is_backward(call):
                    backwards[call.place.function].append(call)
        regions: dict[Function, list[Region]] = defaultdict(list)
        for region in self.autocast.regions:
            if region.stage is not Stage.INFERS and not region.autocast.off:
                regions[region.place.function].append(region)
        loops = []
        for function, calls in backwards.items():
            if self.stages.of(calls[0].place) is not Stage.INFERS:
                inside = tuple(region for region in regions[function] if _trains_under(region, calls))
                loops.append(Loop(function, tuple(calls), inside))
        return tuple(loops)

    def _is_backward(self, call: Call) -> bool:
        if not isinstance(call.node.func, ast.Attribute) or call.place.function.name == "backward":
            return False
        return "autograd" not in call.place.module.dotted(call.node.func)

    def of(self, unit: Unit) -> list[Loop]:
        """Return the loops of a unit."""
        return [loop for loop in self.all if self.code.unit_of(loop.function.module) is unit]


def _trains_under(region: Region, backwards: list[Call]) -> bool:
    """Say whether a region comes before a backward pass, and not in a later, evaluating block."""
    last = max(call.node.lineno for call in backwards)
    return region.statement.lineno <= last
