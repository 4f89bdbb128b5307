"""Runs the probe from start to end: import, device, self-test, subject, headroom, recipes, doors, GPU questions."""

import argparse
import importlib
import os
import platform
import site
import sys
import time
from typing import Any, Dict, Iterable, List, Optional

from ..runtime import EventPipe, EventSink, Runtime
from ..shared.protocol import PROTOCOL, WORKER_VERSION
from ..shared.recipes import CONTROL, RECIPES, Recipe
from ..shared.spec import Spec, parse
from . import (
    checkpoint,
    devices,
    gpu_questions,
    headroom,
    imported,
    inspect_data,
    language_model,
    locate,
    own_architecture,
    save_reload,
    self_test,
    training,
    try_doors,
    user_function,
)
from .exceptions import describe
from .subject import Subject, build

PACKAGES = ("torch", "transformers", "peft")
MAX_TENSORS = 20
"""Damaged tensors that one event names; a whole checkpoint may be damaged."""


def main(arguments: List[str]) -> int:
    """Run the probe with these command-line arguments; every failure of the target becomes an event."""
    options = _parse(arguments)
    events = EventPipe(options.events, options.secret)
    events.emit("start", protocol=PROTOCOL, worker=WORKER_VERSION, python=platform.python_version(), pid=os.getpid())
    with open(options.spec, encoding="utf-8") as file:
        spec = parse(file.read())
    if options.spec != os.devnull and not spec.entry:
        _live_in(os.path.dirname(options.spec))
    packages = _import(events)
    if packages is not None:
        _measure(events, packages, options, spec)
    events.emit("end")
    return 0


