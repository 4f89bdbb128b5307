"""What the formats for other programs show of a report: the verdict, and each finding once with its places.

All texts are made printable here. What else a format must escape is its own matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vc2doctor.commands import fingerprints
from vc2doctor.core.printing import printable
from vc2doctor.findings import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vc2doctor.commands.report import Report
    from vc2doctor.findings import Finding, WaivedFinding
    from vc2doctor.linter.model import CodeFinding, LintReport, Replacement


class Place(NamedTuple):
    """Lines of a file of the project."""

    path: str
    """Relative to the working directory, with slashes, or absolute."""
    line: int | None = None
    """``None``: the file as a whole."""
    end_line: int | None = None
    text: str = ""
    """The place as people read it: ``train.ipynb#cell3:4``."""


class Change(NamedTuple):
    """A part of a file, and the text that takes its place. Lines and columns count from 1, columns in characters."""

    path: str
    line: int
    column: int
    end_line: int
    end_column: int
    """The first column behind the part."""
    text: str


class Result(NamedTuple):
    """A finding as the formats show it."""

    id: str
    severity: Severity
    message: str
    evidence: tuple[str, ...]
    remedy: str
    commands: tuple[str, ...]
    url: str
    place: Place | None
    """``None``: it is about the environment, and the project has no line that asks for what it is about."""
    also: tuple[Place, ...] = ()
    diagnosis: str | None = None
    """The title of the diagnosis that it belongs to: its places must change together."""
    changes: tuple[Change, ...] = ()
    """The fix of the linter; empty: there is none that is safe."""
    fingerprint: str = ""
    """The same in every run, also if the lines above the place change. No two results have the same."""
    justification: str | None = None
    """Why the team hides it; ``None``: it counts."""


class Results(NamedTuple):
    """A report as the formats show it."""

    verb: str
    doctor: str
    verdict: str
    """One word."""
    sentence: str
    """The verdict in words."""
    exit_code: int
    seconds: float
    fail_on: Severity
    results: tuple[Result, ...]
    hidden: tuple[Result, ...] = ()
    """What a policy silences or a baseline holds. It does not count."""

    def fails(self, result: Result) -> bool:
        """Return whether a result is one of those that end the command with 1."""
        return result.severity.rank >= self.fail_on.rank


def of_check(report: Report) -> Results:
    """Return the results of an examination."""
    waived = (_of_waived(each, fingerprints.path_of(each)) for each in report.waived if each.is_hidden)
    hidden, results = _fingerprinted(waived, map(_of_finding, report.findings))
    return Results(
        verb=report.plan.invocation.verb,
        doctor=report.doctor,
        verdict=report.verdict,
        sentence=_sentence("check", report),
        exit_code=report.exit_code,
        seconds=report.seconds,
        fail_on=report.plan.fail_on,
        results=results,
        hidden=hidden,
    )


def of_lint(report: LintReport) -> Results:
    """Return the results of the linter; every place of a diagnosis is one."""
    root = "" if report.root == "." else f"{report.root}/"
    waived = (_of_waived(each, f"{root}{each.path}") for each in report.waived if each.is_hidden)
    hidden, results = _fingerprinted(waived, _of_code_findings(report, root))
    return Results(
        verb="lint",
        doctor=report.doctor,
        verdict=report.verdict,
        sentence=_sentence("lint", report),
        exit_code=report.exit_code,
        seconds=report.seconds,
        fail_on=Severity(report.plan.fail_on),
        results=results,
        hidden=hidden,
    )


def _sentence(kind: str, report: Report | LintReport) -> str:
    from vc2doctor.report import terminal  # noqa: PLC0415 - rich is slow to import

    return terminal.sentence("check" if kind == "check" else "lint", report)


def _of_code_findings(report: LintReport, root: str) -> Iterator[Result]:
    titles = {place.key: diagnosis.title for diagnosis in report.diagnoses for place in diagnosis.places}
    for finding in fingerprints.with_diagnosed(report.findings, report.diagnoses):
        yield _of_code_finding(finding, root, titles.get(finding.key))


def _of_finding(finding: Finding) -> Result:
    path = fingerprints.path_of(finding)
    if path is None:
        return _result(finding, None)
    line = finding.manifest.line if finding.manifest is not None else finding.line
    return _result(finding, _place(path, line, None))


def _of_waived(waived: WaivedFinding, path: str | None) -> Result:
    line = waived.manifest.line if waived.manifest is not None else waived.line
    until = f" (until {waived.expires})" if waived.expires is not None else ""
    return Result(
        id=waived.id,
        severity=waived.severity,
        message=printable(waived.message),
        evidence=(),
        remedy="",
        commands=(),
        url=printable(waived.url),
        place=_place(path, line, None) if path is not None else None,
        justification=printable(f"{waived.reason}{until}"),
    )


def _of_code_finding(finding: CodeFinding, root: str, title: str | None) -> Result:
    first, *others = (_place(f"{root}{place.path}", place.line, place.end_line) for place in finding.places)
    return _result(finding, first)._replace(
        also=tuple(others),
        diagnosis=printable(title) if title is not None else None,
        changes=tuple(_change(replacement, root) for replacement in finding.replacements),
    )


def _result(finding: Finding, place: Place | None) -> Result:
    return Result(
        id=finding.id,
        severity=finding.severity,
        message=printable(finding.message),
        evidence=tuple(map(printable, finding.evidence)),
        remedy=printable(finding.remedy),
        commands=tuple(map(printable, finding.commands)),
        url=printable(finding.url),
        place=place,
    )


def _place(path: str, line: int | None, end_line: int | None) -> Place:
    text = printable(f"{path}:{line}" if line else path)
    file = fingerprints.file_of(path)
    # The lines of a cell are not those of the notebook.
    return Place(file, text=text) if fingerprints.is_cell(path) else Place(file, line, end_line, text)


def _change(replacement: Replacement, root: str) -> Change:
    # Not made printable: it is code that is put into a file, and JSON escapes what is not printable.
    return Change(
        fingerprints.file_of(f"{root}{replacement.path}"),
        replacement.line,
        replacement.column,
        replacement.end_line,
        replacement.end_column,
        replacement.text,
    )


def _fingerprinted(
    hidden: Iterable[Result], counting: Iterable[Result]
) -> tuple[tuple[Result, ...], tuple[Result, ...]]:
    """Return both with fingerprints. A baseline holds the first of equal findings, so the hidden ones come first."""
    first, second = tuple(hidden), tuple(counting)
    listed = first + second
    names = fingerprints.of_rows((each.id, each.place.path if each.place else "", each.message) for each in listed)
    named = tuple(result._replace(fingerprint=name) for result, name in zip(listed, names, strict=True))
    return named[: len(first)], named[len(first) :]
