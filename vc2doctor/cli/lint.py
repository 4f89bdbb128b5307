"""``vc2doctor lint``."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vc2doctor.cli import options as shared
from vc2doctor.cli.output import (
    Output,
    check_usable,
    echo,
    name_baseline,
    write_patch,
    write_refusal,
    write_report,
)
from vc2doctor.cli.program import started_by
from vc2doctor.core.wording import counted, enumerated

if TYPE_CHECKING:
    from vc2doctor.linter.model import LintReport


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--precision",
    type=click.Choice(["bf16"]),
    help="With --fix: switch each program to this precision, completely or not at all.",
)
@click.option(
    "--fix",
    is_flag=True,
    help="Apply fixes that are safe. With --precision: make only that switch, where it is complete.",
)
@click.option("--unsafe-fixes", is_flag=True, help="Apply fixes that change what is computed, too. This implies --fix.")
@click.option(
    "--diff",
    is_flag=True,
    help="Print the change as a patch for `git apply`, and write nothing. Exit code 1 only if a change is refused; the"
    " reasons go to stderr.",
)
@click.option(
    "--gpu",
    metavar="NAME",
    help="With --fix: GPU that the code will train on, such as T4. It decides the precision: bf16, or float16 with loss"
    " scaling on a GPU without bfloat16.",
)
@click.option("--allow-dirty", is_flag=True, help="Write files that have uncommitted changes, too.")
@click.option(
    "--select", multiple=True, callback=shared.split_names, metavar="ID,…", help="Rules to run; default: all."
)
@click.option("--ignore", multiple=True, callback=shared.split_names, metavar="ID,…", help="Rules not to run.")
@click.option(
    "--python",
    metavar="PATH",
    help="Interpreter, or folder of a venv: names and arguments are judged by what is installed there, not by what the"
    " requirements allow.",
)
@click.option(
    "--user-config",
    is_flag=True,
    help="Read accelerate's default file too ($HF_HOME/accelerate/default_config.yaml): it decides each"
    " `accelerate launch` without --config_file.",
)
@shared.baseline
@shared.fail_on
@shared.output("lint")
@shared.settings
def lint(paths: tuple[Path, ...], output: Output, **options: Any) -> None:  # noqa: ANN401 - click passes one keyword per option
    """Read training code below PATHS (default: here) and report where its precision settings contradict each other.

    The code is not run and not imported. Exit codes: 0 no finding at or above --fail-on, or nothing that could be
    judged, which the first line then says, or with --diff a complete patch or nothing to change; 1 findings, or a fix
    that was refused; with --fail-on note also nothing that could be judged; 2 wrong usage.
    """
    # Not through the API: that imports what `check` needs as well, which takes longer than the lint of a small project.
    from vc2doctor.commands import lint as command  # noqa: PLC0415 - `--help` needs none of it

    source = shared.pop_settings_source(options)
    check_usable(output, options.get("baseline"))
    request = command.LintRequest(
        paths=paths or (Path(),),
        settings_source=source,
        program=started_by(),
        replacements=output.shows_fixes,
        **options,
    )
    report = command.lint(request, Path.cwd())
    if request.diff and output.formats == {"text"} and report.fix is not None:
        write_patch("".join(file.diff for file in report.fix.files), [file.path for file in output.files])
        if report.fix.refused:
            write_refusal(report)
        elif not report.fix.files:
            _say_that_nothing_changes(report)
        sys.exit(1 if report.fix.refused else 0)
    write_report("lint", report, output)
    name_baseline(request.baseline if request.update_baseline else None, report.waived, report.findings)
    sys.exit(report.exit_code)


def _say_that_nothing_changes(report: "LintReport") -> None:
    """Print to stderr that the patch is empty, and which findings need a person."""
    findings = [finding for finding in report.findings if finding.severity.value != "note"]
    if not findings:
        echo("Nothing has to change, so there is no patch.", err=True)
        return
    ids = enumerated(list(dict.fromkeys(finding.id for finding in findings)))
    by_hand = f"{counted(len(findings), 'finding')} ({ids}) must be fixed by hand; run it without --diff."
    echo(f"Nothing can be fixed automatically, so there is no patch. {by_hand}", err=True)
