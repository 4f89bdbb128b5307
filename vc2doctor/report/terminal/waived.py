"""What a report says about the findings that a policy or a baseline downgraded or silenced: all formats for people."""

from collections.abc import Iterator, Sequence

from vc2doctor.core.wording import counted
from vc2doctor.findings import WaivedFinding
from vc2doctor.report.terminal.lines import Line, labeled_line

MAX_SHOWN = 5
"""Entries with a line of their own; the others are counted. The JSON report has all of them."""

MAX_HIDDEN = 3
"""Findings of a baseline that are named; the others are counted."""


def render(waived: Sequence[WaivedFinding]) -> Iterator[Line]:
    """Yield a line for each finding that a policy waived, and one for those in the baseline."""
    for label, text in entries(waived):
        yield labeled_line(label, text)


def entries(waived: Sequence[WaivedFinding]) -> Iterator[tuple[str, str]]:
    """Yield a label and a text for each finding that a policy waived, and for those in the baseline together."""
    by_policy = [each for each in waived if each.became != "baseline"]
    for each in by_policy[:MAX_SHOWN]:
        yield "Waived", in_words(each)
    if len(by_policy) > MAX_SHOWN:
        yield "Waived", f"{counted(len(by_policy) - MAX_SHOWN, 'more finding')}; the JSON report has all"
    hidden = [each for each in waived if each.became == "baseline"]
    if hidden:
        yield "Baseline", _hidden(hidden)


def _hidden(waived: Sequence[WaivedFinding]) -> str:
    """Return which findings a baseline hides: the first by name, and how many more."""
    verb = "is" if len(waived) == 1 else "are"
    names = [" ".join(filter(None, (each.id, each.place))) for each in waived[:MAX_HIDDEN]]
    more = f" and {len(waived) - len(names)} more" if len(waived) > len(names) else ""
    file = waived[0].baseline or "the baseline"
    return f"{counted(len(waived), 'finding')} {verb} hidden by {file}: {', '.join(names)}{more}"


def in_words(waived: WaivedFinding) -> str:
    """Return what was waived, until when, and why."""
    effect = "silenced" if waived.became == "off" else f"{waived.severity.value} made {waived.became}"
    until = f" until {waived.expires}" if waived.expires is not None else ""
    place = f" at {waived.place}" if waived.place is not None else ""
    return f"{waived.id}{place}, {effect}{until}: {waived.reason}"
