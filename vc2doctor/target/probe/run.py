"""The order of one probe run: import, device, every recipe, the adapter's way to disk and back."""

import argparse
import importlib
import os
import platform
import sys
import time
from typing import Any, Dict, Iterable, List, Optional

from ..runtime import EventPipe, EventSink, Runtime
from ..shared.protocol import PROTOCOL, WORKER_VERSION
from ..shared.recipes import CONTROL, RECIPES, Recipe
from ..shared.spec import Spec, parse
from . import (
    checkpoint,
    gpu_questions,
    headroom,
    inspect_data,
    locate,
    save_reload,
    self_test,
    training,
    user_function,
)
from . import device as devices
from .exceptions import describe
from .subject import Subject

_PACKAGES = ("torch", "transformers", "peft")
_MAX_TENSORS = 20
"""Tensors that are named in one event; a whole checkpoint may be broken."""


def main(arguments: List[str]) -> int:
    """Run the probe as the command line asks; whatever goes wrong in the target becomes an event."""
    options = _parse(arguments)
    events = EventPipe(options.events)
    events.emit("start", protocol=PROTOCOL, worker=WORKER_VERSION, python=platform.python_version(), pid=os.getpid())
    packages = _import(events)
    if packages is not None:
        _measure(events, packages, options)
    events.emit("end")
    return 0


def _parse(arguments: List[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="worker")
    parser.add_argument("--events", type=int, required=True, help="file descriptor that takes the events")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--recipes", default=",".join(RECIPES))
    parser.add_argument("--spec", default=os.devnull, help="file of a JSON object: what to train, see spec.py")
    return parser.parse_args(arguments)


def _import(events: EventSink) -> Optional[Dict[str, Any]]:
    packages = {}
    for name in _PACKAGES:
        started = time.perf_counter()
        events.emit("importing", package=name)
        try:
            module = importlib.import_module(name)
            # The version is part of what has to work: a namespace left behind by an uninstall has none.
            version = str(module.__version__)
            if name == "transformers":
                _load_lazy(module)
        except BaseException as error:  # a target may raise SystemExit at import as well
            if isinstance(error, KeyboardInterrupt):
                raise
            events.emit("import-failed", package=name, error=describe(error))
            return None
        seconds = round(time.perf_counter() - started, 3)
        events.emit("import", package=name, version=version, file=getattr(module, "__file__", None), seconds=seconds)
        packages[name] = module
    return packages


def _load_lazy(transformers: Any) -> None:
    # transformers imports a model class only when it is touched: touch what the probe needs, so that a failure there
    # is told as an import that failed.
    prefix = "Mistral" if hasattr(transformers, "MistralConfig") else "Llama"
    getattr(transformers, prefix + "ForCausalLM")


def _measure(events: EventSink, packages: Dict[str, Any], options: argparse.Namespace) -> None:
    torch = packages["torch"]
    try:
        device = devices.choose(torch, options.device)
        events.emit("device", **devices.describe(torch, device))
    except Exception as error:  # noqa: BLE001 - a driver may fail in any way
        events.emit("device-failed", device=options.device, error=describe(error))
        return
    runtime = Runtime(torch, packages["transformers"], packages["peft"], device)
    _warm_up(events, torch)
    with open(options.spec, encoding="utf-8") as file:
        spec = parse(file.read())
    self_test.run(events, runtime)
    if not _load(events, runtime, spec, trains=bool(options.recipes)):
        return
    _headroom(events, runtime, spec)
    _recipes(events, runtime, spec, options.recipes.split(",") if options.recipes else [])
    for name in spec.stress:
        events.emit("stress", plant=name)
        planted = spec._replace(plant=name)
        _headroom(events, runtime, planted)
        _recipes(events, runtime, planted, [name for name, recipe in RECIPES.items() if recipe.stressed])
        events.emit("stress-end")
    gpu_questions.run(events, runtime)
    sys.stdout.flush()


def _load(events: EventSink, runtime: Runtime, spec: Spec, *, trains: bool) -> bool:
    """Load what the user named, if anything; return whether there is something to train."""
    if not spec.checkpoint and not spec.entry:
        return True
    events.emit("loading", path=spec.checkpoint or spec.entry)
    started = time.perf_counter()
    try:
        if spec.entry:
            user_function.find(spec)
            return True
        runtime.checkpoint = checkpoint.load(runtime, spec, trains=trains)
    except BaseException as error:  # a user's module may raise SystemExit at import
        if isinstance(error, KeyboardInterrupt):
            raise
        events.emit("load-failed", error=describe(error))
        return False
    seconds = round(time.perf_counter() - started, 3)
    count = sum(p.numel() for p in runtime.checkpoint.model.parameters())
    name = type(runtime.checkpoint.model).__name__
    bad = checkpoint.non_finite(runtime, runtime.checkpoint.model)
    events.emit(
        "loaded",
        architecture=name,
        parameters=count,
        dtype=runtime.checkpoint.dtype,
        seconds=seconds,
        non_finite=bad[:_MAX_TENSORS],
        non_finite_tensors=len(bad),
    )
    return True


def _recipes(events: EventSink, runtime: Runtime, spec: Spec, names: Iterable[str]) -> None:
    adapter_done = inspected = spec.plant != "none"
    control: Dict[str, Any] = {}
    for name in names:
        recipe = RECIPES[name]
        events.emit("recipe", recipe=name)
        watched = _WatchedRecipe(events, runtime, inspected=inspected)
        loop = training.run(watched, runtime, spec, recipe, control)
        inspected = watched.inspected
        if loop is not None and name == CONTROL:
            control = loop.touched
        if watched.bad_step is not None:
            _locate(events, runtime, spec, recipe, watched.bad_step)
        elif loop is not None and loop.made.language is not None and not adapter_done:
            save_reload.run(events, runtime, spec, recipe, loop.made.language)
            adapter_done = True


def _warm_up(events: EventSink, torch: Any) -> None:
    """Make torch import what it puts off until an optimiser is first used: seconds, and no part of the training."""
    started = time.perf_counter()
    events.emit("importing", package="what torch.optim needs")
    torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=0.1).step()
    events.emit("warm", seconds=round(time.perf_counter() - started, 3))


