"""Findings as test cases in JUnit's XML, see ``report/junit_xml.py``."""

from typing import TYPE_CHECKING

from vc2doctor.report.formats import Format

if TYPE_CHECKING:
    from vc2doctor.commands.report import Report
    from vc2doctor.linter.model import LintReport


def check(report: "Report") -> str:
    """Return an examination as test cases."""
    from vc2doctor.report import junit_xml  # noqa: PLC0415 - ElementTree is slow to import, and only JUnit needs it

    return junit_xml.check(report)


def lint(report: "LintReport") -> str:
    """Return the findings of the linter as test cases."""
    from vc2doctor.report import junit_xml  # noqa: PLC0415 - as in `check`

    return junit_xml.lint(report)


FORMAT = Format("junit", (".xml",), {"check": check, "lint": lint})
