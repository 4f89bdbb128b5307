"""A known defect applies to the installed versions.

The defects are files of the matrix. Each file names the affected versions, the symptom, the versions that fix it, and
the place where it was reported.

Why it matters: a defect stops the training, or makes its results wrong. A defect of other precisions than the one that
decides is a note, and so is one of single models if it is not known which model you train. If the probe would have met
the defect but trained, the finding is a warning, because training that was seen to work outweighs a report.

What to do: install one of the sets of versions that the finding lists. The first commands install versions that were
measured to train together; the last command changes only the package with the defect.
"""

from collections.abc import Iterator

from packaging.requirements import Requirement

from vc2doctor.checks import advice
from vc2doctor.checks.context import Examination
from vc2doctor.checks.symptoms import explained_by
from vc2doctor.findings import Finding, Severity
from vc2doctor.matrix.known_issue import KnownIssue
from vc2doctor.remedies import commands
from vc2doctor.remedies.smallest import best_fix


def check(examination: Examination) -> Iterator[Finding]:
    """Find known defects that apply."""
    for issue in examination.issues:
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
    if issue.model_types:
        evidence.append(f"only models of these types have it: {', '.join(issue.model_types)}")
    if not symptoms:
        evidence.append(issue.evidence)
    remedy, remedy_commands = _remedy(examination, issue)
    return Finding(
        id="VC005",
        severity=severity,
        message=f"{' with '.join(affected)}: {issue.title}",
        evidence=tuple(evidence),
        remedy=remedy,
        commands=remedy_commands,
        url=issue.sources[0],
    )


def _severity(examination: Examination, issue: KnownIssue) -> Severity:
    severity = Severity(issue.severity)
    types = examination.plan.judged_as.model_types
    if issue.is_of(types) is None:
        return Severity.NOTE
    if severity is not Severity.ERROR:
        return severity
    if not issue.blocks(examination.plan.precision, types):
        return Severity.NOTE
    # The probe outweighs a report only if it runs the code that has the defect.
    return examination.capped_if_trained(severity) if issue.probe_sees else severity


def _remedy(examination: Examination, issue: KnownIssue) -> tuple[str, tuple[str, ...]]:
    """Return the remedy and its commands: the measured sets first, then the smallest change that avoids the defect."""
    precision = examination.plan.precision
    fix = best_fix(issue, examination.versions, examination.matrix, precision)
    fix_command = commands.install(examination.environment.interpreter, fix)
    remedy, measured_commands = advice.install_nearest(examination)
    if not measured_commands or not issue.blocks(precision, examination.plan.judged_as.model_types):
        return f"Install {' and '.join(fix)}, which is not affected.", (fix_command,)
    packages = " and ".join(Requirement(text).name for text in fix)
    remedy = f"{remedy} Or change only {packages}: use the last command."
    if issue.recipes and examination.good_recipes:
        remedy = f"{remedy} Or train in a precision that works here: {', '.join(examination.good_recipes)}."
    return remedy, (*measured_commands, fix_command)
