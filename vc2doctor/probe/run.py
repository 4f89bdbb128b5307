"""The parent's side of the probe: starts the worker in the target interpreter and folds what it says."""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vc2doctor.core import child
from vc2doctor.environment import interpreter
from vc2doctor.probe.events import Fold
from vc2doctor.probe.facts import ProbeRun

WORKER = Path(__file__).parents[1] / "target"
"""The folder that the target interpreter runs."""

OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "WANDB_MODE": "disabled",
}
"""No download, no telemetry, no thread pools that outlive the worker."""


_CACHES = ("HF_HOME", "TMPDIR", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")


def probe(  # noqa: PLR0913, PLR0917 - what is run, where, for how long
    python: str,
    device: str,
    recipes: Sequence[str],
    timeout: float,
    on_progress: Callable[[str], None],
    spec: Mapping[str, Any] | None = None,
) -> ProbeRun:
    """Train under ``recipes`` on ``device`` in the interpreter at ``python`` for at most ``timeout`` seconds.

    ``on_progress`` is told, in words, what the worker has begun; ``spec`` says what is trained (the worker's
    ``spec.py``).

    Raises:
        TargetError: the interpreter cannot be started.
    """
    fold = Fold()

    def on_event(event: dict[str, Any]) -> None:
        before = fold.stage
        fold.take(event)
        if fold.stage != before:
            on_progress(fold.stage)

    with tempfile.TemporaryDirectory(prefix="vc2doctor-", ignore_cleanup_errors=True) as scratch:
        caches = dict.fromkeys(_CACHES, scratch)
        # A file and no argument: texts to train on may be longer than a command line.
        told = Path(scratch, "spec.json")
        told.write_text(json.dumps(dict(spec or {})), encoding="utf-8")
        done = child.run(
            lambda descriptor: _command(python, descriptor, device, recipes, told),
            interpreter.variables({**OFFLINE, **caches}),
            timeout,
            on_event,
        )
    return fold.run(done)


def _command(python: str, descriptor: int, device: str, recipes: Sequence[str], spec: Path) -> list[str]:
    options = ["--events", str(descriptor), "--device", device, "--recipes", ",".join(recipes), "--spec", str(spec)]
    return [python, "-B", str(WORKER), *options]
