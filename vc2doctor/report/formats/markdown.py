"""A report as Markdown (GitHub's and GitLab's): for the summary of a job, a comment, or an issue.

Texts of any source are escaped, so that they show as they are: no markup, no HTML, no table cell, no end of a fence.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from vc2doctor.core.printing import printable
from vc2doctor.findings import Severity
from vc2doctor.report.formats import Format
from vc2doctor.report.results import Result, Results, of_check, of_lint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vc2doctor.commands.report import Report
    from vc2doctor.findings import WaivedFinding
    from vc2doctor.linter.model import LintReport

MAX_RESULTS = 200
"""Findings that are shown; the others are counted. GitHub takes one MiB for the summary of a step."""
MAX_EVIDENCE_CHARACTERS = 2000
"""Of the evidence for one finding."""
_SPECIAL = re.compile(r"([\\`*_\[\]~$])")
"""Characters that can be markup anywhere in a line. CommonMark takes a backslash before each of them."""
_AT_START = re.compile(r"^(\d*)([-+#=.)])")
"""What can make the line that a text begins a heading or an item of a list."""
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_MARKS = {Severity.ERROR: "❌", Severity.WARNING: "⚠️", Severity.NOTE: "ℹ️"}  # noqa: RUF001 - the sign is meant
_SAFE_IN_LINKS = ":/?#&=%~._-+,;@"
_BACKSLASH = "\\"
_BACKTICKS = re.compile("`+")


def check(report: Report) -> str:
    """Return an examination as Markdown: the verdict, the findings, and what the probe saw."""
    return "\n".join((*_document(of_check(report)), *_waived(report.waived), *_kept(report), *_probe(report)))


def lint(report: LintReport) -> str:
    """Return the findings of the linter as Markdown."""
    return "\n".join((*_document(of_lint(report)), *_waived(report.waived)))


def _document(results: Results) -> Iterator[str]:
    mark = "❌" if results.exit_code else "✅"
    yield f"## {mark} vc2doctor {results.verb}: {escaped(results.verdict)}"
    yield ""
    yield escaped(results.sentence)
    yield ""
    shown = results.results[:MAX_RESULTS]
    for result in shown:
        if result.severity is not Severity.NOTE:
            yield from _section(result)
    yield from _notes([result for result in shown if result.severity is Severity.NOTE])
    if len(results.results) > len(shown):
        yield f"And {len(results.results) - len(shown)} more findings."
        yield ""


def _section(result: Result) -> Iterator[str]:
    yield f"### {_MARKS[result.severity]} {result.id} {result.severity.value}: {escaped(result.message)}"
    yield ""
    if result.diagnosis is not None:
        yield f"Part of: {escaped(result.diagnosis)}. All its places must change together."
        yield ""
    for place in filter(None, (result.place, *result.also)):
        yield f"* {code_span(place.text)}"
    if result.evidence:
        yield ""
        yield from fenced("\n".join(result.evidence)[:MAX_EVIDENCE_CHARACTERS], "text")
    yield ""
    if result.remedy:
        yield f"**Fix:** {escaped(result.remedy)}"
        yield ""
    for number, command in enumerate(result.commands):
        if number:
            yield "or"
            yield ""
        yield from fenced(command, "sh")
        yield ""
    if result.url.startswith(("https://", "http://")):
        yield f"<{_link(result.url)}>"
        yield ""


def _notes(notes: Sequence[Result]) -> Iterator[str]:
    if notes:
        rows = ((note.id, code_span(note.place.text) if note.place else "", escaped(note.message)) for note in notes)
        yield from _table(("note", "place", "what was seen"), rows)


def _waived(waived: Sequence[WaivedFinding]) -> Iterator[str]:
    from vc2doctor.report.terminal.waived import entries  # noqa: PLC0415 - rich is slow to import

    lines = [f"* {label}: {escaped(text)}" for label, text in entries(waived)]
    if lines:
        yield from (*lines, "")


def _kept(report: Report) -> Iterator[str]:
    if report.kept is not None:
        yield f"From the cache: examined at {code_span(report.kept.examined)}; nothing has changed since."
        yield ""


def _probe(report: Report) -> Iterator[str]:
    if report.probe is None:
        return
    recipes = (
        (code_span(each.recipe), escaped(each.outcome or "unknown"), escaped(each.description))
        for each in report.probe.recipes
    )
    yield from _table(("recipe", "outcome", "what was seen"), recipes)
    if report.plan.recipes_left_out:
        names = ", ".join(map(code_span, report.plan.recipes_left_out))
        yield f"Not run: {names}. Nothing that was read trains in them."
        yield ""
    doors = (
        (escaped(each.title), escaped(each.outcome or "unknown"), escaped(each.description))
        for each in report.probe.doors
    )
    yield from _table(("trained through", "outcome", "what was seen"), doors)


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    listed = list(rows)
    if listed:
        yield f"| {' | '.join(head)} |"
        yield "|" + "---|" * len(head)
        for row in listed:
            # A pipe ends a cell even within code.
            yield f"| {' | '.join(cell.replace('|', f'{_BACKSLASH}|') for cell in row)} |"
        yield ""


def escaped(text: str) -> str:
    """Return a text so that Markdown shows it as it is, on one line."""
    with_entities = "".join(_HTML.get(character, character) for character in printable(text))
    # The entities hold no special character, and the ampersands of the text were replaced before.
    one_line = _SPECIAL.sub(r"\\\1", with_entities).replace("\n", " ").replace("\t", " ")
    return _AT_START.sub(r"\1\\\2", one_line)


def code_span(text: str) -> str:
    """Return a text as code within a line."""
    fence = "`" * (_longest_backticks(text) + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    one_line = text.replace("\n", " ")
    return f"{fence}{pad}{one_line}{pad}{fence}"


def fenced(text: str, language: str) -> Iterator[str]:
    """Yield the lines of a block of code; its fence is longer than every run of backticks in the text."""
    fence = "`" * max(3, _longest_backticks(text) + 1)
    yield f"{fence}{language}"
    yield text
    yield fence


def _longest_backticks(text: str) -> int:
    return max(map(len, _BACKTICKS.findall(text)), default=0)


def _link(url: str) -> str:
    return quote(url, safe=_SAFE_IN_LINKS)


FORMAT = Format("markdown", (".md", ".markdown"), {"check": check, "lint": lint})
