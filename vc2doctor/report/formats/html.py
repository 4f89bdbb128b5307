"""The tables of the matrix as one self-contained HTML page."""

from typing import TYPE_CHECKING

from vc2doctor.report.formats import Format

if TYPE_CHECKING:
    from vc2doctor.commands.versions import Tables


def tables(report: "Tables") -> str:
    """Return the tables as an HTML page."""
    from vc2doctor.report.terminal.matrix import tables_as_html  # noqa: PLC0415 - rich is slow to import

    return tables_as_html(report)


FORMAT = Format("html", (".html", ".htm"), {"tables": tables})
