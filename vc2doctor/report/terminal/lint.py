"""The linter's report for people: diagnoses first, then single findings, then notes with one line each."""

from collections.abc import Iterator

from vc2doctor.core.invocation import BF16_PATCH, Invocation
from vc2doctor.core.wording import counted
from vc2doctor.findings import Severity
from vc2doctor.linter.model import CodeFinding, Diagnosis, LintReport, undiagnosed
from vc2doctor.report.terminal import fix as fixes
from vc2doctor.report.terminal import lint_coverage as coverage
from vc2doctor.report.terminal import waived
from vc2doctor.report.terminal.lines import (
    MARK_OF_SEVERITY,
    Line,
    Marks,
    command_line,
    text_line,
)
from vc2doctor.report.terminal.styled import Text

_ROLES = {
    "helper": "decides: the default of the helper",
    "weights": "weights",
    "outer": "outer region",
    "region": "region",
    "cast": "cast",
    "scaler": "loss scaling",
    "config": "configuration",
    "launch": "launch",
    "other": "place",
}
_SILENCING_KEYS = ("lint.select", "lint.extend-select", "lint.ignore", "lint.per-file-ignores", "lint.exclude")
_OF_LINT = ("lint.", "policy.")
"""How the keys of a settings file begin that concern the linter."""
_ENTRY_POINT_PREFIX = "started by "
"""Evidence that begins so names the entry point that decides which region is around a place."""


def render(report: LintReport, marks: Marks) -> Iterator[Line]:
    """Yield the lines of the report."""
    prefix = _prefix(report)
    if report.verdict == "not-judged":
        # First, so that nobody takes a short report for a good one.
        yield verdict_line(report, marks)
    title = f"vc2doctor {report.doctor}: {counted(report.files, 'file')} read in {report.seconds:.1f} s"
    yield Line(Text(title, "bold"))
    yield from _settings(report, marks)
    for diagnosis in report.diagnoses:
        yield Line(Text())
        yield from _diagnosis(diagnosis, marks, prefix, report.plan.invocation)
    single_findings = undiagnosed(report.findings, report.diagnoses)
    for finding in single_findings:
        if finding.severity is not Severity.NOTE:
            yield Line(Text())
            yield from _finding(finding, marks, prefix)
    yield from _notes([finding for finding in single_findings if finding.severity is Severity.NOTE], marks, prefix)
    if report.fix is not None:
        yield from fixes.render(report.fix, marks, report.plan, prefix, report.findings)
    yield Line(Text())
    yield from coverage.render(report, prefix)
    yield Line(Text())
    yield from waived.render(report.waived)
    yield verdict_line(report, marks)


def _settings(report: LintReport, marks: Marks) -> Iterator[Line]:
    settings = report.settings
    if settings is None:
        return
    applied = [key for key in settings.applied if key.startswith(_OF_LINT)]
    ignored = [key for key in settings.ignored if key.startswith(_OF_LINT)]
    if applied:
        where = " (in a folder above)" if settings.is_above else ""
        yield text_line(f"settings from {settings.file}{where}: {', '.join(applied)}", "dim", indent=2)
    mark, style = marks("warn")
    if settings.misspelled:
        names = ", ".join(f"[{name}]" for name in settings.misspelled)
        message = f"nothing reads {names} of {settings.file}. Did you mean [tool.vc2doctor]?"
        yield Line(Text.assemble("  ", (f"{mark} ", style), message))
    if ignored:
        message = f"settings in {settings.file} were ignored: {', '.join(ignored)}. Pass the file with --config."
        yield Line(Text.assemble("  ", (f"{mark} ", style), message))


def _diagnosis(diagnosis: Diagnosis, marks: Marks, prefix: str, invocation: Invocation) -> Iterator[Line]:
    mark, style = marks(MARK_OF_SEVERITY[diagnosis.severity])
    yield Line(Text.assemble("  ", (f"{mark} {diagnosis.title}", style)))
    previous: CodeFinding | None = None
    for number, finding in enumerate(diagnosis.places, 1):
        yield from _numbered_places(number, finding, prefix)
        # Consecutive places often share an entry point or a consequence. It is printed once.
        entry_points = _entry_points(finding)
        if previous is None or entry_points != _entry_points(previous):
            yield from (text_line(line, "dim", indent=9) for line in entry_points)
        if finding.if_missed and (previous is None or finding.if_missed != previous.if_missed):
            yield text_line(f"if missed: {finding.if_missed}", "dim", indent=9)
        previous = finding
    folder = f"{prefix}{diagnosis.unit}".rstrip("/") or "."
    advice = "Change all of them together."
    if diagnosis.severity is Severity.NOTE:
        advice = "Nothing has to change. For bfloat16, change all of them together."
    yield text_line(f"{advice} See the change as a patch first:")
    yield command_line(invocation.again(*BF16_PATCH, arguments=(folder,)))


