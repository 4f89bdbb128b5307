"""Where a report goes: the terminal, or a file."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vc2doctor.core import writing
from vc2doctor.core.data import Data, with_texts
from vc2doctor.core.printing import printable, printable_patch
from vc2doctor.core.redaction import redact
from vc2doctor.report import formats

if TYPE_CHECKING:
    from vc2doctor.commands.settings import LoadedSettings
    from vc2doctor.linter.model import LintReport


REDACT = "vc2doctor.redact"
"""The key in the context of click that is set by ``--redact``."""
_REDACTION_NOTE = (
    "This report names your home folder, your user or your machine. Pass --redact before you paste it in public."
)


class Output(Data):
    """The format of a report, and the file that it is written to."""

    format: str = "text"
    output: Path | None = None
    """``None``: standard output."""
    verbose: bool = False
    """Whether the text report on an examination is shown in full."""


def output_of(
    form: str, path: Path | None, loaded: "LoadedSettings", explicit: frozenset[str], *, verbose: bool = False
) -> Output:
    """Return the output that the options describe, completed by the settings that count.

    Raises:
        UsageError: the settings name a format that does not exist.
    """
    # The parameter of the option --format is called `form`.
    explicit_fields = explicit | {"format"} if "form" in explicit else explicit
    output = loaded.complete(Output(format=form, output=path, verbose=verbose), explicit_fields)
    known_formats = formats.names("check")
    if output.format not in known_formats:
        file = loaded.applied.file if loaded.applied else "settings"
        message = f"{file}: there is no format {output.format!r}; choose from {', '.join(known_formats)}"
        raise click.UsageError(message)
    return output


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
    """Print a report, or write it to the file of ``output``. On a terminal, text is colored and wrapped.

    If it goes to a file, its verdict is still printed, to stderr.

    Raises:
        OutputError: the file cannot be written.
    """
    if is_redacted():
        report = with_texts(report, redact)
    if output.format == "text":
        _write_as_text(kind, report, output)
    else:
        write_text(formats.render(kind, report, output.format), output.output)
    if output.output is not None:
        from vc2doctor.report.terminal import verdict  # noqa: PLC0415 - rich is slow to import

        echo(f"{verdict(kind, report)}\nThe report is in {output.output}.", err=True)


def _write_as_text(kind: formats.ReportKind, report: Data, output: Output) -> None:
    from vc2doctor.report import terminal  # noqa: PLC0415 - rich is slow to import

    text = terminal.plain_text(kind, report, verbose=output.verbose)
    note = _REDACTION_NOTE if redact(text) != text else ""
    if output.output is None:
        terminal.show(kind, report, verbose=output.verbose, note=note)
    else:
        write_text(f"{text}{note}\n" if note else text, output.output)


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
        writing.write_output(path, printable(redact(text) if is_redacted() else text))


def write_patch(text: str, path: Path | None) -> None:
    """Write a patch to ``path``, or print it. Control characters in the code of others are replaced.

    ``git apply`` refuses a patch with replaced characters, so a note says so.

    Raises:
        OutputError: the file cannot be written.
    """
    shown = printable_patch(redact(text) if is_redacted() else text)
    if path is None:
        sys.stdout.write(shown)
    else:
        writing.write_output(path, shown)
    if shown != text:
        echo("Characters of this patch were replaced, so `git apply` may refuse it. Use --fix instead.", err=True)
