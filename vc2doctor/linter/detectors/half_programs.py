"""The functions that the training of a project runs in half precision, and the search for what breaks in them."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import lru_cache

from vc2doctor.findings import Severity
from vc2doctor.linter.analyse.expressions import expressions_of
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.half_contexts import HalfContexts
from vc2doctor.linter.analyse.trained_classes import is_chosen_by_name
from vc2doctor.linter.detectors.half_pattern import Pattern
from vc2doctor.linter.detectors.half_weights import half_calls, half_trainers, half_weight_classes
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Function, Place

BY_NAME = "; only a run that chooses this model by name trains it"
"""The end of a message about a model that not every run of a program builds."""


@lru_cache(maxsize=2)
def half_contexts(facts: Facts) -> HalfContexts:
    """Return how training runs functions in half precision: by regions, engines and half weights."""
    return HalfContexts(facts, (*half_weight_classes(facts), *half_trainers(facts)), half_calls(facts))


def found_in_half(facts: Facts, patterns: Sequence[Pattern], may_have: re.Pattern[str]) -> Iterator[CodeFinding]:
    """Yield what patterns find in the functions that training runs in half precision.

    Places in one function that a pattern finds are one finding. A module whose text ``may_have`` does not match is not
    searched.
    """
    modules = [module for module in facts.code.files.modules.values() if may_have.search(module.source.text)]
    contexts = half_contexts(facts) if modules else None
    if contexts is None:
        return
    groups: dict[tuple[Function, Pattern], list[CodeFinding]] = defaultdict(list)
    for place in (place for module in modules for place in module.statements):
        for pattern, finding in _at(contexts, place, patterns) if contexts.of(place.function) else ():
            groups[place.function, pattern].append(finding)
    for (function, _), (first, *others) in groups.items():
        also = tuple(place for other in others for place in other.places)
        named = {"severity": Severity.NOTE, "message": first.message + BY_NAME}
        # A registry makes criteria, and their names say nothing.
        is_criterion = any(each.tensors.outputs for each in contexts.of(function))
        is_named = not is_criterion and is_chosen_by_name(facts, function)
        yield first.model_copy(update={"also": also, **(named if is_named else {})})


def _at(contexts: HalfContexts, place: Place, patterns: Sequence[Pattern]) -> Iterator[tuple[Pattern, CodeFinding]]:
    """Yield the findings about the expressions of a statement, each in the first way of running it that breaks it."""
    for node in expressions_of(place):
        tried = ((pattern, context) for context in contexts.of(place.function) for pattern in patterns)
        found = ((pattern, pattern(contexts, context, node, place)) for pattern, context in tried)
        first = next(((pattern, finding) for pattern, finding in found if finding is not None), None)
        if first is not None:
            yield first
