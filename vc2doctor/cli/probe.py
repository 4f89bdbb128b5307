"""``vc2doctor probe``."""

import sys
from pathlib import Path
from typing import Any

import click

from vc2doctor.cli import options as shared
from vc2doctor.cli.output import output_of, write_report
from vc2doctor.cli.program import started_by
from vc2doctor.cli.progress import progress
from vc2doctor.target.shared.recipes import DEFAULT_RECIPES
from vc2doctor.target.shared.variants import ATTENTIONS

MAX_SEED = 2**63 - 1
"""torch takes seeds of 64 bits."""


@click.command()
@click.option(
    "--entry",
    metavar="MODULE:FUNCTION|FILE.py:FUNCTION",
    help="Your own function; it returns (model, batch) or (model, batch, optimizer). The batch may be a DataLoader.",
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
    "--attention",
    metavar="NAME,…",
    multiple=True,
    callback=shared.split_names,
    help=f"Attention code: {', '.join(ATTENTIONS)}. The first is used for all recipes; the recipe that decides is"
    " trained with each of the others, too. Default: what transformers chooses.",
)
@click.option("--compile", "compiled", is_flag=True, help="Train the recipe that decides through torch.compile, too.")
@click.option(
    "--deterministic",
    is_flag=True,
    help="Train the recipe that decides under torch.use_deterministic_algorithms, too, and compare two runs.",
)
@click.option(
    "--rl",
    is_flag=True,
    help="Compare the probabilities of the same tokens in trainer and rollout: by dtype, and by rows in a batch.",
)
@click.option(
    "--recipes",
    metavar="NAME,…",
    multiple=True,
    callback=shared.split_names,
    default=(",".join(DEFAULT_RECIPES),),
    help="Recipes to run besides the control and the one that decides; default: those that train adapters on a base"
    " that is not quantized.",
)
@shared.fresh
@shared.examination
def probe(*, fresh: bool, **options: Any) -> None:  # noqa: ANN401 - click passes one keyword per option
    """Train under each precision, and say what goes wrong, where and why.

    By default the model is a miniature of the profile's model. With --model it is a real checkpoint, whose range is
    measured first. With --entry it is the model that your own function returns.

    The function is imported in the target interpreter, with the current directory on its path, and called once per
    recipe. It may take the recipe's base dtype. If it takes no argument, its frozen parameters are cast to that dtype.
    The batch is a dict (passed by keyword), a tensor, a list of these, or a DataLoader, of which the first two batches
    are used. The model returns a loss, or an object with a loss. An exception of the function's own code ends with exit
    code 2.
    """
    from vc2doctor.commands import cached, settings  # noqa: PLC0415 - `--help` needs none of it
    from vc2doctor.commands.invocation import invocation_of  # noqa: PLC0415
    from vc2doctor.commands.request import ProbeRequest  # noqa: PLC0415

    source, explicit = shared.pop_settings_source(options), shared.names_on_command_line()
    loaded = settings.load(Path.cwd(), source)
    output = output_of(options, loaded, explicit)
    request = ProbeRequest(**options, stack_map=output.shows_map, settings_source=source, settings=loaded.applied)
    request = request.model_copy(update={"invocation": invocation_of(request, started_by())})
    with progress() as on_progress:
        use = cached.Use(fresh=fresh, outputs=output.paths)
        report = cached.probe(loaded.complete(request, explicit), Path.cwd(), on_progress, use)
    write_report("check", report, output)
    sys.exit(report.exit_code)
