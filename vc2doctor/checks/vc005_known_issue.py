"""A reported defect applies to what is installed.

The defects are files of the matrix: each names the versions between which it strikes, how it shows, what mends it and
where it was reported. One that spoils only other precisions than the one that decides is a note. One that the probe
would have run into, but did not, becomes a warning: what trained here outweighs a report.
"""

from collections.abc import Iterator

from vc2doctor.checks import advice
from vc2doctor.checks.context import Examination
from vc2doctor.checks.symptoms import explained_by
from vc2doctor.findings import Finding, Severity
from vc2doctor.matrix.known_issue import KnownIssue
from vc2doctor.remedies import commands
from vc2doctor.remedies.smallest import best_fix


def check(examination: Examination) -> Iterator[Finding]:
    """Find reported defects that apply."""
    for issue in examination.issues:
        yield _finding(examination, issue)


def _finding(examination: Examination, issue: KnownIssue) -> Finding:
    names = sorted({name for alternative in issue.when for name in alternative})
    involved = [f"{name} {examination.versions[name]}" for name in names if name in examination.versions]
    seen = explained_by(examination, issue)
    severity = _severity(examination, issue)
    evidence = [f"installed: {', '.join(involved)}", *seen]
    if severity is Severity.WARNING and issue.severity == "error":
        evidence.append(f"yet the probe trained here under {examination.plan.precision}")
    evidence.append(issue.explanation)
    if not seen:
        evidence.append(issue.evidence)
    remedy, ways = _mend(examination, issue)
    return Finding(
        id="VC005",
        severity=severity,
        message=f"{' with '.join(involved)}: {issue.title}",
        evidence=tuple(evidence),
        remedy=remedy,
        commands=ways,
        url=issue.sources[0],
    )


def _severity(examination: Examination, issue: KnownIssue) -> Severity:
    severity = Severity(issue.severity)
    if severity is not Severity.ERROR:
        return severity
    if not issue.blocks(examination.plan.precision):
        return Severity.NOTE
    return examination.capped_if_trained(severity) if issue.probe_sees else severity


def _mend(examination: Examination, issue: KnownIssue) -> tuple[str, tuple[str, ...]]:
    precision = examination.plan.precision
    fix = best_fix(issue, examination.versions, examination.matrix, precision)
    plain = commands.install(examination.environment.interpreter, fix)
    remedy, measured = advice.install_nearest(examination)
    if not measured or not issue.blocks(precision):
        return "Change what is in the way.", (plain,)
    good = examination.good_recipes
    other = f" Or train in a precision that works here: {', '.join(good)}." if issue.recipes and good else ""
    return f"{remedy} Or change only what is in the way.{other}", (*measured, plain)
