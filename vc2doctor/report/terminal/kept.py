"""Says that an answer is from the cache, and of when."""

from collections.abc import Iterator

from vc2doctor.commands.report import Report
from vc2doctor.core.wording import counted
from vc2doctor.report.terminal.lines import Line, labeled_line

_MINUTE, _HOUR = 60, 3600


def render(report: Report) -> Iterator[Line]:
    """Yield the line about a kept answer; none if it is new."""
    sentence = in_words(report)
    if sentence:
        yield labeled_line("From cache", sentence)


def in_words(report: Report) -> str:
    """Return when the answer was found, and why it still holds; empty if it is new."""
    if report.kept is None:
        return ""
    examined = report.kept.examined.replace("T", " ").replace("+00:00", " UTC")
    return (
        f"examined {_ago(report.kept.age_seconds)} ({examined}), and nothing that the answer depends on has changed"
        " since. --fresh examines again."
    )


def _ago(seconds: float) -> str:
    if seconds < _MINUTE:
        return f"{counted(round(seconds), 'second')} ago"
    if seconds < _HOUR:
        return f"{counted(round(seconds / _MINUTE), 'minute')} ago"
    return f"{counted(round(seconds / _HOUR), 'hour')} ago"