def _parse(arguments: List[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="worker")
    parser.add_argument("--events", type=int, required=True, help="file descriptor that events are written to")
    parser.add_argument(
        "--secret", type=int, required=True, help="file descriptor that the secret of the run comes from"
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--recipes", default=",".join(RECIPES))
    parser.add_argument("--spec", default=os.devnull, help="JSON file with the keys of shared/spec.py")
    return parser.parse_args(arguments)


def _live_in(folder: str) -> None:
    """Make ``folder`` the home of this process, so that no library reads or writes the user's configuration.

    The user's own function keeps the real one: it may need files there. Python has found the user site by now; the
    processes that this one starts find it by ``PYTHONUSERBASE``.
    """
    os.environ["PYTHONUSERBASE"] = site.getuserbase()
    os.environ["HOME"] = folder
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        os.environ[name] = folder


def _import(events: EventSink) -> Optional[Dict[str, Any]]:
    """Import the stack and return its modules by name, or ``None`` if an import failed."""
    packages = {}
    for name in PACKAGES:
        started = time.perf_counter()
        events.emit("importing", package=name)
        try:
            module = importlib.import_module(name)
            # Read the version here: a namespace package, which is what an uninstall can leave behind, has none.
            version = str(module.__version__)
            if name == "transformers":
                # transformers imports a model class only when it is used. Use the one that the probe needs, so that
                # its failure is reported as a failed import.
                getattr(module, language_model.family(module) + "ForCausalLM")
        except BaseException as error:  # a package can raise SystemExit at import as well
            if isinstance(error, KeyboardInterrupt):
                raise
            events.emit("import-failed", package=name, error=describe(error))
            return None
        seconds = round(time.perf_counter() - started, 3)
        events.emit("import", package=name, version=version, file=getattr(module, "__file__", None), seconds=seconds)
        packages[name] = module
    return packages


def _measure(events: EventSink, packages: Dict[str, Any], options: argparse.Namespace, spec: Spec) -> None:
    torch = packages["torch"]
    try:
        device = devices.choose(torch, options.device)
        events.emit("device", **devices.describe(torch, device))
    except Exception as error:  # noqa: BLE001 - a driver can fail in any way
        events.emit("device-failed", device=options.device, error=describe(error))
        return
    runtime = Runtime(torch, packages["transformers"], packages["peft"], device)
    if not spec.checkpoint and not spec.entry:
        # The matrices of the miniature are too small to share: with torch's default number of threads the same steps
        # took 11 to 28 CPU seconds instead of 5 on two cores.
        torch.set_num_threads(1)
    if options.recipes and not spec.entry:
        _build_first(runtime, spec)
    _warm_up(events, torch)
    self_test.run(events, runtime)
    spec = own_architecture.run(events, runtime, spec)
    if not _load(events, runtime, spec, trains=bool(options.recipes)):
        return
    _headroom(events, runtime, spec)
    _recipes(events, runtime, spec, options.recipes.split(",") if options.recipes else [])
    for name in spec.stress:
        _stress(events, runtime, spec, name)
    try_doors.run(events, runtime, spec)
    gpu_questions.run(events, runtime)
    events.emit("distributions", names=imported.distributions())
    sys.stdout.flush()


def _build_first(runtime: Runtime, spec: Spec) -> None:
    """Build a model with adapters before anything else, as programs do.

    The first optimizer makes torch import most of itself, and so do the self-test and the doors. What a package forgot
    to import is there afterward: peft 0.18 reads ``torch.distributed.tensor``, and leaves its import to transformers.
    """
    plain = spec._replace(architecture="", targets=Spec().targets)
    try:
        build(runtime, plain, RECIPES[CONTROL])
    except Exception as error:  # noqa: BLE001 - every recipe reports it as its own failure
        runtime.build_failure = error


def _warm_up(events: EventSink, torch: Any) -> None:
    """Let torch import the modules that it puts off until an optimizer is first used, and report the seconds.

    Otherwise the first recipe would seem slow.
    """
    started = time.perf_counter()
    events.emit("importing", package="the modules of torch.optim")
    torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=0.1).step()
    events.emit("warm", seconds=round(time.perf_counter() - started, 3))


def _load(events: EventSink, runtime: Runtime, spec: Spec, *, trains: bool) -> bool:
    """Load the user's checkpoint, or import the user's function, if any; return whether there is something to train."""
    if not spec.checkpoint and not spec.entry:
        return True
    events.emit("loading", path=spec.checkpoint or spec.entry)
    started = time.perf_counter()
    try:
        if spec.entry:
            user_function.find(spec)
            return True
        runtime.checkpoint = checkpoint.load(runtime, spec, trains=trains)
    except BaseException as error:  # a user's module can raise SystemExit at import
        if isinstance(error, KeyboardInterrupt):
            raise
        events.emit("load-failed", error=describe(error))
        return False
    seconds = round(time.perf_counter() - started, 3)
    model = runtime.checkpoint.model
    damaged = checkpoint.non_finite(runtime, model)
    events.emit(
        "loaded",
        architecture=type(model).__name__,
        parameters=sum(p.numel() for p in model.parameters()),
        dtype=runtime.checkpoint.dtype,
        seconds=seconds,
        non_finite=damaged[:MAX_TENSORS],
        non_finite_tensors=len(damaged),
    )
    return True


def _recipes(events: EventSink, runtime: Runtime, spec: Spec, names: Iterable[str]) -> None:
    # Outliers change the weights and not the stack: inspect the data and check the adapter without them only.
    adapter_checked = inspected = spec.plant != "none"
    control: Dict[str, Any] = {}
    for name in names:
        recipe = RECIPES[name]
        events.emit("recipe", recipe=name)
        sink = _RecipeSink(events, runtime, inspected=inspected)
        loop = training.run(sink, runtime, spec, recipe, control)
        inspected = sink.inspected
        if loop is not None and name == CONTROL:
            control = loop.nonzero_gradients
        if sink.bad_step is not None:
            _locate(events, runtime, spec, recipe, sink.bad_step)
        elif loop is not None and loop.subject.peft_model is not None and not adapter_checked:
            save_reload.run(events, runtime, spec, recipe, loop.subject.peft_model)
            adapter_checked = True


def _stress(events: EventSink, runtime: Runtime, spec: Spec, name: str) -> None:
    """Measure headroom and recipes once more, on a miniature with the outliers ``name``."""
    events.emit("stress", plant=name)
    planted = spec._replace(plant=name)
    _headroom(events, runtime, planted)
    _recipes(events, runtime, planted, [recipe.name for recipe in RECIPES.values() if recipe.stressed])
    events.emit("stress-end")


class _RecipeSink:
    """Passes events on, remembers the first bad step, and inspects the first subject before it is trained."""

    def __init__(self, events: EventSink, runtime: Runtime, *, inspected: bool) -> None:
        self.bad_step: Optional[int] = None
        self.inspected = inspected
        self._events = events
        self._runtime = runtime
        self._taken = False

    def built(self, subject: Subject) -> None:
        """Inspect a subject that was just built, unless one was inspected before."""
        if not self.inspected:
            inspect_data.run(self._events, self._runtime, subject)
            self.inspected = True

    def emit(self, event: str, **fields: Any) -> None:
        """Emit one event."""
        self._events.emit(event, **fields)
        if event == "step":
            self._taken = self._taken or fields["taken"]
            if self.bad_step is None and (fields["loss"] is None or not fields["parameters_finite"]):
                self.bad_step = fields["step"]
        elif event == "movement" and self.bad_step is None and not self._taken:
            # Every step was skipped, so the first one shows the reason.
            self.bad_step = 0


def _headroom(events: EventSink, runtime: Runtime, spec: Spec) -> None:
    try:
        headroom.run(events, runtime, spec)
    except Exception as error:  # noqa: BLE001 - the recipes run the same code and report what fails
        events.emit("headroom-failed", error=describe(error))


def _locate(events: EventSink, runtime: Runtime, spec: Spec, recipe: Recipe, step: int) -> None:
    try:
        locate.run(events, runtime, spec, recipe, step)
    except Exception as error:  # noqa: BLE001 - the outcome is known; only the place is not
        events.emit("locate-failed", recipe=recipe.name, error=describe(error))
