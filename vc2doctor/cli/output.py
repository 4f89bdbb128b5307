"""Where a report goes: to the terminal, or whole into a file; and what is shown while it is made."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vc2doctor.core import writing
from vc2doctor.core.data import Data
from vc2doctor.report import formats

if TYPE_CHECKING:
    from vc2doctor.commands.settings import LoadedSettings


class Output(Data):
    """How a report is written, and where."""

    format: str = "text"
    output: Path | None = None
    """``None``: standard output."""


def output_of(form: str, path: Path | None, loaded: "LoadedSettings", given: frozenset[str]) -> Output:
    """Return the output that the options ask for, completed by the settings that count.

    Raises:
        UsageError: the settings name a format that does not exist.
    """
    output = loaded.complete(
        Output(format=form, output=path), given | ({"format"} if "form" in given else frozenset[str]())
    )
    if output.format not in formats.names("check"):
        message = f"{loaded.applied and loaded.applied.file}: format: there is no format {output.format!r}"
        raise click.UsageError(message)
    return output


def write_report(kind: formats.ReportKind, report: Data, output: Output) -> None:
    """Print a report, or write it to the file that the user named; text is colored and wrapped on a terminal.

    Raises:
        OutputError: the file cannot be written.
    """
    if output.format == "text" and output.output is None:
        from vc2doctor.report.terminal import show  # noqa: PLC0415 - only text needs a terminal

        show(kind, report)
        return
    write_text(formats.render(kind, report, output.format), output.output)


def write_text(text: str, path: Path | None) -> None:
    """Print ``text``, or write it to the file that the user named.

    Raises:
        OutputError: the file cannot be written.
    """
    if path is None:
        click.echo(text, nl=False)
    else:
        writing.write_output(path, text)


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Show on a terminal what is under way; elsewhere show nothing."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console  # noqa: PLC0415 - a log needs none of it
    from rich.text import Text  # noqa: PLC0415

    with Console(stderr=True).status(Text("starting")) as status:
        # What a target reports is never markup.
        yield lambda message: status.update(Text(message))
