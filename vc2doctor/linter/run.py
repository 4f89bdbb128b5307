"""One linting from start to end: files, facts, rules, what is to be left, diagnosis."""

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from vc2doctor import __version__
from vc2doctor.core.data import Data
from vc2doctor.findings import Severity
from vc2doctor.linter import rules
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.diagnose import diagnose
from vc2doctor.linter.model import CodeFinding, Diagnosis, FixResult, LintPlan, LintReport
from vc2doctor.linter.read.project import read_project
from vc2doctor.linter.settings import AppliedSettings, LintSettings
from vc2doctor.linter.suppress import quieten, selected


class LintTask(Data):
    """What the user asked for."""

    paths: tuple[Path, ...]
    precision: Literal["bf16"] | None = None
    settings: LintSettings = LintSettings()
    applied: AppliedSettings | None = None
    """The file that the settings come from, where one has any."""
    fail_on: Severity = Severity.ERROR
    installed: Mapping[str, str] = {}
    """Versions of the environment that the code will run in; else the project's pins count."""


class LintResult(NamedTuple):
    """What the rules say of a project."""

    facts: Facts
    findings: tuple[CodeFinding, ...]
    diagnoses: tuple[Diagnosis, ...]
    silenced: int
    """Places that comments and per-file ignores silence."""
    switched_off: int
    """Findings of rules that are not selected, or are ignored."""


def judge(request: LintTask, overlay: Mapping[str, str] | None = None) -> LintResult:
    """Return what the rules say of the code below the paths; ``overlay`` has texts that stand for files on disk.

    Raises:
        LintError: a path or a rule's id does not exist.
    """
    chosen = selected(request.settings, rules.ids())
    code = CodeFacts(read_project(request.paths, request.settings.exclude, overlay or {}, request.installed))
    facts = Facts(code)
    found = rules.run(facts, chosen)
    kept, silenced = quieten(found, code.files.silences, request.settings)
    ordered = tuple(sorted(kept, key=lambda one: (-one.severity.rank, one.path or "", one.line or 0, one.id)))
    unselected = rules.run(facts, frozenset(rules.ids()) - chosen)
    return LintResult(facts, ordered, tuple(_diagnosed(facts, ordered, code, request)), silenced, len(unselected))


def _diagnosed(
    facts: Facts, findings: tuple[CodeFinding, ...], code: CodeFacts, request: LintTask
) -> Iterator[Diagnosis]:
    """Yield the diagnoses without the places that were told to be left: they are not mended with the rest."""
    for diagnosis in diagnose(facts, findings):
        places, _ = quieten(diagnosis.places, code.files.silences, request.settings)
        yield diagnosis.model_copy(update={"places": places})


def report(request: LintTask, judged: LintResult, started: float, fixed: FixResult | None = None) -> LintReport:
    """Return the report on a project."""
    worst = max((finding.severity.rank for finding in judged.findings), default=-1)
    refused = fixed is not None and bool(fixed.refused)
    failed = worst >= request.fail_on.rank or refused
    return LintReport(
        doctor=__version__,
        verdict="findings" if judged.findings else "clean",
        exit_code=1 if failed else 0,
        root=os.path.relpath(judged.facts.code.files.root),
        plan=LintPlan(
            paths=tuple(str(path) for path in request.paths), precision=request.precision, fail_on=request.fail_on.value
        ),
        files=judged.facts.code.files.count,
        diagnoses=judged.diagnoses,
        findings=judged.findings,
        silenced=judged.silenced,
        switched_off=judged.switched_off,
        settings=request.applied,
        fix=fixed,
        seconds=round(time.monotonic() - started, 3),
    )
