"""Applies a policy and a baseline to what the linter found: to its findings and to the places of its diagnoses."""

import os
from collections.abc import Mapping

from vc2doctor.checks import vc029_expired_waiver as expired_waiver
from vc2doctor.checks.policy import Waiver, by_severity
from vc2doctor.commands import fingerprints
from vc2doctor.commands.decisions import Judge
from vc2doctor.linter.model import CodeFinding, Diagnosis, FindingKey
from vc2doctor.linter.run import LintResult
from vc2doctor.linter.settings import AppliedSettings


def decided(result: LintResult, judge: Judge, applied: AppliedSettings | None) -> LintResult:
    """Return the result with what remains of its findings. Expired entries of the policy become findings.

    Raises:
        OutputError: the baseline cannot be written.
    """
    relative = os.path.relpath(result.facts.code.files.root)
    root = "" if relative == "." else f"{relative}/"
    findings = tuple(fingerprints.with_diagnosed(result.findings, result.diagnoses))
    kept, waived = judge.decide(findings, fingerprints.of_lint(findings, root))
    remaining = {each.key: each for each in kept}
    reported = {each.key for each in result.findings}
    diagnoses = (_reduced(diagnosis, remaining) for diagnosis in result.diagnoses)
    expired = (_expired(waiver, applied) for waiver in judge.waivers if waiver.is_expired)
    return result._replace(
        findings=by_severity([*(each for each in kept if each.key in reported), *expired]),
        diagnoses=tuple(diagnosis for diagnosis in diagnoses if diagnosis.places),
        waived=waived,
    )


def _reduced(diagnosis: Diagnosis, remaining: Mapping[FindingKey, CodeFinding]) -> Diagnosis:
    """Return a diagnosis with the places that remain."""
    places = tuple(remaining[place.key] for place in diagnosis.places if place.key in remaining)
    return diagnosis.model_copy(update={"places": places})


def _expired(waiver: Waiver, applied: AppliedSettings | None) -> CodeFinding:
    finding = expired_waiver.finding(waiver, applied)
    place = {"path": finding.path or "pyproject.toml", "line": finding.line or 1}
    return CodeFinding(**{**finding.model_dump(), **place})
