"""The tables of the matrix as one HTML page that needs nothing else."""

from typing import TYPE_CHECKING

from vc2doctor.report.formats import Format

if TYPE_CHECKING:
    from vc2doctor.commands.versions import Tables


def tables(report: "Tables") -> str:
    """Return the tables as a page."""
    from vc2doctor.report.terminal.matrix import page  # noqa: PLC0415 - rich is slow to import

    return page(report)


FORMAT = Format("html", (".html", ".htm"), {"tables": tables})
