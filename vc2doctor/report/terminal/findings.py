"""Findings in the report on an examination: in full, or as one line each."""

from collections.abc import Iterator, Sequence

from vc2doctor.findings import Finding, Severity
from vc2doctor.report.terminal.folding import SEE_VERBOSE
from vc2doctor.report.terminal.lines import (
    MARK_OF_SEVERITY,
    Line,
    Marks,
    command_line,
    counted_by_severity,
    text_line,
)
from vc2doctor.report.terminal.styled import Text

MAX_SHORT = 3
"""Warnings that are shown with one line each; the others are counted."""
_SAME_FIX = "The same command fixes it."


class FindingPrinter:
    """Yields findings one after the other, and prints the commands of a remedy once."""

    def __init__(self, marks: Marks) -> None:
        self._marks = marks
        self._printed: set[tuple[str, ...]] = set()

    def deciding(self, finding: Finding, *, has_command_above: bool) -> Iterator[Line]:
        """Yield the finding that decides; its first command (or its remedy) stands above it and is not repeated."""
        self._printed.add(finding.commands)
        yield from self._why(finding)
        if has_command_above:
            yield text_line(finding.remedy)
        yield from _commands(finding.commands, skip_first=has_command_above)
        yield _link(finding)

    def full(self, finding: Finding) -> Iterator[Line]:
        """Yield a finding with its evidence, its remedy and all commands."""
        yield from self._why(finding)
        if self._is_printed(finding):
            yield text_line(_SAME_FIX)
        else:
            yield text_line(finding.remedy)
            yield from _commands(finding.commands)
        yield _link(finding)

    def other_error(self, finding: Finding) -> Iterator[Line]:
        """Yield an error that does not decide: one line if the same command fixes it, else the whole finding."""
        if finding.commands and finding.commands in self._printed:
            yield self._head(finding, f". {_SAME_FIX}")
        else:
            yield Line(Text())
            yield from self.full(finding)

    def short(self, findings: Sequence[Finding], limit: int = MAX_SHORT) -> Iterator[Line]:
        """Yield one line for each of the first ``limit`` warnings, and one line that counts everything else."""
        shown = [finding for finding in findings if finding.severity is not Severity.NOTE][:limit]
        for finding in shown:
            yield self._head(finding, f". {finding.remedy}")
        others = [finding for finding in findings if finding not in shown]
        if others:
            ids = ", ".join(dict.fromkeys(finding.id for finding in others))
            yield text_line(f"{counted_by_severity(others)} ({ids}){SEE_VERBOSE}", "dim", indent=2)

    def _is_printed(self, finding: Finding) -> bool:
        """Return whether the commands of a finding were printed before; remember them."""
        is_printed = bool(finding.commands) and finding.commands in self._printed
        self._printed.add(finding.commands)
        return is_printed

    def _why(self, finding: Finding) -> Iterator[Line]:
        """Yield what is wrong, where, and the evidence."""
        yield self._head(finding)
        if finding.path is not None and finding.path not in finding.message:
            yield text_line(f"at {finding.path}{f':{finding.line}' if finding.line else ''}")
        for evidence in finding.evidence:
            for line in evidence.splitlines():
                yield text_line(line, "dim")

    def _head(self, finding: Finding, more: str = "") -> Line:
        mark, style = self._marks(MARK_OF_SEVERITY[finding.severity])
        head = f"{mark} {finding.id} {finding.severity.value}"
        message = (finding.message, "bold")
        return Line(Text.assemble("  ", (head, style), "  ", message, more), hang=6)


def _commands(commands: Sequence[str], *, skip_first: bool = False) -> Iterator[Line]:
    """Yield alternative commands with the word "or" between them, so that they do not look like one script."""
    for index, command in enumerate(commands):
        if index:
            yield text_line("or")
        if index or not skip_first:
            yield command_line(command)


def _link(finding: Finding) -> Line:
    return Line(Text(f"      {finding.url}", "dim"), is_command=True)