def _numbered_places(number: int, finding: CodeFinding, prefix: str) -> Iterator[Line]:
    """Yield a line for each place of a finding; the first has the number, the role and the message."""
    first, *others = finding.places
    role = f"  {finding.id} {_ROLES[finding.role]}: {finding.message}"
    yield Line(Text.assemble("    ", f"{number:>3}. ", (prefix + first.location, "bold"), role))
    for place in others:
        yield Line(Text.assemble("    ", "     ", (prefix + place.location, "bold")))


def _entry_points(finding: CodeFinding) -> tuple[str, ...]:
    return tuple(line for line in finding.evidence if line.startswith(_ENTRY_POINT_PREFIX))


def _finding(finding: CodeFinding, marks: Marks, prefix: str) -> Iterator[Line]:
    mark, style = marks(MARK_OF_SEVERITY[finding.severity])
    head = f"{mark} {finding.id} {finding.severity.value}"
    yield Line(Text.assemble("  ", (head, style), "  ", (finding.message, "bold")))
    first, *others = finding.places
    yield text_line(f"at {prefix}{first.location}")
    for place in others:
        yield text_line(f"{prefix}{place.location}", indent=9)
    for evidence in finding.evidence:
        yield text_line(evidence, "dim")
    yield text_line(finding.remedy)


def _notes(notes: list[CodeFinding], marks: Marks, prefix: str) -> Iterator[Line]:
    if not notes:
        return
    mark, style = marks("note")
    yield Line(Text())
    for note in notes:
        first, *others = note.places
        more = f" and {counted(len(others), 'more place')}" if others else ""
        head = f"{mark} {note.id} note  {prefix + first.location}{more}  "
        yield Line(Text.assemble("  ", (head, style), note.message))


def refusal(report: LintReport, marks: Marks) -> Iterator[Line]:
    """Yield the lines about the fixes that were refused."""
    if report.fix is not None:
        yield from fixes.refusal(report.fix, marks, _prefix(report))


def _prefix(report: LintReport) -> str:
    # The printed paths are relative to the working directory, so that a terminal or an editor can open them.
    return "" if report.root == "." else f"{report.root}/"


def verdict_line(report: LintReport, marks: Marks) -> Line:
    """Return the line with the verdict: the number of findings, or why there is none, and what was silenced."""
    totals = report.totals
    counts = (
        *((totals.diagnoses, "diagnosis" if totals.diagnoses == 1 else "diagnose"),),
        *((totals.errors, "error"), (totals.warnings, "warning"), (totals.notes, "note")),
    )
    found = ", ".join(counted(number, noun) for number, noun in counts if number)
    if report.verdict == "not-judged":
        kind, verdict = "warn", " ".join(("Not judged.", *report.coverage.not_judged, f"{found}." if found else ""))
    elif report.verdict == "clean":
        kind, verdict = "none", _nothing_found(report)
    else:
        diagnosed = [diagnosis.severity for diagnosis in report.diagnoses]
        alone = [finding.severity for finding in undiagnosed(report.findings, report.diagnoses)]
        worst = max((*diagnosed, *alone), key=lambda severity: severity.rank)
        kind, verdict = MARK_OF_SEVERITY[worst], f"{found}."
    mark, style = marks(kind)
    return Line(Text.assemble((f"{mark} {verdict.strip()}", style), _silenced(report)))


def _nothing_found(report: LintReport) -> str:
    unclear = len(report.coverage.not_understood)
    if not unclear:
        return "No rule fired on the code above."
    return f"No rule fired on the code above, and {counted(unclear, 'place')} in it {_was(unclear)} not understood."


def _was(number: int) -> str:
    return "was" if number == 1 else "were"


def _silenced(report: LintReport) -> str:
    silenced = ""
    if report.silenced:
        silenced += f" {counted(report.silenced, 'place')} ignored by comments or per-file ignores."
    if report.switched_off:
        silenced += f" {counted(report.switched_off, 'finding')} of rules that are off."
    keys = report.settings.chose(*_SILENCING_KEYS) if report.settings is not None else ()
    if silenced and report.settings is not None and keys:
        # The file that weakens a gate is named in the line that everyone reads.
        silenced += f" {report.settings.description} sets {', '.join(keys)}."
    return silenced
