"""``vc2doctor gate``."""

import os
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import click

from vc2doctor.cli import launch
from vc2doctor.cli import options as shared
from vc2doctor.cli.output import Output, echo, name_baseline, output_of, write_gate_report
from vc2doctor.cli.program import started_by
from vc2doctor.cli.progress import progress
from vc2doctor.core import handover
from vc2doctor.core.errors import DoctorError

if TYPE_CHECKING:
    from vc2doctor.commands.cached import Use
    from vc2doctor.commands.report import Report
    from vc2doctor.commands.request import GateRequest
    from vc2doctor.core.handover import Inheritance

_MAX_EXIT = 255


@click.command(
    context_settings={"allow_interspersed_args": False},
    short_help="Run a training command only if this machine is fit for it.",
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND…")
@click.option("--warn-only", is_flag=True, help="Run the command whatever the verdict is, and without one.")
@click.option(
    "--refuse-exit",
    type=click.IntRange(min=1, max=_MAX_EXIT),
    default=handover.REFUSED,
    show_default=True,
    metavar="N",
    help="Exit code if the command is not started.",
)
@shared.probe
@shared.code
@shared.acceptance
@shared.update_baseline
@shared.fresh
@partial(shared.examination, time_limit=shared.total_time, default_python="the one that the command would use")
def gate(
    command: tuple[str, ...],
    output: Output,
    *,
    refuse_exit: int,
    warn_only: bool,
    time_limit: float | None,
    **options: Any,  # noqa: ANN401
) -> None:
    """Run a training command only if this machine is fit for it: `vc2doctor gate -- torchrun train.py`.

    The environment of the command is examined, and so are its program, its flags and the files that it names. If it is
    fit, the command takes the place of the doctor: same process, streams and variables. The report goes to stderr.

    In a distributed launch one process of each node checks, and the others wait for its verdict.

    Exit codes: those of the command; 125 (see --refuse-exit) if it was not started, because it is not fit, or because
    the check could not be finished; 126 and 127 if the command cannot be run or does not exist; 2 wrong usage.
    """
    from vc2doctor.commands import cached, settings  # noqa: PLC0415 - `--help` needs none of it
    from vc2doctor.commands.request import CheckRequest, GateRequest  # noqa: PLC0415

    fresh: bool = options.pop("fresh")
    inherited = handover.inheritance()
    try:
        handover.check_program(command[0])
    except handover.HandoverError as error:
        _end(str(error), error.exit_code)
    source, explicit = shared.pop_settings_source(options), shared.names_on_command_line()
    loaded = settings.load(Path.cwd(), source)
    named = {"output": output, "verbose": options.pop("verbose"), "baseline": options.get("baseline")}
    output = output_of(named, loaded, explicit)
    check = CheckRequest(**options, stack_map=output.shows_map, settings_source=source, settings=loaded.applied)
    check = loaded.complete(check, explicit)
    use = cached.Use(fresh=fresh, outputs=output.paths)
    request = GateRequest(
        command=command, check=check, warn_only=warn_only, refuse_exit=refuse_exit, program=started_by()
    )
    _Gate(request, use, output, time_limit, inherited).run()


class _Verdict(NamedTuple):
    """What decides whether the command runs; one process of a launch passes it to the others."""

    fits: bool
    sentence: str


class _Gate:
    """One run of the gate, up to the moment in which the command takes its place."""

    def __init__(
        self, request: "GateRequest", use: "Use", output: Output, time_limit: float | None, inherited: "Inheritance"
    ) -> None:
        from vc2doctor.core.time_limit import TimeLimit  # noqa: PLC0415 - `--help` needs none of it

        self._request = request
        self._use = use
        self._output = output
        self._inherited = inherited
        self._limit: TimeLimit = TimeLimit(time_limit, self._end_stuck)

    def run(self) -> NoReturn:
        """Check, and then run the command or end."""
        try:
            with self._limit.enforced():
                verdict = self._verdict_of_launch()
        except KeyboardInterrupt:
            if not self._limit.is_over:
                _end("interrupted; the command was not started", self._request.refuse_exit)
            verdict = _Verdict(fits=False, sentence=self._too_late)
            self._tell(verdict)
        self._follow(verdict)

    @property
    def _too_late(self) -> str:
        return f"the check took longer than {self._limit.seconds:g} s (--timeout)"

    def _follow(self, verdict: _Verdict) -> NoReturn:
        if not (verdict.fits or self._request.warn_only):
            sys.exit(self._request.refuse_exit)
        try:
            handover.replace_process(self._request.command, self._inherited)
        except handover.HandoverError as error:
            _end(str(error), error.exit_code)

    def _verdict_of_launch(self) -> _Verdict:
        """Return the verdict of this process, or the one of another process of the same launch on this machine."""
        rank = launch.rank(os.environ)
        if rank is None:
            return self._checked()
        from vc2doctor.core import turns  # noqa: PLC0415 - most launches are not distributed

        name = launch.name(os.environ, (*sys.argv[1:], str(Path.cwd())))
        with turns.turn(name, rank) as turn:
            verdict = _verdict_of(turn.result())
            if verdict is None:
                verdict = self._checked()
                turn.leave(verdict._asdict())
                return verdict
        if not verdict.fits:
            self._tell(verdict)
        return verdict

    def _checked(self) -> _Verdict:
        try:
            report = self._report()
        except DoctorError as error:
            verdict = _Verdict(fits=False, sentence=str(error))
        except Exception as error:  # noqa: BLE001 - whatever happens here must not look like the end of the command
            verdict = _Verdict(fits=False, sentence=f"this is a bug of the doctor: {type(error).__name__}: {error}")
        else:
            write_gate_report(report, self._output)
            check = self._request.check
            name_baseline(check.baseline if check.update_baseline else None, report.waived, report.findings)
            if not self._limit.is_over:
                reason = report.gate.reason if report.gate is not None else f"the verdict is {report.verdict}"
                return _Verdict(fits=not report.exit_code, sentence=reason)
            verdict = _Verdict(fits=False, sentence=self._too_late)
        self._tell(verdict)
        return verdict

    def _report(self) -> "Report":
        """Return the report on the command.

        Raises:
            DoctorError: the check could not be finished.
            KeyboardInterrupt: the user interrupted it, or the time is over.
        """
        from vc2doctor.commands import cached  # noqa: PLC0415 - `--help` needs none of it

        with progress() as on_progress:
            report = cached.gate(self._request, Path.cwd(), on_progress, self._use)
        if self._limit.is_over:
            from vc2doctor.commands.gate import refused  # noqa: PLC0415 - a kept answer needs none of it

            return report if self._request.warn_only else refused(report, self._too_late)
        if report.probe is not None and report.probe.ending == "interrupted":
            raise KeyboardInterrupt
        return report

    def _tell(self, verdict: _Verdict) -> None:
        warns = self._request.warn_only
        outcome = "The command runs nevertheless (--warn-only)." if warns else "The command was not started."
        end = "" if verdict.sentence.endswith((".", "?")) else "."
        echo(f"vc2doctor: {verdict.sentence}{end} {outcome}", err=True)

    def _end_stuck(self) -> None:
        """End this process from another thread: the main thread hangs in a library and does not react."""
        self._tell(_Verdict(fits=False, sentence=f"{self._too_late}, and hangs"))
        if self._request.warn_only:
            try:
                handover.replace_process(self._request.command, self._inherited)
            except handover.HandoverError as error:
                os._exit(error.exit_code)
        os._exit(self._request.refuse_exit)


def _verdict_of(result: Mapping[str, Any] | None) -> _Verdict | None:
    """Return the verdict that another process left; ``None``: there is none, or another doctor wrote another kind."""
    fits, sentence = (result or {}).get("fits"), (result or {}).get("sentence")
    if not (isinstance(fits, bool) and isinstance(sentence, str)):
        return None
    return _Verdict(fits=fits, sentence=sentence)


def _end(message: str, code: int) -> NoReturn:
    echo(f"vc2doctor: {message}", err=True)
    sys.exit(code)
