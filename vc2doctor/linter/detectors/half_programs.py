"""The functions that the training of a project runs in half precision, found once for all rules."""

from functools import lru_cache

from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.half_contexts import HalfContexts
from vc2doctor.linter.detectors.half_weights import half_calls, half_weight_classes


@lru_cache(maxsize=2)
def half_contexts(facts: Facts) -> HalfContexts:
    """Return how training runs functions in half precision: by regions, engines and half weights."""
    return HalfContexts(facts, half_weight_classes(facts), half_calls(facts))
