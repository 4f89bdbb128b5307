"""``vc2doctor probe``."""

import sys
from pathlib import Path
from typing import Any

import click

from vc2doctor.cli import options as shared
from vc2doctor.cli.output import output_of, progress, write_report
from vc2doctor.target.shared.recipes import RECIPES


@click.command()
@click.option("--entry", metavar="MODULE:FUNCTION", help="Your own function that gives (model, batch[, optimizer]).")
@click.option("--model", "checkpoint", type=shared.PATH, help="A checkpoint: folder with safetensors, or .gguf file.")
@click.option("--text", "texts", metavar="TEXT", multiple=True, help="What the checkpoint reads; may be repeated.")
@click.option("--data", type=shared.FILE, help="File of texts: JSON Lines with a key `text`, or one text a line.")
@click.option("--train", is_flag=True, help="Run the recipes on the checkpoint, too; default: measure its range.")
@click.option("--stress", is_flag=True, help="Plant outliers of documented size into the miniature: a margin table.")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Of the miniature's weights and batches.")
@click.option("--attention", type=click.Choice(["eager", "sdpa"]), help="Default: what transformers chooses.")
@click.option(
    "--recipes",
    metavar="NAME,…",
    multiple=True,
    callback=shared.names,
    default=(",".join(RECIPES),),
    help="Which to run beside the control and the one that decides; default: all.",
)
@shared.examination
def probe(form: str, output: Path | None, **options: Any) -> None:  # noqa: ANN401 - click passes one keyword an option
    """Train under each precision, and say what goes wrong, where and why.

    What is trained is the profile's model in miniature; with --entry, what your own function gives; with --model, real
    weights, whose range is measured first. The function is imported in the target interpreter with the current
    directory on its path, and called once a recipe. It may take the recipe's base dtype; if it takes nothing, frozen
    parameters are cast to it. The batch is a dict (passed by keyword), a tensor, or a list of such; the model returns a
    loss, or something with a loss.
    """
    from vc2doctor.commands import probe as command  # noqa: PLC0415 - `--help` needs none of it
    from vc2doctor.commands import settings  # noqa: PLC0415

    source, given = shared.take_source(options), shared.given()
    loaded = settings.load(Path.cwd(), source)
    request = command.ProbeRequest(**options, settings_source=source, settings=loaded.applied)
    target = output_of(form, output, loaded, given)
    with progress() as on_progress:
        report = command.probe(loaded.complete(request, given), Path.cwd(), on_progress)
    write_report("check", report, target)
    sys.exit(report.exit_code)
