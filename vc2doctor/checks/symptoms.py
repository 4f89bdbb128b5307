"""Which of the things that the probe saw a known issue explains, so that one cause makes one finding."""

import re
from collections.abc import Iterator

from vc2doctor.checks.context import Examination
from vc2doctor.core.failure import Failure
from vc2doctor.matrix.known_issue import KnownIssue


def explained_by(examination: Examination, issue: KnownIssue) -> tuple[str, ...]:
    """Return what was raised in the probe that shows the symptom of ``issue``, as sentences of evidence."""
    return tuple(text for text, failure in _raised(examination) if _shows(issue, failure))


def is_explained(examination: Examination, failure: Failure) -> bool:
    """Return whether one of the known issues that apply here explains ``failure``."""
    return any(_shows(issue, failure) for issue in examination.issues)


def describe(failure: Failure) -> str:
    """Return what was raised, where, as one sentence."""
    where = f" at {failure.file}:{failure.line}" if failure.file else ""
    lacking = ""
    if failure.missing is not None and failure.missing.symbol:
        lacking = f"; {failure.missing.module} has no {failure.missing.symbol}"
    elif failure.missing is not None:
        lacking = f"; there is no module {failure.missing.module}"
    return f"{failure.type}{where}: {failure.message}{lacking}"


def _shows(issue: KnownIssue, failure: Failure) -> bool:
    return re.search(issue.symptom, failure.message) is not None


def _raised(examination: Examination) -> Iterator[tuple[str, Failure]]:
    probe = examination.probe
    if probe is None:
        return
    if probe.import_failure is not None:
        yield f"import {probe.import_package} raises {describe(probe.import_failure)}", probe.import_failure
    for recipe in probe.recipes:
        if recipe.failure is not None:
            text = f"{recipe.recipe} raises {describe(recipe.failure.error)}"
            yield text, recipe.failure.error
