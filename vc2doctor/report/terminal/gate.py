"""What the gate decided, for people."""

from collections.abc import Iterator

from vc2doctor.commands.report import Report
from vc2doctor.findings import Severity
from vc2doctor.report.terminal import code, kept, recipes, waived
from vc2doctor.report.terminal.findings import FindingPrinter
from vc2doctor.report.terminal.lines import Line, Marks, labeled_line
from vc2doctor.report.terminal.verdict import verdict_line


def render(report: Report) -> Iterator[Line]:
    """Yield the lines on the command and the decision; none if there is no command."""
    gate = report.gate
    if gate is None:
        return
    yield labeled_line("Command", gate.starts)
    yield from _unread(report)
    if gate.decision == "run":
        yield labeled_line("Gate", f"The command runs: {gate.reason}.")
    else:
        yield labeled_line("Gate", f"Not started: {gate.reason}. Exit code {gate.refuse_exit}.")


def brief(report: Report, marks: Marks) -> Iterator[Line]:
    """Yield the verdict of a command that runs, and what this verdict does not cover."""
    yield verdict_line(report, marks)
    # "-v" would mean to start the training again, so each warning gets its line.
    warnings = [finding for finding in report.findings if finding.severity is not Severity.NOTE]
    yield from FindingPrinter(marks).short(warnings, limit=len(warnings))
    yield labeled_line("Examined", _examined(report))
    yield from kept.render(report)
    yield from waived.render(report.waived)
    if report.probe is not None:
        yield labeled_line("Trained in", ", ".join(each.recipe for each in report.probe.recipes))
    if report.plan.recipes_left_out:
        yield labeled_line("Not run", recipes.left_out(report.plan))
    yield from code.render(report)
    yield from _unread(report)


def _examined(report: Report) -> str:
    """Return which interpreter was examined, why this one, and with which code."""
    environment = report.environment
    python = f"{environment.interpreter.path}: {environment.choice.reason}"
    return python if report.gate is None else f"{python}, for: {report.gate.starts}"


def _unread(report: Report) -> Iterator[Line]:
    for sentence in report.gate.unread if report.gate is not None else ():
        yield labeled_line("Not read", sentence)
