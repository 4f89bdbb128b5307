"""Match exceptions that the probe saw with known issues, so that one cause gives one finding."""

from collections.abc import Iterator

from vc2doctor.checks.context import Examination
from vc2doctor.core import patterns
from vc2doctor.core.failure import Failure
from vc2doctor.matrix.known_issue import KnownIssue


def explained_by(examination: Examination, issue: KnownIssue) -> tuple[str, ...]:
    """Return the exceptions from the probe that show the symptom of ``issue``, as sentences of evidence."""
    return tuple(sentence for sentence, failure in _failures(examination) if _shows_symptom(issue, failure))


def is_explained(examination: Examination, failure: Failure) -> bool:
    """Return whether a known issue that applies here explains ``failure``."""
    return any(_shows_symptom(issue, failure) for issue in examination.issues)


def describe(failure: Failure) -> str:
    """Return an exception as one sentence: type, place, message, and what an import did not find."""
    place = f" at {failure.file}:{failure.line}" if failure.file else ""
    missing = ""
    if failure.missing is not None and failure.missing.symbol:
        missing = f"; {failure.missing.module} has no {failure.missing.symbol}"
    elif failure.missing is not None:
        missing = f"; there is no module {failure.missing.module}"
    return f"{failure.type}{place}: {failure.message}{missing}"


def _shows_symptom(issue: KnownIssue, failure: Failure) -> bool:
    return patterns.is_found(patterns.compiled(issue.symptom), failure.message)


def _failures(examination: Examination) -> Iterator[tuple[str, Failure]]:
    """Yield every exception of the probe, with a sentence that says when it was raised."""
    probe = examination.probe
    if probe is None:
        return
    if probe.import_failure is not None:
        yield f"import {probe.import_package} raises {describe(probe.import_failure)}", probe.import_failure
    for recipe in probe.recipes:
        if recipe.failure is not None:
            yield f"{recipe.recipe} raises {describe(recipe.failure.error)}", recipe.failure.error
