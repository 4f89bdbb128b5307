"""One linting from start to end: files, facts, rules, what is to be left, diagnosis."""

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from vc2doctor import __version__
from vc2doctor.data import Data
from vc2doctor.findings import AppliedSettings, Severity
from vc2doctor.lint import rules
from vc2doctor.lint.code import CodeFacts
from vc2doctor.lint.diagnosis import diagnose
from vc2doctor.lint.model import CodeFinding, Diagnosis, Fixed, LintPlan, LintReport
from vc2doctor.lint.project import read_project
from vc2doctor.lint.silence import LintSettings, quieten, selected
from vc2doctor.lint.weights import Facts


class LintRequest(Data):
    """What the user asked for."""

    paths: tuple[Path, ...]
    precision: Literal["bf16"] | None = None
    settings: LintSettings = LintSettings()
    applied: AppliedSettings | None = None
    """The file that the settings come from, where one has any."""
    fail_on: Severity = Severity.ERROR
    installed: Mapping[str, str] = {}
    """Versions of the environment that the code will run in; else the project's pins count."""


class Judged(NamedTuple):
    """What the rules say of a project."""

    facts: Facts
    findings: tuple[CodeFinding, ...]
    diagnoses: tuple[Diagnosis, ...]
    silenced: int
    """Places that comments and per-file ignores silence."""
    switched_off: int
    """Findings of rules that are not selected, or are ignored."""


def judge(request: LintRequest, overlay: Mapping[str, str] | None = None) -> Judged:
    """Return what the rules say of the code below the paths; ``overlay`` has texts that stand for files on disk.

    Raises:
        LintError: a path or a rule's id does not exist.
    """
    chosen = selected(request.settings, rules.ids())
    code = read_project(request.paths, request.settings.exclude, overlay or {}, request.installed)
    facts = Facts(code)
    found = rules.run(facts, chosen)
    kept, silenced = quieten(found, code.silences, request.settings)
    ordered = tuple(sorted(kept, key=lambda one: (-one.severity.rank, one.path or "", one.line or 0, one.id)))
    unselected = rules.run(facts, frozenset(rules.ids()) - chosen)
    return Judged(facts, ordered, tuple(_diagnosed(facts, ordered, code, request)), silenced, len(unselected))


def _diagnosed(
    facts: Facts, findings: tuple[CodeFinding, ...], code: CodeFacts, request: LintRequest
) -> Iterator[Diagnosis]:
    """Yield the diagnoses without the places that were told to be left: they are not mended with the rest."""
    for diagnosis in diagnose(facts, findings):
        places, _ = quieten(diagnosis.places, code.silences, request.settings)
        yield diagnosis.model_copy(update={"places": places})


def report(request: LintRequest, judged: Judged, started: float, fixed: Fixed | None = None) -> LintReport:
    """Return the report on a project."""
    worst = max((finding.severity.rank for finding in judged.findings), default=-1)
    refused = fixed is not None and bool(fixed.refused)
    failed = worst >= request.fail_on.rank or refused
    return LintReport(
        doctor=__version__,
        verdict="findings" if judged.findings else "clean",
        exit_code=1 if failed else 0,
        root=os.path.relpath(judged.facts.code.root),
        plan=LintPlan(
            paths=tuple(str(path) for path in request.paths), precision=request.precision, fail_on=request.fail_on.value
        ),
        files=judged.facts.code.count,
        diagnoses=judged.diagnoses,
        findings=judged.findings,
        silenced=judged.silenced,
        switched_off=judged.switched_off,
        settings=request.applied,
        fixed=fixed,
        seconds=round(time.monotonic() - started, 3),
    )
