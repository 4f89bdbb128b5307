"""What ``vc2doctor check --code`` uses of the linter: one finding per diagnosis, and the precision of the code."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from vc2doctor.commands import settings
from vc2doctor.commands.report import CodeModel, CodeReading
from vc2doctor.commands.settings import SettingsSource
from vc2doctor.core.invocation import BF16_PATCH, Invocation
from vc2doctor.findings import Finding, Severity
from vc2doctor.linter.analyse.doors import doors_of
from vc2doctor.linter.analyse.named_models import named_models
from vc2doctor.linter.analyse.recipe import recipes_of, riskiest_recipe
from vc2doctor.linter.model import CodeFinding, Diagnosis, undiagnosed
from vc2doctor.linter.run import LintResult, LintTask, apply_rules


def read(code: Path, installed: Mapping[str, str], source: SettingsSource, invocation: Invocation) -> CodeReading:
    """Lint ``code`` for an environment with the ``installed`` versions; notes are left out.

    ``invocation`` says how the doctor was started, for the commands of the findings.

    Raises:
        LintError: there is no such path.
        SettingsError: the settings of the code's project cannot be used.
    """
    loaded = settings.load(code if code.is_dir() else code.parent, source)
    result = apply_rules(LintTask(paths=(code,), settings=loaded.lint, installed=installed))
    recipes = recipes_of(result.facts)
    return CodeReading(
        path=str(code),
        findings=tuple(_findings(result, code, invocation)),
        recipes=recipes,
        precision=riskiest_recipe(recipes),
        doors=doors_of(result.facts),
        silenced=result.silenced + result.switched_off,
        settings=loaded.applied,
        root=result.facts.code.files.root,
        models=tuple(CodeModel(**model._asdict()) for model in named_models(result.facts)),
    )


def _findings(result: LintResult, code: Path, invocation: Invocation) -> Iterator[Finding]:
    # The linter's paths are relative to the project; a user needs them relative to the working directory.
    root = os.path.relpath(result.facts.code.files.root)
    prefix = "" if root == "." else f"{root}/"
    fix = invocation.other("lint", *BF16_PATCH, arguments=(str(code),))
    for diagnosis in result.diagnoses:
        if diagnosis.severity is not Severity.NOTE:
            yield _finding_of_diagnosis(diagnosis, prefix, fix)
    for finding in undiagnosed(result.findings, result.diagnoses):
        if finding.severity is not Severity.NOTE:
            yield _with_prefix(finding, prefix)


def _with_prefix(finding: CodeFinding, prefix: str) -> Finding:
    other_places = tuple(f"also at {prefix}{place.location}" for place in finding.also)
    return Finding(
        id=finding.id,
        severity=finding.severity,
        message=finding.message,
        evidence=(*finding.evidence, *other_places),
        remedy=finding.remedy,
        url=finding.url,
        path=f"{prefix}{finding.path}",
        line=finding.line,
    )


def _finding_of_diagnosis(diagnosis: Diagnosis, prefix: str, fix: str) -> Finding:
    first = diagnosis.places[0]
    return Finding(
        id=first.id,
        severity=diagnosis.severity,
        message=diagnosis.title,
        evidence=tuple(
            f"{prefix}{place.location} ({finding.role}, {finding.id}): {finding.message}"
            for finding in diagnosis.places
            for place in finding.places
        ),
        remedy="Change all these places together. A change of only some of them leaves float16 elsewhere.",
        commands=(fix,),
        url=first.url,
        path=f"{prefix}{first.path}",
        line=first.line,
    )
