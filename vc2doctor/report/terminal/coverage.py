"""What a verdict does not cover, and how old the matrix is, in words."""

from collections.abc import Iterator, Mapping, Sequence

from vc2doctor.commands.report import Report
from vc2doctor.core.wording import counted
from vc2doctor.matrix.coverage import NotJudged
from vc2doctor.report.terminal.lines import Line, labeled_line

MAX_LISTED = 4
"""Packages that the line of a verdict names; the others are counted."""


def render(report: Report, *, verbose: bool) -> Iterator[Line]:
    """Yield which packages the verdict on the versions of an examination does not cover, and the matrix's dates.

    If the training was seen to work here, it does not matter what the matrix could not have judged.
    """
    coverage = NotJudged() if report.verdict == "fit" and report.probe and not verbose else report.not_judged
    packages = {**coverage.imported, **coverage.common} if verbose else coverage.imported
    versions = [named(name, text) for name, text in packages.items()]
    unnamed = len(coverage.others) + (0 if verbose else len(coverage.common))
    others = counted(unnamed, "other package" if versions else "package") if unnamed else ""
    if versions or others:
        shown = ", ".join(versions) if verbose else listed(versions)
        yield labeled_line("Not judged", " and ".join(filter(None, (shown, others))))
    yield labeled_line("Matrix", " ".join(filter(None, (f"{report.matrix.sentence}.", report.matrix.warning))))


def not_judged(versions: Mapping[str, str]) -> str:
    """Return the end of a verdict that does not cover ``versions``: ``; not judged: torchao 0.10.0``."""
    entries = [named(name, text) for name, text in versions.items()]
    return f"; not judged: {listed(entries)}" if entries else ""


def named(name: str, text: str) -> str:
    """Return a package with a version, a range or neither: ``nonsense 1.0``, ``nonsense>=1`` or ``nonsense``."""
    return f"{name} {text}" if text[:1].isalnum() else f"{name}{text}"


def listed(entries: Sequence[str]) -> str:
    """Return the entries with commas between; of a long list the first ones, and how many more there are."""
    if len(entries) <= MAX_LISTED + 1:
        # `and 1 more` is not shorter than the name.
        return ", ".join(entries)
    return f"{', '.join(entries[:MAX_LISTED])} and {len(entries) - MAX_LISTED} more"
