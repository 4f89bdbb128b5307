"""A report as the value of a notebook's cell."""

from vc2doctor.commands.report import Report
from vc2doctor.linter.model import LintReport
from vc2doctor.report import terminal
from vc2doctor.report.html import page


class NotebookView:
    """Shows a report: as HTML in a notebook, and as its verdict in one line in a console."""

    def __init__(self, report: Report | LintReport) -> None:
        self._report = report

    def _repr_html_(self) -> str:
        """Return the report as an element; IPython calls it."""
        if isinstance(self._report, Report):
            return page.check(self._report, is_part=True)
        return page.lint(self._report, is_part=True)

    def __repr__(self) -> str:
        return terminal.sentence("check" if isinstance(self._report, Report) else "lint", self._report)
