"""``vc2doctor check``."""

import sys
from pathlib import Path
from typing import Any

import click

from vc2doctor.cli import options as shared
from vc2doctor.cli.output import output_of, write_report
from vc2doctor.cli.program import started_by
from vc2doctor.cli.progress import progress


@click.command()
@click.option("--probe/--no-probe", default=True, help="Train a few steps, or judge by versions only.")
@click.option(
    "--code",
    type=shared.PATH,
    help="Training code to lint as well. Its faults become findings. Without --precision, its precision is checked.",
)
@click.option(
    "--verify-remedy",
    is_flag=True,
    help="Build a fresh environment with the versions of the remedy, and train a few steps in it. Downloads packages.",
)
@shared.examination
def check(form: str, output: Path | None, *, verbose: bool, **options: Any) -> None:  # noqa: ANN401 - click passes one keyword per option
    """Examine an environment, train a few real steps in it, and say whether it is fit to train.

    Exit codes: 0 fit; 1 findings at or above --fail-on; 2 wrong usage; 3 the examination could not be finished, or
    nothing shows that training works.
    """
    from vc2doctor import api  # noqa: PLC0415 - `--help` needs none of it
    from vc2doctor.commands import settings  # noqa: PLC0415
    from vc2doctor.commands.invocation import invocation_of  # noqa: PLC0415

    source, explicit = shared.pop_settings_source(options), shared.names_on_command_line()
    loaded = settings.load(Path.cwd(), source)
    request = api.CheckRequest(**options, settings_source=source, settings=loaded.applied)
    request = request.model_copy(update={"invocation": invocation_of(request, started_by())})
    target = output_of(form, output, loaded, explicit, verbose=verbose)
    with progress() as on_progress:
        report = api.check(loaded.complete(request, explicit), on_progress=on_progress)
    write_report("check", report, target)
    sys.exit(report.exit_code)
