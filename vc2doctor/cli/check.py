"""``vc2doctor check``."""

import sys
from pathlib import Path
from typing import Any

import click

from vc2doctor.cli import options as shared
from vc2doctor.cli.output import name_baseline, output_of, write_report
from vc2doctor.cli.program import started_by
from vc2doctor.cli.progress import progress


@click.command()
@shared.probe
@shared.code
@click.option(
    "--verify-remedy",
    is_flag=True,
    help="Build a fresh environment with the versions of the remedy, and train a few steps in it. Downloads packages.",
)
@shared.acceptance
@shared.update_baseline
@shared.fresh
@shared.examination
def check(*, fresh: bool, **options: Any) -> None:  # noqa: ANN401 - click passes one keyword per option
    """Examine an environment, train a few real steps in it, and say whether it is fit to train.

    Exit codes: 0 fit; 1 findings at or above --fail-on; 2 wrong usage; 3 the examination could not be finished, or
    nothing shows that training works.
    """
    # Not through the API: that imports what only an examination needs, which takes longer than to find a kept answer.
    from vc2doctor.commands import cached, settings  # noqa: PLC0415 - `--help` needs none of it
    from vc2doctor.commands.invocation import invocation_of  # noqa: PLC0415
    from vc2doctor.commands.request import CheckRequest  # noqa: PLC0415

    source, explicit = shared.pop_settings_source(options), shared.names_on_command_line()
    loaded = settings.load(Path.cwd(), source)
    output = output_of(options, loaded, explicit)
    request = CheckRequest(**options, stack_map=output.shows_map, settings_source=source, settings=loaded.applied)
    request = request.model_copy(update={"invocation": invocation_of(request, started_by())})
    request = loaded.complete(request, explicit)
    with progress() as on_progress:
        report = cached.check(request, Path.cwd(), on_progress, cached.Use(fresh=fresh, outputs=output.paths))
    write_report("check", report, output)
    name_baseline(request.baseline if request.update_baseline else None, report.waived, report.findings)
    sys.exit(report.exit_code)
