"""A report as plain text: as on a terminal, without color and without wrapping."""

from collections.abc import Callable
from typing import Any

from vc2doctor.report.formats import Format, ReportKind


def _renderer(kind: ReportKind) -> Callable[[Any], str]:
    def render(report: Any) -> str:  # noqa: ANN401 - a report of that kind
        from vc2doctor.report import terminal  # noqa: PLC0415 - rich is slow to import, and only text needs it

        return terminal.plain_text(kind, report)

    return render


FORMAT = Format(
    "text",
    (".txt",),
    {
        "check": _renderer("check"),
        "lint": _renderer("lint"),
        "versions": _renderer("versions"),
        "tables": _renderer("tables"),
        "needs": _renderer("needs"),
    },
)
