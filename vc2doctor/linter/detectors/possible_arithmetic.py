"""Notes about arithmetic that half precision may break, where nothing proves the dtype of the values."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache

from vc2doctor.findings import Severity
from vc2doctor.linter.analyse.expressions import expressions_of
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.stage import is_without_gradients
from vc2doctor.linter.detectors.half_pattern import Pattern
from vc2doctor.linter.detectors.possible_contexts import PossibleContexts, is_of_criterion, possible_contexts
from vc2doctor.linter.detectors.possible_dispatch import patterns_for
from vc2doctor.linter.detectors.possible_steps import half_average, rounded_schedule
from vc2doctor.linter.model import CodeFinding, CodePlace
from vc2doctor.linter.read.module import Function, Module, Place

_MAY_BREAK = re.compile(
    r"1e-|exp\(|sigmoid|\bvar\(|\bstd\(|\bsum\(|pow\(2\)|\*\* ?2|fill|full_like|-\s*\d+e|-\d{6}|BCELoss|binary_cross"
    r"|cross_entropy|CrossEntropy|log_softmax|logsigmoid|nll_loss|kl_div|mse_loss|fft\b|stft|linalg|invers|\bsvd"
    r"|cholesky|quantile|matmul|bmm\(|mm\(| @ |scatter|index_add|\bsin\(|\bcos\(|dice|numpy\("
    r"|autograd\.grad|lerp|mul_\([^\n]*\.add_\(|1(\.0)? - p|mask[^\n]*\.to\(|alphas?_?(cum)?prod"
)
"""What all patterns have in the text. A module without it is not searched."""
NEAR = 2
"""Lines around a proved finding without a note."""
MAX_PER_FILE = 2
"""Notes of one kind in a file. Where there are more, they are one note with all places."""


@lru_cache(maxsize=2)
def possible_arithmetic(facts: Facts) -> tuple[CodeFinding, ...]:
    """Return a note for each kind of arithmetic in a function that training may run in half precision."""
    contexts = possible_contexts(facts)
    groups: dict[tuple[Module, Pattern], dict[Function, list[CodeFinding]]] = defaultdict(lambda: defaultdict(list))
    for module in facts.code.files.modules.values():
        # The programs around a module are asked for first: most modules of a large repository have none.
        if _MAY_BREAK.search(module.source.text) is None or not contexts.may_have(module):
            continue
        seen: set[int] = set()
        for place in module.statements:
            for pattern, finding in _at(contexts, place):
                # One note about a line is enough: the same cast changes all of it.
                if finding.line not in seen:
                    seen.add(finding.line or 0)
                    groups[module, pattern][place.function].append(finding)
    return tuple(note for by_function in groups.values() for note in _notes(by_function))


def beside(notes: Iterable[CodeFinding], proved: Iterable[CodeFinding]) -> Iterator[CodeFinding]:
    """Yield the notes without a proved finding near one of their places: its remedy changes them, too."""
    lines = {(place.path, line) for each in proved for place in each.places for line in _lines(place, NEAR)}
    for note in notes:
        if not any((place.path, line) in lines for place in note.places for line in _lines(place)):
            yield note


def _lines(place: CodePlace, around: int = 0) -> range:
    return range(place.line - around, place.end_line + around + 1)


def _at(contexts: PossibleContexts, place: Place) -> Iterator[tuple[Pattern, CodeFinding]]:
    """Yield the findings about a statement, each in the first way of running it that breaks it."""
    ways = contexts.of(place.function)
    for node in expressions_of(place) if ways else ():
        tried = ((way, pattern) for pattern in patterns_for(node) for way in ways)
        found = ((way, pattern, pattern(contexts.known, way, node, place)) for way, pattern in tried)
        for way, pattern, finding in found:
            if finding is not None and contexts.is_used(way) and _is_trained(contexts, place, pattern):
                yield pattern, finding
                break


def _is_trained(contexts: PossibleContexts, place: Place, pattern: Pattern) -> bool:
    """Return whether a place can be reached, and not only without gradients; a matcher runs without them.

    So do averages of weights, and what a teacher gives from its noise schedule.
    """
    runs_without = is_of_criterion(place.function) or pattern in (half_average, rounded_schedule)
    is_measured = is_without_gradients(place) and not runs_without
    return not is_measured and contexts.facts.values.is_reached(place) is not False


def _notes(by_function: dict[Function, list[CodeFinding]]) -> Iterator[CodeFinding]:
    """Yield one note for each function, or one for a file where many functions have the same kind."""
    groups = list(by_function.values())
    if len(groups) > MAX_PER_FILE:
        groups = [[finding for group in groups for finding in group]]
    for first, *others in groups:
        also = tuple(place for other in others for place in other.places)
        count = f", here and at {len(also)} other places of this file" if also else ""
        yield first.model_copy(
            update={
                "severity": Severity.NOTE,
                "message": f"{first.message}{count}, if the values are half precision here",
                "evidence": (*first.evidence, "the code does not tell the dtype of the values"),
                "role": "other",
                "also": also,
            }
        )
