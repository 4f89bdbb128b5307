"""The verbs about training code: ``lint`` and ``rule``."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vc2doctor.output import write

if TYPE_CHECKING:
    from vc2doctor.lint.model import LintReport
    from vc2doctor.settings import SettingsSource

_PATHS = click.Path(path_type=Path)


def settings_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that choose the file of settings."""
    for option in (
        click.option("--isolated", is_flag=True, help="Read no settings file."),
        click.option(
            "--trust-settings",
            is_flag=True,
            help="Let every key of the nearest pyproject.toml count, as --config does.",
        ),
        click.option(
            "--config",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            metavar="FILE",
            help="TOML file with [tool.vc2doctor], of which every key counts; default: the nearest pyproject.toml, "
            "whose keys that choose what is run, written or believed do not count.",
        ),
    ):
        command = option(command)
    return command


def settings_source(options: dict[str, Any]) -> "SettingsSource":
    """Take the options of ``settings_options`` out of ``options``.

    Raises:
        UsageError: they exclude each other.
    """
    from vc2doctor.settings import SettingsSource  # noqa: PLC0415 - `--help` needs none of it

    source = SettingsSource(
        config=options.pop("config"), trust=options.pop("trust_settings"), isolated=options.pop("isolated")
    )
    if source.isolated and source.is_trusted:
        message = "--isolated reads no settings file; leave out --config and --trust-settings"
        raise click.UsageError(message)
    return source


def _names(_: click.Context, __: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(part.strip() for each in value for part in each.split(",") if part.strip())


@click.command()
@click.argument("paths", nargs=-1, type=_PATHS)
@click.option("--precision", type=click.Choice(["bf16"]), help="With --fix: make the whole, coherent change to it.")
@click.option("--fix", is_flag=True, help="Mend what is safe to mend; with --precision, all places of it or none.")
@click.option("--unsafe-fixes", is_flag=True, help="Mend also where that changes what is computed; implies --fix.")
@click.option("--diff", is_flag=True, help="Show the change as a patch, and write nothing.")
@click.option("--select", multiple=True, callback=_names, metavar="ID,…", help="Rules that run; default: all.")
@click.option("--ignore", multiple=True, callback=_names, metavar="ID,…", help="Rules that do not.")
@click.option(
    "--fail-on", type=click.Choice(["note", "warning", "error"]), help="Lowest severity that ends 1; default: error."
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="File to write the report to.")
@settings_options
def lint(paths: tuple[Path, ...], form: str, output: Path | None, **options: Any) -> None:  # noqa: ANN401 - click passes one keyword an option
    """Read training code below PATHS (default: here) and say where its precision contradicts itself.

    Nothing is executed or imported. Exit codes: 0 nothing at or above --fail-on; 1 findings, or a fix that was refused;
    2 wrong usage.
    """
    from vc2doctor import linting  # noqa: PLC0415 - `--help` needs none of it

    started = time.monotonic()
    source = settings_source(options)
    asked = linting.Asked(paths=paths or (Path(),), source=source, **options)
    told = linting.run(asked, Path.cwd(), started)
    if asked.diff and form == "text" and told.fixed is not None and not told.fixed.refused:
        from vc2doctor.lint.fixer.plan import lines_of  # noqa: PLC0415

        write(lines_of(told.fixed.files), output)
        sys.exit(1 if told.fixed.files else 0)
    _tell(told, form, output)
    sys.exit(told.exit_code)


def _tell(report: "LintReport", form: str, output: Path | None) -> None:
    if form == "json":
        from vc2doctor.report import json  # noqa: PLC0415

        write(json.render(report), output)
        return
    from rich.console import Console  # noqa: PLC0415

    from vc2doctor.report import lint as told  # noqa: PLC0415

    if output is None:
        told.show(report, Console())
        return
    from vc2doctor.report.lines import Marks  # noqa: PLC0415

    lines = (line.text.plain for line in told.render(report, Marks(ascii_only=False)))
    write("".join(f"{line}\n" for line in lines), output)


@click.command()
@click.argument("rule_id", metavar="ID")
def rule(rule_id: str) -> None:
    """Print the page of a lint rule: `vc2doctor rule VC103`."""
    from vc2doctor.lint import rules  # noqa: PLC0415

    pages = rules.pages()
    page = pages.get(rule_id.upper())
    if page is None:
        message = f"there is no rule {rule_id!r}; there are {', '.join(pages)}"
        raise click.BadParameter(message)
    click.echo(page)
