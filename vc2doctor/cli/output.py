"""Where a report goes: the terminal, and files."""

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from vc2doctor.core import writing
from vc2doctor.core.data import Data, OwnData, with_texts
from vc2doctor.core.printing import printable, printable_patch
from vc2doctor.core.redaction import redact
from vc2doctor.core.wording import counted
from vc2doctor.report import formats

if TYPE_CHECKING:
    from vc2doctor.commands.report import Report
    from vc2doctor.commands.settings import LoadedSettings
    from vc2doctor.findings import Finding, WaivedFinding
    from vc2doctor.linter.model import LintReport


REDACT = "vc2doctor.redact"
"""The key in the context of click that is set by ``--redact``."""
_FORMAT_NAME = re.compile(r"[a-z][a-z0-9-]+")
"""What stands before the colon of ``FORMAT:FILE``. A path with a colon has a slash or a dot before it, or gets one."""
_REDACTION_NOTE = (
    "This report names your home folder, your user or your machine. Pass --redact before you paste it in public."
)


class OutputFile(NamedTuple):
    """A file that a report is written to."""

    format: str | None
    """``None``: that of ``--format``."""
    path: Path


class Output(OwnData):
    """The format of a report on standard output, and the files that it is written to."""

    format: str = "text"
    files: tuple[OutputFile, ...] = ()
    job_summary: Path | None = None
    """The file of GitHub Actions that the report is added to as Markdown; ``None``: none was asked for."""
    verbose: bool = False
    """Whether the text report on an examination is shown in full."""

    @property
    def formats(self) -> frozenset[str]:
        """The names of all formats that the report is rendered in."""
        files = {file.format or self.format for file in self.files}
        return frozenset({self.format, *files, *(("markdown",) if self.job_summary is not None else ())})

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files that the report is written to."""
        return (*(file.path for file in self.files), *filter(None, (self.job_summary,)))

    @property
    def shows_fixes(self) -> bool:
        """Whether one of the formats shows the fix of each of the linter's findings."""
        return any(formats.known()[name].shows_fixes for name in self.formats)

    @property
    def shows_map(self) -> bool:
        """Whether one of the formats shows the map of transformers and peft."""
        return any(formats.known()[name].shows_map for name in self.formats)


def output_file(kind: formats.ReportKind, text: str) -> OutputFile:
    """Return the file that ``FILE`` or ``FORMAT:FILE`` names, with the format that the text or the suffix says.

    Raises:
        BadParameter: there is no such format, or it does not show reports of ``kind``.
    """
    word, colon, rest = text.partition(":")
    if colon and _FORMAT_NAME.fullmatch(word):
        name, path = word, rest
        if name not in formats.known():
            message = f"there is no format {name!r}; choose from {_names(kind)}. If it begins the name: ./{text}"
            raise click.BadParameter(message)
        if not path:
            message = f"{text!r} names no file behind the colon."
            raise click.BadParameter(message)
    else:
        name, path = formats.for_file(kind, text) or "", text
    if name and name not in formats.names(kind):
        message = f"{text}: the format {name} does not show this report; choose from {_names(kind)}."
        raise click.BadParameter(message)
    return OutputFile(name or None, Path(path))


def _names(kind: formats.ReportKind) -> str:
    return ", ".join(formats.names(kind))


def output_of(
    options: dict[str, Any], loaded: "LoadedSettings", explicit: frozenset[str], *, kind: formats.ReportKind = "check"
) -> Output:
    """Remove the options of the output from ``options``; return them completed by the settings that count, and checked.

    Raises:
        MissingPackagesError: a format needs packages that are not installed.
        OutputError: a file cannot be written.
        UsageError: the settings name a format that does not exist, or one file is named twice.
    """
    output: Output = options.pop("output").model_copy(update={"verbose": options.pop("verbose", False)})
    settings = loaded.settings
    # The parameter of the option --format is called `form`; click puts both options into one value.
    if settings.format is not None and "form" not in explicit:
        if settings.format not in formats.names(kind):
            file = loaded.applied.file if loaded.applied else "settings"
            message = f"{file}: there is no format {settings.format!r}; choose from {_names(kind)}"
            raise click.UsageError(message)
        output = output.model_copy(update={"format": settings.format})
    if settings.output is not None and not output.files:
        text = str(settings.output)
        # With a slash before it, a colon is part of the name.
        chosen = output_file(kind, text if "/" in text else f"./{text}")
        output = output.model_copy(update={"files": (chosen,)})
    check_usable(output, options.get("baseline") or settings.baseline)
    return output


def check_usable(output: Output, baseline: Path | None = None) -> None:
    """Check that the formats of ``output`` can be rendered and its files be written, before the work begins.

    Raises:
        MissingPackagesError: a format needs packages that are not installed.
        OutputError: a file cannot be written.
        UsageError: two reports, or a report and the baseline, would be written to one file.
    """
    _check_distinct([*(file.path for file in output.files), *filter(None, (baseline,))])
    for name in sorted(output.formats):
        formats.check_ready(name)
    for path in output.paths:
        writing.check_output(path)


def _check_distinct(paths: Sequence[Path]) -> None:
    seen: set[str] = set()
    for path in paths:
        real = os.path.realpath(path)
        # Reports that go to one device or pipe do not replace each other.
        if real in seen and (os.path.isfile(real) or not os.path.exists(real)):  # noqa: PTH110, PTH113 - any text
            message = f"{path} is named twice, and one content would replace the other. Name another file."
            raise click.UsageError(message)
        seen.add(real)


