"""What ``vc2doctor check --code`` takes of the linter: its findings, one a diagnosis, and the code's precision."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from vc2doctor import settings
from vc2doctor.data import Data
from vc2doctor.findings import AppliedSettings, Finding, Severity
from vc2doctor.lint.model import CodeFinding, Diagnosis, alone
from vc2doctor.lint.recipe import deciding, recipes_of
from vc2doctor.lint.run import Judged, LintRequest, judge
from vc2doctor.settings import SettingsSource


class Read(Data):
    """What was read of training code."""

    findings: tuple[Finding, ...] = ()
    recipes: Mapping[str, str] = {}
    """Entry point → the recipe it trains in, as far as that can be read."""
    silenced: int = 0
    """How many places are silenced by comments and per-file ignores, or by rules that are switched off."""
    settings: AppliedSettings | None = None
    """The file of settings that was read for the code."""

    @property
    def precision(self) -> str | None:
        """The recipe to judge by."""
        return deciding(self.recipes)


def read(code: Path, installed: Mapping[str, str], source: SettingsSource) -> Read:
    """Return what the linter says of ``code`` in an environment with these versions; notes are left to ``lint``.

    Raises:
        LintError: there is no such path.
        SettingsError: the settings of the code's project cannot be used.
    """
    loaded = settings.load(code if code.is_dir() else code.parent, source)
    judged = judge(LintRequest(paths=(code,), settings=loaded.lint, installed=installed))
    return Read(
        findings=tuple(_findings(judged, code)),
        recipes=recipes_of(judged.facts),
        silenced=judged.silenced + judged.switched_off,
        settings=loaded.applied,
    )


def _findings(judged: Judged, code: Path) -> Iterator[Finding]:
    root = os.path.relpath(judged.facts.code.root)
    prefix = "" if root == "." else f"{root}/"
    for diagnosis in judged.diagnoses:
        yield _diagnosis(diagnosis, prefix, code)
    for finding in alone(judged.findings, judged.diagnoses):
        if finding.severity is not Severity.NOTE:
            yield _plain(finding, prefix)


def _plain(finding: CodeFinding, prefix: str) -> Finding:
    further = tuple(f"also at {prefix}{place.told}" for place in finding.also)
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
            f"{prefix}{each.told} ({place.role}, {place.id}): {place.message}"
            for place in diagnosis.places
            for each in place.places
        ),
        remedy="Change all of them at once; each alone leaves float16 somewhere, or changes how it fails.",
        commands=(f"vc2doctor lint --precision bf16 --fix --diff {code}",),
        url=first.url,
        path=f"{prefix}{first.path}",
        line=first.line,
    )
