"""Try the remedy: build a fresh environment with the versions that it leads to, and examine that one.

The examined environment is not touched. Packages come from the user's index, so this runs only on request.
"""

import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from vc2doctor.commands.examine import OnProgress, ProbeOrder, examine
from vc2doctor.commands.report import RemedyTrial, Report
from vc2doctor.commands.request import ExaminationRequest
from vc2doctor.core import child, scratch
from vc2doctor.core.errors import DoctorError
from vc2doctor.core.limits import BUILD_SECONDS
from vc2doctor.environment import interpreter
from vc2doctor.environment.model import Environment
from vc2doctor.findings import Severity
from vc2doctor.remedies.plan import VersionPlan

MAX_ERROR_LINES = 12
"""Lines at the end of an installer's output that are reported."""
_TOOLS = frozenset({"pip", "uv"})
"""Installers that the fresh environment has or does not need."""


class BuildError(DoctorError):
    """A step of the build failed."""


def verify(report: Report, request: ExaminationRequest, folder: Path, on_progress: OnProgress) -> RemedyTrial:
    """Return how the remedy of ``report`` does in a fresh environment, which is deleted afterwards."""
    plan = report.version_plan
    if plan is None:
        return RemedyTrial(outcome="no remedy")
    start_time = time.monotonic()
    changes = plan.first.changes if plan.first else {}
    seconds = request.timeout or BUILD_SECONDS
    with scratch.folder() as root:
        try:
            on_progress("building a fresh environment with the versions of the remedy")
            python = _Builder(root, report.environment, seconds).build(plan)
            on_progress("examining the fresh environment")
            fresh = examine(
                request.model_copy(update={"python": python, "stack_map": False}), ProbeOrder(), folder, on_progress
            )
        except DoctorError as error:
            elapsed = round(time.monotonic() - start_time, 1)
            return RemedyTrial(outcome="not built", changes=changes, errors=(str(error),), seconds=elapsed)
    errors = tuple(finding.message for finding in fresh.findings if finding.severity is Severity.ERROR)
    return RemedyTrial(
        outcome="trains" if fresh.verdict == "fit" else "fails",
        changes=changes,
        verdict=fresh.verdict,
        errors=errors,
        seconds=round(time.monotonic() - start_time, 1),
    )


class _Builder:
    """Builds one environment within the time limit, with uv if it is there, else with venv and pip."""

    def __init__(self, folder: Path, environment: Environment, seconds: float) -> None:
        self._folder = folder
        self._environment = environment
        self._root = folder / "venv"
        self._python = str(self._root / "bin" / "python")
        self._uv = shutil.which("uv")
        self._deadline = time.monotonic() + seconds

    def build(self, plan: VersionPlan) -> str:
        """Return the interpreter of an environment with the installed packages, changed by ``plan``.

        Raises:
            BuildError: a step fails, or takes too long.
            ScratchError: the disk is full.
        """
        base = self._environment.interpreter.path
        create = [self._uv, "venv", "--quiet", "--python", base] if self._uv else [base, "-m", "venv"]
        self._run([*create, str(self._root)])
        changes = plan.first.changes if plan.first else {}
        pins = self._folder / "installed.txt"
        scratch.write(pins, "\n".join(_pins(self._environment, plan.versions, changes)) + "\n")
        # Exactly what is installed, conflicts included: a resolver would refuse it, or choose other versions.
        self._install(["--no-deps", "-r", str(pins)])
        changed = [*(f"{name}=={text}" for name, text in changes.items()), *plan.added]
        if changed:
            # As the printed command does: what a new release needs beside the known packages comes along.
            self._install(changed)
        return self._python

    def _install(self, arguments: Sequence[str]) -> None:
        if self._uv:
            self._run([self._uv, "pip", "install", "--quiet", "--python", self._python, *arguments])
        else:
            self._run([self._python, "-m", "pip", "install", "--quiet", *arguments])

    def _run(self, command: Sequence[str]) -> None:
        remaining = max(1.0, self._deadline - time.monotonic())
        # An installer that is killed leaves its temporary files, so they belong into the folder that is removed.
        variables = interpreter.variables({"TMPDIR": str(self._folder)})
        # The installers write no events.
        run = child.run(lambda _: command, variables, remaining, lambda _: None)
        if run.ending == "interrupted":
            raise KeyboardInterrupt
        if run.ending == "exit" and run.code == 0:
            return
        how = {
            "timeout": f"no end after {run.seconds:.0f} s; allow more time with --timeout",
            "signal": f"killed by {run.signal}",
        }.get(run.ending, f"exit code {run.code}")
        lines = (run.errors or run.output).splitlines()[-MAX_ERROR_LINES:]
        message = "\n".join([f"{' '.join(command[:3])} failed ({how}):", *lines])
        raise BuildError(message)


def _pins(environment: Environment, versions: Mapping[str, str], changes: Mapping[str, str]) -> list[str]:
    """Return what stays installed as requirements, without editable checkouts and installers."""
    names = dict.fromkeys(
        distribution.name
        for distribution in environment.distributions
        if not distribution.editable and distribution.name not in _TOOLS
    )
    installed = {**environment.versions, **versions}
    return [f"{name}=={installed[name]}" for name in names if name in installed and name not in changes]
