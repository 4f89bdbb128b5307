"""``vc2doctor gate``: is this machine fit to run this command?"""

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Literal

from vc2doctor.commands import command_code, command_line, preflight
from vc2doctor.commands.check import read_code
from vc2doctor.commands.command_line import CommandReading
from vc2doctor.commands.examine import OnProgress, ProbeOrder, examine
from vc2doctor.commands.invocation import invocation_of
from vc2doctor.commands.report import CodeReading, Gate, Report
from vc2doctor.commands.request import CheckRequest, GateRequest
from vc2doctor.core import shell
from vc2doctor.core.errors import DoctorError
from vc2doctor.core.wording import counted, enumerated
from vc2doctor.environment import choice, interpreter
from vc2doctor.environment.model import Environment
from vc2doctor.findings import Severity

MAX_UNREAD = 5
"""Places in the code that are named as not understood; `vc2doctor lint` names all of them."""


class GateError(DoctorError):
    """The command cannot be checked."""

    exit_code = 3


class _Reading:
    """Reads the code of the command once the environment is known, and keeps what could not be read."""

    def __init__(self, request: CheckRequest, command: CommandReading, folder: Path) -> None:
        self._request = request
        self._command = command
        self._folder = folder
        self.unread = command.unread

    def read(self, environment: Environment) -> CodeReading:
        """Lint what the command starts."""
        installed = environment.all_versions
        invocation = self._request.invocation or invocation_of(self._request)
        read = command_code.read_code(self._command, self._folder, installed, self._request.settings_source, invocation)
        self.unread += (*read.unread, *read.code.unread[:MAX_UNREAD])
        return read.code


def gate(
    request: GateRequest, folder: Path, on_progress: OnProgress, variables: Mapping[str, str] = os.environ
) -> Report:
    """Examine the environment and the code of a command that would be run in ``folder`` with ``variables``.

    Raises:
        GateError: the interpreter of the command is not known, and the request names none; the request names another
            one than the command starts; or the program of the command, or a configuration that it reads, does not
            exist.
        LintError: the code that the request names does not exist.
        MatrixError: a file of the matrix is wrong, or the profile does not exist.
        SettingsError: the settings of the code's project cannot be used.
        TargetError: the interpreter cannot be examined.
    """
    command = command_line.read(request.command, folder, variables)
    python = request.check.python or command.python
    if python is None:
        message = f"the interpreter of the command is not known: {command.reason}. Name it with --python."
        raise GateError(message)
    _check_names(request, command, folder)
    target = choice.of_command(python, command.reason, folder) if request.check.python is None else None
    check = request.check.model_copy(update={"python": python, "target": target})
    check = check.model_copy(update={"invocation": invocation_of(check, request.program)})
    reading = _Reading(check, command, folder)
    read = partial(read_code, check, check.code) if check.code is not None else reading.read
    report = examine(check, ProbeOrder(only_used=True) if check.probe else None, folder, on_progress, read)
    return report.model_copy(update={"gate": _gate(request, report, command, reading.unread)})


def _check_names(request: GateRequest, command: CommandReading, folder: Path) -> None:
    """Check what the command and the options name, before anything is examined.

    Raises:
        GateError: the request names another interpreter than the command starts, or there is no such program or
            configuration.
        TargetError: there is no interpreter of the name in the request.
    """
    problem = preflight.missing_program(command, request.command, folder) or preflight.missing_config(command, folder)
    if problem is None and request.check.python is not None:
        settings = request.check.settings
        by_file = settings is not None and settings.chose("python")
        origin = f"--python, or the key python of {settings.file}," if settings is not None and by_file else "--python"
        named = interpreter.find(request.check.python)
        gate_ = shell.join([*request.program, "gate"])
        problem = preflight.other_interpreter(named, origin, command, starts(request.command, command), gate_)
    if problem is not None:
        raise GateError(problem)


def _gate(request: GateRequest, report: Report, command: CommandReading, unread: tuple[str, ...]) -> Gate:
    decision: Literal["run", "refuse"] = "refuse"
    reason = _why_not(report)
    if not report.exit_code:
        decision, reason = "run", f"the verdict is {report.verdict}"
    elif request.warn_only:
        decision, reason = "run", f"{reason}, and --warn-only runs the command nevertheless"
    return Gate(
        starts=starts(request.command, command),
        decision=decision,
        reason=reason,
        refuse_exit=request.refuse_exit,
        unread=unread,
    )


def _why_not(report: Report) -> str:
    """Return why the check does not end with 0: the verdict, or findings that the user does not accept."""
    errors = sum(finding.severity is Severity.ERROR for finding in report.findings)
    if report.verdict not in ("fit", "measured"):
        return f"the check found {counted(errors, 'error')}" if errors else f"the verdict is {report.verdict}"
    return f"--fail-on {report.plan.fail_on.value} counts {enumerated(report.refusing_ids)}"


def refused(report: Report, reason: str) -> Report:
    """Return the report of a command that is refused for another reason than the verdict."""
    if report.gate is None:
        return report
    gate_ = report.gate.model_copy(update={"decision": "refuse", "reason": reason})
    return report.model_copy(update={"gate": gate_})


def starts(words: tuple[str, ...], command: CommandReading) -> str:
    """Return the first word of a command and the programs that it starts, in words for people."""
    first = os.path.basename(words[0])  # noqa: PTH119 - a word, which may be no path
    programs = dict.fromkeys(launch.program for launch in command.launches)
    others = [program for program in programs if os.path.basename(program) != first]  # noqa: PTH119
    return " ".join((first, ", ".join(others))).strip()
