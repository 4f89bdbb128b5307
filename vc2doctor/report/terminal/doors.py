"""The doors in the report for people: the ways into the stack that were tried."""

from collections.abc import Iterable, Iterator

from vc2doctor.probe.doors import DoorOutcome
from vc2doctor.report.terminal.lines import Line, Marks, probe_row

_MARK_OF_OUTCOME = {"passed": "good", "failed": "bad", "imported": "note", "unsupported": "none", None: "none"}


def render(outcomes: Iterable[DoorOutcome], marks: Marks) -> Iterator[Line]:
    """Yield a row for each door that was trained through, and for each that fails."""
    for outcome in outcomes:
        if outcome.matters or outcome.outcome == "failed":
            mark = marks(_MARK_OF_OUTCOME[outcome.outcome])
            yield probe_row(mark, outcome.title, outcome.outcome or "not measured", outcome.description)
