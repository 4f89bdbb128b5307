"""Where a report goes: the terminal, or a file."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vc2doctor.core import writing
from vc2doctor.core.data import Data
from vc2doctor.report import formats

if TYPE_CHECKING:
    from vc2doctor.commands.settings import LoadedSettings
    from vc2doctor.linter.model import LintReport


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


def write_report(kind: formats.ReportKind, report: Data, output: Output) -> None:
    """Print a report, or write it to the file of ``output``. On a terminal, text is colored and wrapped.

    If it goes to a file, its verdict is still printed, to stderr.

    Raises:
        OutputError: the file cannot be written.
    """
    if output.format == "text":
        _write_as_text(kind, report, output)
    else:
        write_text(formats.render(kind, report, output.format), output.output)
    if output.output is not None:
        from vc2doctor.report.terminal import verdict  # noqa: PLC0415 - rich is slow to import

        click.echo(f"{verdict(kind, report)}\nThe report is in {output.output}.", err=True)


def _write_as_text(kind: formats.ReportKind, report: Data, output: Output) -> None:
    from vc2doctor.report import terminal  # noqa: PLC0415 - rich is slow to import

    if output.output is None:
        terminal.show(kind, report, verbose=output.verbose)
    else:
        write_text(terminal.plain_text(kind, report, verbose=output.verbose), output.output)


def write_refusal(report: "LintReport") -> None:
    """Print to stderr which fixes were refused, and what to do by hand."""
    from vc2doctor.report import terminal  # noqa: PLC0415 - rich is slow to import

    click.echo(terminal.refusal(report), nl=False, err=True)


def write_text(text: str, path: Path | None) -> None:
    """Write ``text`` to ``path``, or print it if ``path`` is ``None``.

    Raises:
        OutputError: the file cannot be written.
    """
    if path is None:
        click.echo(text, nl=False)
    else:
        writing.write_output(path, text)
