"""What the linter found, for people: the diagnosis first, then what stands alone; notes in one line each."""

from collections.abc import Iterator

from rich.text import Text

from vc2doctor.findings import Severity
from vc2doctor.linter.model import CodeFinding, Diagnosis, LintReport, undiagnosed
from vc2doctor.report.terminal.lines import OF_SEVERITY, Line, Marks, counted, plain

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


def render(report: LintReport, marks: Marks) -> Iterator[Line]:
    """Yield the report's lines."""
    # What is printed can be opened from where the doctor was started.
    prefix = "" if report.root == "." else f"{report.root}/"
    yield Line(Text(f"vc2doctor {report.doctor}: {report.files} files read in {report.seconds:.1f} s", "bold"))
    yield from _settings(report, marks)
    for diagnosis in report.diagnoses:
        yield Line(Text())
        yield from _diagnosis(diagnosis, marks, prefix)
    others = undiagnosed(report.findings, report.diagnoses)
    weighty = [finding for finding in others if finding.severity is not Severity.NOTE]
    for finding in weighty:
        yield Line(Text())
        yield from _finding(finding, marks, prefix)
    yield from _notes([finding for finding in others if finding.severity is Severity.NOTE], marks, prefix)
    if report.fix is not None:
        yield from _fixed(report, marks)
    yield Line(Text())
    yield _verdict(report, marks)


def _settings(report: LintReport, marks: Marks) -> Iterator[Line]:
    read = report.settings
    if read is None:
        return
    applied = [key for key in read.applied if key.startswith("lint.")]
    ignored = [key for key in read.ignored if key.startswith("lint.")]
    if applied:
        yield Line(Text(f"  settings of {plain(read.file)}: {', '.join(applied)}", "dim"))
    if ignored:
        mark, style = marks("warn")
        told = f"{read.file}: {', '.join(ignored)} was ignored: the file was found, and not named by --config"
        yield Line(Text.assemble("  ", (f"{mark} ", style), plain(told)))


def _diagnosis(diagnosis: Diagnosis, marks: Marks, prefix: str) -> Iterator[Line]:
    mark, style = marks(OF_SEVERITY[diagnosis.severity])
    yield Line(Text.assemble("  ", (f"{mark} {plain(diagnosis.title)}", style)))
    missed: str | None = None
    around: tuple[str, ...] = ()
    for number, place in enumerate(diagnosis.places, 1):
        for at, each in enumerate(place.places):
            head = f"{number:>3}. " if at == 0 else "     "
            role = f"  {place.id} {_ROLES[place.role]}: {plain(place.message)}" if at == 0 else ""
            yield Line(Text.assemble("    ", head, (plain(prefix + each.location), "bold"), role))
        # Which region is around a model is the launcher's choice, so it is told by entry point.
        entries = tuple(line for line in place.evidence if line.startswith("started by "))
        if entries != around:
            yield from (Line(Text(f"         {plain(line)}", "dim")) for line in entries)
        around = entries
        if place.if_missed and place.if_missed != missed:
            yield Line(Text(f"         if missed: {plain(place.if_missed)}", "dim"))
        missed = place.if_missed
    folder = f"{prefix}{diagnosis.unit}".rstrip("/") or "."
    yield Line(Text("      All of them at once, as a patch first:"))
    yield Line(Text(f"        vc2doctor lint --precision bf16 --fix --diff {plain(folder)}", "cyan"), is_command=True)


def _finding(finding: CodeFinding, marks: Marks, prefix: str) -> Iterator[Line]:
    mark, style = marks(OF_SEVERITY[finding.severity])
    first, *rest = finding.places
    yield Line(
        Text.assemble(
            "  ", (f"{mark} {finding.id} {finding.severity.value}", style), "  ", (plain(finding.message), "bold")
        )
    )
    yield Line(Text(f"      at {plain(prefix + first.location)}"))
    for place in rest:
        yield Line(Text(f"         {plain(prefix + place.location)}"))
    for evidence in finding.evidence:
        yield Line(Text(f"      {plain(evidence)}", "dim"))
    yield Line(Text(f"      {plain(finding.remedy)}"))


def _notes(notes: list[CodeFinding], marks: Marks, prefix: str) -> Iterator[Line]:
    if not notes:
        return
    mark, style = marks("note")
    yield Line(Text())
    for note in notes:
        for place in note.places:
            yield Line(
                Text.assemble(
                    "  ", (f"{mark} {note.id} note  {plain(prefix + place.location)}  ", style), plain(note.message)
                )
            )


def _fixed(report: LintReport, marks: Marks) -> Iterator[Line]:
    fixed = report.fix
    if fixed is None:
        return
    yield Line(Text())
    if fixed.refused:
        mark, style = marks("bad")
        yield Line(
            Text.assemble("  ", (f"{mark} Not fixed, nothing was written: the change would not be complete.", style))
        )
        for reason in fixed.refused:
            yield Line(Text(f"      {plain(reason)}"))
    elif not fixed.files:
        yield Line(Text("  Nothing to fix."))
    else:
        mark, style = marks("good")
        verb = "Fixed" if fixed.written else "Would fix"
        yield Line(
            Text.assemble("  ", (f"{mark} {verb} {len(fixed.files)} file{'s' if len(fixed.files) > 1 else ''}:", style))
        )
        for file in fixed.files:
            yield Line(Text(f"      {plain(file.path)}: {file.edits} edit{'s' if file.edits > 1 else ''}"))
    if report.plan.precision == "bf16" and fixed.files and not fixed.refused:
        yield Line(Text("      bfloat16 needs an Ampere or newer GPU; see that this environment has one, and trains:"))
        yield Line(Text("        vc2doctor check --precision bf16", "cyan"), is_command=True)
    for caution in fixed.cautions:
        mark, style = marks("warn")
        yield Line(Text.assemble("  ", (f"{mark} look at ", style), plain(caution)))


def _verdict(report: LintReport, marks: Marks) -> Line:
    left = f" {report.silenced} place{'s' if report.silenced > 1 else ''} ignored as told." if report.silenced else ""
    if report.switched_off:
        left += (
            f" {report.switched_off} finding{'s' if report.switched_off > 1 else ''} of rules that are switched off."
        )
    if not report.findings:
        mark, style = marks("good")
        return Line(Text.assemble((f"{mark} Nothing in this code contradicts itself.", style), left))
    worst = max(report.findings, key=lambda finding: finding.severity.rank).severity
    mark, style = marks(OF_SEVERITY[worst])
    return Line(Text.assemble((f"{mark} {counted(report.findings)}.", style), left))
