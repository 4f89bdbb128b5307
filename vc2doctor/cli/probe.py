"""``vc2doctor probe``."""

import sys
from pathlib import Path
from typing import Any

import click

from vc2doctor.cli import options as shared
from vc2doctor.cli.output import output_of, write_report
from vc2doctor.cli.program import started_by
from vc2doctor.cli.progress import progress
from vc2doctor.target.shared.recipes import RECIPES

MAX_SEED = 2**63 - 1
"""torch takes seeds of 64 bits."""


@click.command()
@click.option(
    "--entry",
    metavar="MODULE:FUNCTION",
    help="Your own function; it returns (model, batch) or (model, batch, optimizer).",
)
@click.option(
    "--model", "checkpoint", type=shared.PATH, help="A checkpoint: a folder with safetensors, or a .gguf file."
)
@click.option("--text", "texts", metavar="TEXT", multiple=True, help="A text for the checkpoint; may be repeated.")
@click.option("--data", type=shared.FILE, help="File of texts: JSON Lines with the key `text`, or one text per line.")
@click.option("--train", is_flag=True, help="Train on the checkpoint, too; default: measure its range only.")
@click.option(
    "--stress", is_flag=True, help="Plant outliers of documented size in the miniature, and show a table of margins."
)
@click.option(
    "--seed", type=click.IntRange(min=0, max=MAX_SEED), default=0, help="Seed of the miniature's weights and batches."
)
@click.option(
    "--attention", type=click.Choice(["eager", "sdpa"]), help="Attention code; default: what transformers chooses."
)
@click.option(
    "--recipes",
    metavar="NAME,…",
    multiple=True,
    callback=shared.split_names,
    default=(",".join(RECIPES),),
    help="Recipes to run besides the control and the one that decides; default: all.",
)
@shared.examination
def probe(form: str, output: Path | None, *, verbose: bool, **options: Any) -> None:  # noqa: ANN401 - click passes one keyword per option
    """Train under each precision, and say what goes wrong, where and why.

    By default the model is a miniature of the profile's model. With --model it is a real checkpoint, whose range is
    measured first. With --entry it is the model that your own function returns.

    The function is imported in the target interpreter, with the current directory on its path, and called once per
    recipe. It may take the recipe's base dtype. If it takes no argument, its frozen parameters are cast to that dtype.
    The batch is a dict (passed by keyword), a tensor, or a list of these. The model returns a loss, or an object with a
    loss.
    """
    from vc2doctor.commands import probe as command  # noqa: PLC0415 - `--help` needs none of it
    from vc2doctor.commands import settings  # noqa: PLC0415
    from vc2doctor.commands.invocation import invocation_of  # noqa: PLC0415

    source, explicit = shared.pop_settings_source(options), shared.names_on_command_line()
    loaded = settings.load(Path.cwd(), source)
    request = command.ProbeRequest(**options, settings_source=source, settings=loaded.applied)
    request = request.model_copy(update={"invocation": invocation_of(request, started_by())})
    target = output_of(form, output, loaded, explicit, verbose=verbose)
    with progress() as on_progress:
        report = command.probe(loaded.complete(request, explicit), Path.cwd(), on_progress)
    write_report("check", report, target)
    sys.exit(report.exit_code)
