"""A known defect applies to the installed versions.

The defects are files of the matrix. Each file names the affected versions, the symptom, the versions that fix it, and
the place where it was reported.

Why it matters: a defect stops the training, or makes its results wrong. A defect of other precisions than the one that
decides is a note, and so is one of single models if it is not known which model you train. If the probe would have met
the defect but trained, the finding is a warning, because training that was seen to work outweighs a report.

What to do: run the first command. It makes the smallest change that resolves all conflicts of these versions; further
commands are alternatives.
"""

from collections.abc import Iterator, Sequence

from vc2doctor.checks import advice
from vc2doctor.checks.context import Examination
from vc2doctor.checks.symptoms import explained_by
from vc2doctor.core.wording import enumerated
from vc2doctor.findings import Finding, Severity
from vc2doctor.matrix.known_issue import KnownIssue


def check(examination: Examination) -> Iterator[Finding]:
    """Find known defects that apply; those whose symptom the probe saw come first."""
    for issue in sorted(examination.issues, key=lambda issue: not explained_by(examination, issue)):
        yield _finding(examination, issue)


def _finding(examination: Examination, issue: KnownIssue) -> Finding:
    names = sorted({name for alternative in issue.when for name in alternative})
    affected = [f"{name} {examination.versions[name]}" for name in names if name in examination.versions]
    symptoms = explained_by(examination, issue)
    severity = _severity(examination, issue)
    evidence = [f"installed: {', '.join(affected)}", *symptoms]
    if severity is Severity.WARNING and issue.severity == "error":
        evidence.append(f"the probe trained here under {examination.plan.precision} nevertheless")
    evidence.append(issue.explanation)
    if examination.imports_package(issue.import_name):
        evidence.append(f"your code imports {issue.import_name}")
    if issue.model_types:
        evidence.append(f"only models of these types have it: {', '.join(issue.model_types)}")
    if not symptoms:
        evidence.append(issue.evidence)
    remedy, remedy_commands = _remedy(examination, issue)
    return Finding(
        id="VC005",
        severity=severity,
        message=f"{_together(affected)}: {issue.title}",
        evidence=tuple(evidence),
        remedy=remedy,
        commands=remedy_commands,
        url=issue.sources[0],
        packages=tuple(name for name in names if name in examination.versions),
    )


def _together(affected: Sequence[str]) -> str:
    """Return ``peft 0.21.2 with torch 2.13.0 and transformers 4.40.2``."""
    return " with ".join(filter(None, (*affected[:1], enumerated(affected[1:]))))


def _severity(examination: Examination, issue: KnownIssue) -> Severity:
    severity = Severity(issue.severity)
    types = examination.plan.judged_as.model_types
    if issue.is_of(types) is None:
        return Severity.NOTE
    if severity is not Severity.ERROR:
        return Severity.ERROR if examination.imports_package(issue.import_name) else severity
    if not issue.blocks(examination.plan.precision, types):
        return Severity.NOTE
    # The probe outweighs a report only if it runs the code that has the defect.
    return examination.capped_if_trained(severity) if issue.probe_sees else severity


def _remedy(examination: Examination, issue: KnownIssue) -> tuple[str, tuple[str, ...]]:
    """Return the remedy and its commands: the plan for all conflicts, or a change that also avoids this defect."""
    if not issue.blocks(examination.plan.precision, examination.plan.judged_as.model_types):
        return advice.change_to_avoid(examination, issue)
    remedy, commands = advice.change_versions(examination)
    if issue.recipes and examination.good_recipes:
        remedy = f"{remedy} Or train in a precision that works here: {', '.join(examination.good_recipes)}."
    return remedy, commands
