"""What ``vc2doctor check --code`` takes of the linter: its findings, one a diagnosis, and the code's precision."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from vc2doctor.commands import settings
from vc2doctor.commands.report import CodeReading
from vc2doctor.commands.settings import SettingsSource
from vc2doctor.findings import Finding, Severity
from vc2doctor.linter.analyse.recipe import recipes_of, riskiest_recipe
from vc2doctor.linter.model import CodeFinding, Diagnosis, undiagnosed
from vc2doctor.linter.run import LintResult, LintTask, judge


def read(code: Path, installed: Mapping[str, str], source: SettingsSource) -> CodeReading:
    """Return what the linter says of ``code`` in an environment with these versions; notes are left to ``lint``.

    Raises:
        LintError: there is no such path.
        SettingsError: the settings of the code's project cannot be used.
    """
    loaded = settings.load(code if code.is_dir() else code.parent, source)
    judged = judge(LintTask(paths=(code,), settings=loaded.lint, installed=installed))
    recipes = recipes_of(judged.facts)
    return CodeReading(
        path=str(code),
        findings=tuple(_findings(judged, code)),
        recipes=recipes,
        precision=riskiest_recipe(recipes),
        silenced=judged.silenced + judged.switched_off,
        settings=loaded.applied,
    )


def _findings(judged: LintResult, code: Path) -> Iterator[Finding]:
    root = os.path.relpath(judged.facts.code.files.root)
    prefix = "" if root == "." else f"{root}/"
    for diagnosis in judged.diagnoses:
        yield _diagnosis(diagnosis, prefix, code)
    for finding in undiagnosed(judged.findings, judged.diagnoses):
        if finding.severity is not Severity.NOTE:
            yield _plain(finding, prefix)


def _plain(finding: CodeFinding, prefix: str) -> Finding:
    further = tuple(f"also at {prefix}{place.location}" for place in finding.also)
    return Finding(
        id=finding.id,
        severity=finding.severity,
        message=finding.message,
        evidence=(*finding.evidence, *further),
        remedy=finding.remedy,
        url=finding.url,
        path=f"{prefix}{finding.path}",
        line=finding.line,
    )


def _diagnosis(diagnosis: Diagnosis, prefix: str, code: Path) -> Finding:
    first = diagnosis.places[0]
    return Finding(
        id=first.id,
        severity=diagnosis.severity,
        message=diagnosis.title,
        evidence=tuple(
            f"{prefix}{each.location} ({place.role}, {place.id}): {place.message}"
            for place in diagnosis.places
            for each in place.places
        ),
        remedy="Change all of them at once; each alone leaves float16 somewhere, or changes how it fails.",
        commands=(f"vc2doctor lint --precision bf16 --fix --diff {code}",),
        url=first.url,
        path=f"{prefix}{first.path}",
        line=first.line,
    )
