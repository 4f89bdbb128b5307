"""The report of ``needs`` for people: each program with its windows, their ends, and a measured set."""

from collections.abc import Iterator

from vc2doctor.commands.needs import NeededName, NeedsReport, PackageWindow, ProgramNeeds
from vc2doctor.core import shell
from vc2doctor.core.wording import counted, enumerated
from vc2doctor.matrix.judge import Verdict
from vc2doctor.report.terminal.lines import Line, Marks, command_line, text_line
from vc2doctor.report.terminal.styled import Text

MAX_PROGRAMS = 4
"""Programs with the same needs that are named; of the others only the number is told."""


def render(report: NeedsReport, marks: Marks) -> Iterator[Line]:
    """Yield the lines of the report."""
    title = f"vc2doctor {report.doctor}: {counted(report.files, 'file')} read, releases of {report.table_date}"
    yield Line(Text(title, "bold"))
    for program in report.programs:
        yield Line(Text())
        yield from _program(program, marks)
    if report.unread:
        yield Line(Text())
        yield text_line(f"Not read, so what they use is not known: {', '.join(report.unread)}.", indent=2)
    yield Line(Text())
    yield verdict_line(report, marks)


def verdict_line(report: NeedsReport, marks: Marks) -> Line:
    """Return the last line: whether every program has releases that it can run with."""
    if report.verdict == "unknown":
        mark, style = marks("warn")
        text = (
            "Nothing is known: no program here uses a name of transformers, peft, trl, accelerate or bitsandbytes that"
            " not every release has."
        )
    elif report.verdict == "unsatisfiable":
        mark, style = marks("bad")
        text = (
            "A program has no release that holds all that it uses, or the project asks for others, or pins versions"
            " that do not train together."
        )
    else:
        mark, style = marks("good")
        text = (
            "Every program has releases in which all that it imports and passes exists. Names are compared, behavior is"
            " not."
        )
    return Line(Text.assemble((f"{mark} {text}", style)), hang=2)


def _program(program: ProgramNeeds, marks: Marks) -> Iterator[Line]:
    names = ", ".join(program.programs[:MAX_PROGRAMS])
    more = len(program.programs) - MAX_PROGRAMS
    yield Line(Text.assemble("  ", (names, "bold"), f" and {more} more" if more > 0 else ""), hang=2)
    for window in program.windows:
        yield from _window(window, marks)
    if program.pinned is not None and program.pinned.verdict is Verdict.INCOMPATIBLE:
        mark, style = marks("bad")
        together, files = enumerated(program.pinned.requirements), enumerated(program.pinned.files)
        reason = program.pinned.reason.partition("; ")[0]
        sentence = f"{together} do not train together, although they are pinned in {files}: {reason}"
        yield Line(Text.assemble("    ", (f"{mark} ", style), sentence), hang=6)
    measured = program.measured
    if measured is not None:
        without = (
            f" It does not record {enumerated(tuple(measured.beside))}: add what the window says."
            if measured.beside
            else ""
        )
        text = (
            f"Measured to train: Python {measured.python} on {measured.device}, {measured.date}, cell"
            f" {measured.cell}.{without}"
        )
        yield text_line(text, indent=4)
        pins = [f"{name}=={version}" for name, version in measured.versions.items()]
        others = [f"{name}{specifier}" for name, specifier in measured.beside.items()]
        yield command_line(shell.join(["pip", "install", *pins, *others]))
    elif all(window.first for window in program.windows):
        yield text_line("No set of versions in these windows was measured to train.", indent=4)


def _window(window: PackageWindow, marks: Marks) -> Iterator[Line]:
    if not window.first:
        mark, style = marks("bad")
        yield Line(Text.assemble("    ", (f"{mark} {window.package}: no release has all of these", style)))
        for name in window.conflict:
            yield text_line(f"{_place(name)} {name.label}: {name.missing_in} {name.problem or 'lacks it'}", indent=8)
        return
    text = f"{window.package} {_releases(window)}"
    yield Line(Text.assemble("    ", (text, "bold"), f"  ({counted(window.minor_releases, 'minor release')})"), hang=6)
    for end in (window.lower, window.upper):
        if end is not None:
            fault = f"{end.problem} ({end.label})" if end.problem else f"lacks {end.label}"
            yield text_line(f"{end.missing_in} {fault}: {_place(end)}", indent=8)
    for name in window.only_in_branches:
        fault = f"{name.missing_in} {name.problem or 'lacks it'}"
        yield text_line(f"{_place(name)} {name.label}, under a condition, does not count: {fault}", indent=8)
    if window.required_fits is not None:
        mark, style = marks("good" if window.required_fits else "bad")
        fits = "lies in this window" if window.required_fits else "lies outside this window"
        yield Line(Text.assemble("        ", (f"{mark} ", style), f"{window.required} {fits}"), hang=10)


def _releases(window: PackageWindow) -> str:
    if window.is_open_below and window.is_open_above:
        return "any release that was read"
    if window.is_open_above:
        return f"{window.first} and newer"
    return f"{window.last} and older" if window.is_open_below else f"{window.first} to {window.last}"


def _place(name: NeededName) -> str:
    return f"{name.path}:{name.line}"
