"""``vc2doctor init``."""

import sys
from pathlib import Path

import click

from vc2doctor.cli.output import echo


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--write", is_flag=True, help="Write the files. A file that exists is never overwritten.")
def init(names: tuple[str, ...], *, write: bool) -> None:
    """Show the files that run vc2doctor in your CI system, cluster or container, and with --write write them.

    Without a NAME, they are those for the systems that the project in the working directory uses. Names: github,
    github-cells, pre-commit, gitlab, nox, tox, slurm-prolog, slurm-job, kubernetes, kueue, argo, docker, devcontainer.

    Exit codes: 0 shown or written; 1 a file exists with another text and was not written; 2 wrong usage.
    """
    from vc2doctor.commands.init import init as run_init  # noqa: PLC0415 - `--help` needs none of it
    from vc2doctor.report.terminal.init import init_as_text  # noqa: PLC0415

    report = run_init(Path.cwd(), names, write=write)
    echo(init_as_text(report, write=write).rstrip("\n"))
    sys.exit(report.exit_code)