def echo(text: str, *, err: bool = False) -> None:
    """Print a text of any source, and a line break, to standard output or, with ``err``, to standard error."""
    print_text(f"{text}\n", err=err)


def print_text(text: str, *, err: bool = False) -> None:
    """Print a text of any source, made printable, to standard output or, with ``err``, to standard error."""
    stream = sys.stderr if err else sys.stdout
    stream.write(printable(redact(text) if is_redacted() else text))


def is_redacted() -> bool:
    """Return whether the user passed ``--redact`` to the running command."""
    context = click.get_current_context(silent=True)
    return context is not None and REDACT in context.find_root().meta


def write_report(kind: formats.ReportKind, report: Data, output: Output) -> None:
    """Print a report to standard output, and write it to the files of ``output``.

    On a terminal, text is colored and wrapped. Where a file is the standard output itself, only the verdict is printed
    besides, to stderr.

    Raises:
        OutputError: a file cannot be written; then no regular file is.
    """
    if is_redacted():
        report = with_texts(report, redact)
    takes_stdout = any(writing.is_standard_output(file.path) for file in output.files)
    if not takes_stdout:
        _print_report(kind, report, output, to_stderr=False)
    _write_files(kind, report, output)
    if takes_stdout:
        from vc2doctor.report.terminal import verdict_text  # noqa: PLC0415 - rich is slow to import

        echo(verdict_text(kind, report), err=True)
    _name_files(output)


def write_gate_report(report: "Report", output: Output) -> None:
    """Print a report to standard error, because standard output is the command's; write it to the files of ``output``.

    Of a command that runs because all is well, only the verdict is printed, unless the whole report is asked for.

    Raises:
        OutputError: a file cannot be written; then no regular file is.
    """
    if is_redacted():
        report = with_texts(report, redact)
    if output.format == "text" and not output.verbose and not report.exit_code:
        from vc2doctor.report import terminal  # noqa: PLC0415 - rich is slow to import

        terminal.show_brief(report)
    else:
        _print_report("check", report, output, to_stderr=True)
    _write_files("check", report, output)
    _name_files(output)


def name_baseline(file: Path | None, waived: Sequence["WaivedFinding"], findings: Sequence["Finding"]) -> None:
    """Print to stderr that the baseline ``file`` was written, and what is not in it; ``None``: none was written.

    ``waived`` and ``findings`` are those of the report.
    """
    if file is None:
        return
    known = sum(each.became == "baseline" for each in waived)
    text = f"The baseline {file} was written. It has {counted(known, 'finding')}."
    others = list(dict.fromkeys(each.id for each in findings if each.of_machine))
    if others:
        text += f" It never holds findings about a machine or a run ({', '.join(others)}): they count on each machine."
    echo(text, err=True)


def _write_files(kind: formats.ReportKind, report: Data, output: Output) -> None:
    texts = [(file.path, _file_text(kind, report, file.format or output.format, output)) for file in output.files]
    writing.write_outputs((path, _safe(text)) for path, text in texts)
    if output.job_summary is not None:
        writing.append_output(output.job_summary, _safe(formats.render(kind, report, "markdown")))


def _name_files(output: Output) -> None:
    for file in output.files:
        echo(f"The report is in {file.path}.", err=True)


def _print_report(kind: formats.ReportKind, report: Data, output: Output, *, to_stderr: bool) -> None:
    if output.format != "text":
        print_text(formats.render(kind, report, output.format), err=to_stderr)
        return
    from vc2doctor.report import terminal  # noqa: PLC0415 - rich is slow to import

    terminal.show(kind, report, _note_on, verbose=output.verbose, to_stderr=to_stderr)


def _file_text(kind: formats.ReportKind, report: Data, form: str, output: Output) -> str:
    if form != "text":
        return formats.render(kind, report, form)
    from vc2doctor.report import terminal  # noqa: PLC0415 - rich is slow to import

    text = terminal.plain_text(kind, report, verbose=output.verbose)
    note = _note_on(text)
    return f"{text}{note}\n" if note else text


def _note_on(text: str) -> str:
    """Return the note below a report with this text; empty if it identifies no person."""
    return _REDACTION_NOTE if redact(text) != text else ""


def write_refusal(report: "LintReport") -> None:
    """Print to stderr which fixes were refused, and what to do by hand."""
    from vc2doctor.report import terminal  # noqa: PLC0415 - rich is slow to import

    print_text(terminal.refusal(report), err=True)


def write_text(text: str, path: Path | None) -> None:
    """Write ``text`` to ``path``, or print it if ``path`` is ``None``; it is made printable.

    Raises:
        OutputError: the file cannot be written.
    """
    if path is None:
        print_text(text)
    else:
        writing.write_output(path, _safe(text))


def _safe(text: str) -> str:
    return printable(redact(text) if is_redacted() else text)


def write_patch(text: str, paths: Sequence[Path]) -> None:
    """Write a patch to files, or print it if there are none. Control characters in the code of others are replaced.

    ``git apply`` refuses a patch with replaced characters, so a note says so.

    Raises:
        OutputError: the file cannot be written.
    """
    shown = printable_patch(redact(text) if is_redacted() else text)
    if not paths:
        sys.stdout.write(shown)
    writing.write_outputs((path, shown) for path in paths)
    if shown != text:
        echo("Characters of this patch were replaced, so `git apply` may refuse it. Use --fix instead.", err=True)
