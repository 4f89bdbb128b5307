"""The parent side of the probe: starts the worker in the target interpreter and collects what it reports."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vc2doctor.core import child, scratch
from vc2doctor.core.child import Channel
from vc2doctor.environment import bytecode, interpreter
from vc2doctor.probe.events import EventReader
from vc2doctor.probe.facts import ProbeRun
from vc2doctor.target.shared.recipes import RECIPES

WORKER = Path(__file__).parents[1] / "target"
"""The folder that the target interpreter runs."""

OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "WANDB_MODE": "disabled",
}
"""Environment variables of the worker: no download, no telemetry, no thread pool that outlives it."""

CACHES = ("HF_HOME", "TMPDIR", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")
"""Environment variables that name a cache folder; the worker gets a temporary one for all of them."""


def probe(  # noqa: PLR0913, PLR0917 - what to run, where, and for how long
    python: str,
    device: str,
    recipes: Sequence[str],
    timeout: float,
    on_progress: Callable[[str], None],
    spec: Mapping[str, Any] | None = None,
    bytecode_folder: Path | None = None,
) -> ProbeRun:
    """Train under ``recipes`` on ``device`` in the interpreter at ``python`` for at most ``timeout`` seconds.

    ``on_progress`` gets each new stage of the worker, in words. ``spec`` holds keys of ``target/shared/spec.py``.
    ``bytecode_folder`` gets the compiled modules of the target; ``None``: they are not kept.

    Raises:
        ScratchError: there is no temporary folder that can be written to.
        SupervisorError: the doctor cannot start processes of its own.
        TargetError: the interpreter cannot be started.
    """
    reader = EventReader(planned_rounds(recipes, spec or {}))

    def on_event(event: dict[str, Any]) -> None:
        before = reader.stage
        reader.take(event)
        if reader.stage != before:
            on_progress(reader.stage)

    with scratch.folder() as folder:
        caches = dict.fromkeys(CACHES, str(folder))
        if bytecode_folder is not None:
            caches[bytecode.VARIABLE] = str(bytecode_folder)
        # Pass the spec in a file: its texts can be longer than a command line.
        file = folder / "spec.json"
        scratch.write(file, json.dumps(dict(spec or {})))
        done = child.run(
            lambda channel: _command(python, channel, device, recipes, file),
            interpreter.variables({**OFFLINE, **caches}),
            timeout,
            on_event,
        )
    return reader.run(done)


def planned_rounds(recipes: Sequence[str], spec: Mapping[str, Any]) -> int:
    """Return how many trainings under one recipe the worker will run, all outliers and other ways included."""
    stressed = sum(recipe.stressed for recipe in RECIPES.values())
    varied = len(spec.get("variants", ())) * len(spec.get("variant_recipes", ()))
    return len(recipes) + len(spec.get("stress", ())) * stressed + varied


def _command(python: str, channel: Channel, device: str, recipes: Sequence[str], spec: Path) -> list[str]:
    descriptors = ["--events", str(channel.events), "--secret", str(channel.secret)]
    options = ["--device", device, "--recipes", ",".join(recipes), "--spec", str(spec)]
    return [python, str(WORKER), *descriptors, *options]
