"""Runs the linter from start to end: read files, derive facts, apply rules, drop suppressed findings, diagnose."""

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from vc2doctor import __version__
from vc2doctor.core.data import Data
from vc2doctor.core.invocation import Invocation
from vc2doctor.findings import Severity
from vc2doctor.linter import rules
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.diagnose import diagnose
from vc2doctor.linter.model import CodeFinding, Diagnosis, FixResult, LintPlan, LintReport
from vc2doctor.linter.read.project import read_project
from vc2doctor.linter.settings import AppliedSettings, LintSettings
from vc2doctor.linter.suppress import selected_rules, without_suppressed


class LintTask(Data):
    """What to lint, and how."""

    paths: tuple[Path, ...]
    precision: Literal["bf16", "fp16"] | None = None
    """What a fix switches the programs to; ``fp16`` is float16 with loss scaling, for a GPU without bfloat16."""
    settings: LintSettings = LintSettings()
    applied: AppliedSettings | None = None
    """The settings file that ``settings`` came from; ``None``: there is none."""
    fail_on: Severity = Severity.ERROR
    invocation: Invocation = Invocation(verb="lint")
    installed: Mapping[str, str] = {}
    """Versions of the environment that the code will run in. Without them the project's pins are used."""


class LintResult(NamedTuple):
    """What the rules found in a project."""

    facts: Facts
    findings: tuple[CodeFinding, ...]
    diagnoses: tuple[Diagnosis, ...]
    silenced: int
    """How many places are suppressed by comments and per-file ignores."""
    switched_off: int
    """How many findings belong to rules that are not selected or are ignored."""


def apply_rules(task: LintTask, overlay: Mapping[str, str] | None = None) -> LintResult:
    """Lint the code below the paths of ``task``.

    ``overlay`` maps names of files to texts that are read instead of the files on disk.

    Raises:
        LintError: a path or a rule id does not exist.
    """
    chosen = selected_rules(task.settings, rules.ids())
    code = CodeFacts(read_project(task.paths, task.settings.exclude, overlay or {}, task.installed))
    facts = Facts(code)
    findings, silenced = without_suppressed(rules.run(facts, chosen), code.files.ignored_lines, task.settings)
    ordered = tuple(
        sorted(
            findings, key=lambda finding: (-finding.severity.rank, finding.path or "", finding.line or 0, finding.id)
        )
    )
    unselected = rules.run(facts, frozenset(rules.ids()) - chosen)
    return LintResult(facts, ordered, tuple(_diagnoses(facts, ordered, task)), silenced, len(unselected))


def _diagnoses(facts: Facts, findings: tuple[CodeFinding, ...], task: LintTask) -> Iterator[Diagnosis]:
    """Yield the diagnoses without suppressed places.

    A diagnosis adds places that no rule reports, so suppressions are applied to it once more.
    """
    for diagnosis in diagnose(facts, findings):
        places, _ = without_suppressed(diagnosis.places, facts.code.files.ignored_lines, task.settings)
        yield diagnosis.model_copy(update={"places": places})


def report(task: LintTask, result: LintResult, started: float, fix: FixResult | None = None) -> LintReport:
    """Return the report on a project; ``started`` is the ``time.monotonic()`` at which the work began."""
    worst = max((finding.severity.rank for finding in result.findings), default=-1)
    refused = fix is not None and bool(fix.refused)
    failed = worst >= task.fail_on.rank or refused
    return LintReport(
        doctor=__version__,
        verdict="findings" if result.findings else "clean",
        exit_code=1 if failed else 0,
        root=os.path.relpath(result.facts.code.files.root),
        plan=LintPlan(
            paths=tuple(str(path) for path in task.paths),
            precision=task.precision,
            fail_on=task.fail_on.value,
            invocation=task.invocation,
        ),
        files=result.facts.code.files.count,
        diagnoses=result.diagnoses,
        findings=result.findings,
        silenced=result.silenced,
        switched_off=result.switched_off,
        settings=task.applied,
        fix=fix,
        seconds=round(time.monotonic() - started, 3),
    )
