"""A report as one self-contained HTML page: verdict, remedy, map, curves, range and findings, without network."""

from typing import TYPE_CHECKING

from vc2doctor.report.formats import Format

if TYPE_CHECKING:
    from vc2doctor.commands.report import Report
    from vc2doctor.commands.versions import Tables
    from vc2doctor.linter.model import LintReport


def check(report: "Report") -> str:
    """Return an examination as an HTML page."""
    from vc2doctor.report.html import page  # noqa: PLC0415 - Jinja is installed only with the extra

    return page.check(report)


def lint(report: "LintReport") -> str:
    """Return the findings of the linter as an HTML page."""
    from vc2doctor.report.html import page  # noqa: PLC0415 - Jinja is installed only with the extra

    return page.lint(report)


def tables(report: "Tables") -> str:
    """Return the tables of the matrix as an HTML page."""
    from vc2doctor.report.html import page  # noqa: PLC0415 - Jinja is installed only with the extra

    return page.tables(report)


FORMAT = Format(
    "html",
    (".html", ".htm"),
    {"check": check, "lint": lint, "tables": tables},
    shows_map=True,
    requirements=("jinja2>=3.1",),
)
