"""The part of the linter's report that says what was read, what was left out, and what was not understood."""

from collections.abc import Iterator, Sequence

from vc2doctor.core.wording import counted
from vc2doctor.linter.model import Coverage, LintReport, NotUnderstood, Program
from vc2doctor.report.terminal.lines import Line, text_line

MAX_LISTED = 8
"""Places of one kind that are printed. The JSON report has all of them."""
_KINDS = {
    "file": "files that were not read",
    "dtype": "dtypes that only a run can tell",
    "launcher": "scripts whose launcher is not known",
    "program": "training code that no known program starts",
}


def render(report: LintReport, prefix: str) -> Iterator[Line]:
    """Yield the lines; ``prefix`` comes before each path."""
    coverage = report.coverage
    yield text_line(f"Read: {_files(coverage)}.", "dim", indent=2)
    yield text_line(f"Programs that train: {_programs(coverage.programs, prefix)}.", "dim", indent=2)
    if coverage.left_out:
        total = sum(each.files for each in coverage.left_out)
        yield text_line(f"Left out, with {counted(total, 'file')} of code:", "dim", indent=2)
        lines = [f"{prefix}{each.path} {each.reason} ({counted(each.files, 'file')})" for each in coverage.left_out]
        yield from _listed(lines, "To read one of them, name it on the command line.")
    if coverage.not_understood:
        yield text_line("Not understood, so that nothing is said of it:", "dim", indent=2)
        for kind, title in _KINDS.items():
            places = [each for each in coverage.not_understood if each.kind == kind]
            if places:
                yield text_line(f"{len(places)} {title}:", "dim", indent=4)
                yield from _listed([_place(each, prefix) for each in places])


def _files(coverage: Coverage) -> str:
    files = coverage.files
    kinds = (
        *((files.python, "Python file"), (files.notebooks, "notebook")),
        *((files.configurations, "configuration"), (files.scripts, "script"), (files.documents, "document")),
    )
    return ", ".join(counted(number, noun) for number, noun in kinds if number) or "no file"


def _programs(programs: Sequence[Program], prefix: str) -> str:
    places = [f"{prefix}{each.path}" + (f":{each.line}" if each.line else "") for each in programs]
    more = f" and {len(places) - MAX_LISTED} more" if len(places) > MAX_LISTED else ""
    return ", ".join(places[:MAX_LISTED]) + more if places else "none was found"


def _place(each: NotUnderstood, prefix: str) -> str:
    return f"{prefix}{each.path}" + (f":{each.line}" if each.line else "") + f"  {each.message}"


def _listed(lines: Sequence[str], hint: str = "") -> Iterator[Line]:
    yield from (text_line(line, "dim") for line in lines[:MAX_LISTED])
    if len(lines) > MAX_LISTED:
        yield text_line(f"and {len(lines) - MAX_LISTED} more; --format json lists them all.", "dim")
    if hint:
        yield text_line(hint, "dim")
