"""Rows that do not affect the verdict, folded into one line."""

from collections.abc import Collection, Mapping, Sequence

from vc2doctor.core.wording import counted
from vc2doctor.report.terminal.lines import Line
from vc2doctor.report.terminal.styled import Text

_INDENT = 4
SEE_VERBOSE = "; see -v"
"""Ends a line about what is not shown."""


def folded_line(noun: str, names_by_outcome: Mapping[str, Sequence[str]], unnamed: Collection[str]) -> Line:
    """Return one line for rows that are not shown: how many there are, and the names of all that need a second look.

    ``names_by_outcome`` maps an outcome in words to the names of its rows. The rows of the outcomes ``unnamed`` are
    only counted: ``7 other recipes: 6 finite, 1 not finite (fp16-unscaled); see -v``.
    """
    groups = [
        f"{len(names)} {outcome}" if outcome in unnamed else f"{len(names)} {outcome} ({', '.join(names)})"
        for outcome, names in names_by_outcome.items()
        if names
    ]
    total = sum(map(len, names_by_outcome.values()))
    text = f"{counted(total, noun)}: {', '.join(groups)}{SEE_VERBOSE}"
    return Line(Text(f"{' ' * _INDENT}{text}", "dim"), hang=_INDENT)