class _WatchedRecipe:
    """Passes events on, remembers the first bad step, and looks at the first subject before it is trained."""

    def __init__(self, events: EventSink, runtime: Runtime, *, inspected: bool) -> None:
        self.bad_step: Optional[int] = None
        self.inspected = inspected
        self._events = events
        self._runtime = runtime
        self._taken = False

    def built(self, made: Subject) -> None:
        """Look at a subject that was just built."""
        if not self.inspected:
            inspect_data.run(self._events, self._runtime, made)
            self.inspected = True

    def emit(self, event: str, **fields: Any) -> None:
        """Emit one event."""
        self._events.emit(event, **fields)
        if event == "step":
            self._taken = self._taken or fields["taken"]
            if self.bad_step is None and (fields["loss"] is None or not fields["parameters_finite"]):
                self.bad_step = fields["step"]
        elif event == "movement" and self.bad_step is None and not self._taken:
            # Frozen: every step was skipped, and the first shows why.
            self.bad_step = 0


def _headroom(events: EventSink, runtime: Runtime, spec: Spec) -> None:
    try:
        headroom.run(events, runtime, spec)
    except Exception as error:  # noqa: BLE001 - the recipes tell what is wrong; this is only a number less
        events.emit("headroom-failed", error=describe(error))


def _locate(events: EventSink, runtime: Runtime, spec: Spec, recipe: Recipe, step: int) -> None:
    try:
        locate.run(events, runtime, spec, recipe, step)
    except Exception as error:  # noqa: BLE001 - the outcome stands; only its place is not found
        events.emit("locate-failed", recipe=recipe.name, error=describe(error))
