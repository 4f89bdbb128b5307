"""Runs the linter from start to end: read files, derive facts, apply rules, drop suppressed findings, diagnose."""

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from vc2doctor import __version__
from vc2doctor.core.data import Data
from vc2doctor.core.invocation import Invocation
from vc2doctor.findings import Severity, WaivedFinding
from vc2doctor.linter import rules
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.consistent import with_one_remedy, with_severities
from vc2doctor.linter.copies import with_copies_as_one
from vc2doctor.linter.coverage import coverage_of
from vc2doctor.linter.diagnose import diagnose
from vc2doctor.linter.model import CodeFinding, Coverage, Diagnosis, FixResult, LintPlan, LintReport, totals
from vc2doctor.linter.read.config import Launch
from vc2doctor.linter.read.project import ProjectFiles, read_project
from vc2doctor.linter.read.syntax import MAX_DEPTH, depth_of
from vc2doctor.linter.scope import scoped
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
    user_config: bool = False
    """Whether accelerate's default file of the user is read, too."""
    launches: tuple[Launch, ...] | None = None
    """Commands; only what they start is judged. ``None``: the whole project is."""


class LintResult(NamedTuple):
    """What the rules found in a project."""

    facts: Facts
    findings: tuple[CodeFinding, ...]
    diagnoses: tuple[Diagnosis, ...]
    silenced: int
    """How many places are suppressed by comments and per-file ignores."""
    switched_off: int
    """How many findings belong to rules that are not selected or are ignored."""
    coverage: Coverage
    waived: tuple[WaivedFinding, ...] = ()
    """What a policy or a baseline made lighter or silenced."""


def apply_rules(task: LintTask, overlay: Mapping[str, str] | None = None) -> LintResult:
    """Lint the code below the paths of ``task``.

    ``overlay`` maps names of files to texts that are read instead of the files on disk.

    A file whose code is nested so deeply that a rule cannot walk it is noted as unread, and does not end the run.

    Raises:
        LintError: a path or a rule id does not exist.
    """
    # A wrong id is reported before anything is read.
    chosen = selected_rules(task.settings, rules.ids())
    too_deep: frozenset[str] = frozenset()
    while True:
        project = read_project(
            task.paths,
            task.settings.exclude,
            overlay or {},
            task.installed,
            launches=task.launches or (),
            user_config=task.user_config,
            too_deep=too_deep,
        )
        if task.launches is not None:
            project = scoped(project, task.launches)
        try:
            return _apply(task, project, chosen)
        except (RecursionError, MemoryError):
            deepest = _too_deep(project)
            if not deepest:
                raise
            too_deep |= deepest


def _too_deep(project: ProjectFiles) -> frozenset[str]:
    return frozenset(name for name, module in project.modules.items() if depth_of(module.source.tree) > MAX_DEPTH)


def _apply(task: LintTask, project: ProjectFiles, chosen: frozenset[str]) -> LintResult:
    code = CodeFacts(project)
    facts = Facts(code)
    found = rules.run(facts, chosen)
    if task.precision is None:
        # A change of the precision looks for every float16 place, so there each keeps its severity.
        found = tuple(with_one_remedy(with_severities(facts, found)))
    unsuppressed, silenced = without_suppressed(found, code.files.ignored_lines, task.settings)
    findings = with_copies_as_one(code, unsuppressed)
    ordered = tuple(
        sorted(
            findings, key=lambda finding: (-finding.severity.rank, finding.path or "", finding.line or 0, finding.id)
        )
    )
    return LintResult(
        facts,
        ordered,
        diagnoses=tuple(_diagnoses(facts, ordered, task)),
        silenced=silenced,
        switched_off=len(rules.run(facts, frozenset(rules.ids()) - chosen)),
        coverage=coverage_of(facts, chosen),
    )


def _diagnoses(facts: Facts, findings: tuple[CodeFinding, ...], task: LintTask) -> Iterator[Diagnosis]:
    """Yield the diagnoses without suppressed places.

    A diagnosis adds places that no rule reports, so suppressions are applied to it once more.
    """
    for diagnosis in diagnose(facts, findings):
        places, _ = without_suppressed(diagnosis.places, facts.code.files.ignored_lines, task.settings)
        yield diagnosis.model_copy(update={"places": places})


def report(task: LintTask, result: LintResult, started: float, fix: FixResult | None = None) -> LintReport:
    """Return the report on a project; ``started`` is the ``time.monotonic()`` at which the work began."""
    verdict = _verdict(result)
    refused = fix is not None and bool(fix.refused)
    return LintReport(
        doctor=__version__,
        verdict=verdict,
        exit_code=1 if _fails(result, verdict, task.fail_on) or refused else 0,
        root=os.path.relpath(result.facts.code.files.root),
        plan=LintPlan(
            paths=tuple(str(path) for path in task.paths),
            precision=task.precision,
            fail_on=task.fail_on.value,
            invocation=task.invocation,
        ),
        files=result.facts.code.files.count,
        coverage=result.coverage,
        totals=totals(result.findings, result.diagnoses),
        diagnoses=result.diagnoses,
        findings=result.findings,
        waived=result.waived,
        silenced=result.silenced,
        switched_off=result.switched_off,
        settings=task.applied,
        fix=fix,
        seconds=round(time.monotonic() - started, 3),
    )


def _verdict(result: LintResult) -> Literal["clean", "findings", "not-judged"]:
    if result.coverage.not_judged and all(finding.severity is Severity.NOTE for finding in result.findings):
        return "not-judged"
    return "findings" if result.findings else "clean"


def _fails(result: LintResult, verdict: str, fail_on: Severity) -> bool:
    """Return whether the command ends with 1.

    Code that was not judged ends with 0, since a hook lints whatever files a commit holds. With ``--fail-on note``,
    which lets nothing pass, it ends with 1.
    """
    if verdict == "not-judged":
        return fail_on is Severity.NOTE
    return any(finding.severity.rank >= fail_on.rank for finding in result.findings)
