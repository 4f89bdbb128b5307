"""A report as plain text: what a terminal shows, without color and without wrapping."""

from typing import Any

from vc2doctor.report.formats import Format


def _plain(kind: Any) -> Any:  # noqa: ANN401 - a kind of report, and its renderer
    def render(report: Any) -> str:  # noqa: ANN401 - a report of that kind
        from vc2doctor.report import terminal  # noqa: PLC0415 - rich is slow to import, and only text needs it

        return terminal.plain(kind, report)

    return render


FORMAT = Format(
    "text",
    (".txt",),
    {"check": _plain("check"), "lint": _plain("lint"), "versions": _plain("versions"), "tables": _plain("tables")},
)
