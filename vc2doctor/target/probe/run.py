"""Runs the probe from start to end: import, device, self-test, subject, headroom, recipes, doors, GPU questions."""

import argparse
import gc
import importlib
import os
import platform
import site
import sys
import time
from typing import Any, Dict, List, Optional, Sequence

from ..runtime import EventPipe, EventSink, Runtime
from ..shared.protocol import PROTOCOL, WORKER_VERSION
from ..shared.recipes import CONTROL, DEFAULT_RECIPES
from ..shared.spec import Spec, parse
from . import (
    backward,
    checkpoint,
    devices,
    gpu_questions,
    imported,
    language_model,
    log_ratio,
    own_architecture,
    rounds,
    saved_files,
    scaled_formats,
    script_names,
    self_test,
    spares,
    trained,
    try_doors,
    user_function,
    variants,
)
from .exceptions import describe
from .subject import build

PACKAGES = ("torch", "transformers")
ADAPTERS = "peft"
"""The package that is imported after them, if adapters are trained."""
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
    if "deterministic" in spec.variants:
        # cuBLAS reads it when the first product is computed: https://docs.nvidia.com/cuda/cublas/#results-reproducibility
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    packages = _import_without_collecting(events, (*PACKAGES, ADAPTERS) if spec.adapters else PACKAGES)
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
    parser.add_argument("--recipes", default=",".join(DEFAULT_RECIPES))
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


def _import_without_collecting(events: EventSink, names: Sequence[str]) -> Optional[Dict[str, Any]]:
    """Import the stack with the garbage collector off: imports create a million objects and almost no garbage.

    Later collections skip these objects (``gc.freeze``). Both together save a tenth of the probe's time.
    """
    gc.disable()
    try:
        return _import(events, names)
    finally:
        gc.freeze()
        gc.enable()


def _import(events: EventSink, names: Sequence[str]) -> Optional[Dict[str, Any]]:
    """Import the packages ``names`` and return its modules by name, or ``None`` if an import failed."""
    packages = {}
    for name in names:
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
    runtime = Runtime(torch, packages["transformers"], packages.get(ADAPTERS), device)
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
    if not rounds.measure_headroom(events, runtime, spec):
        return
    if spec.checkpoint:
        _backward(events, runtime, spec)
        _scaled(events, runtime)
    if spec.rl:
        _log_ratios(events, runtime, spec)
    rounds.run(events, runtime, spec, options.recipes.split(",") if options.recipes else [])
    for name in spec.stress:
        rounds.run_stressed(events, runtime, spec, name)
    variants.run(events, runtime, spec)
    try_doors.run(events, runtime, spec)
    script_names.run(events, spec)
    saved_files.run(events, spec)
    gpu_questions.run(events, runtime)
    events.emit("distributions", names=imported.distributions())
    sys.stdout.flush()


def _build_first(runtime: Runtime, spec: Spec) -> None:
    """Build a model with adapters before anything else, as programs do.

    The first optimizer makes torch import most of itself, and so do the self-test and the doors. What a package forgot
    to import is there afterward: peft 0.18 reads ``torch.distributed.tensor``, and leaves its import to transformers.
    """
    plain, control = spec._replace(architecture="", targets=Spec().targets), trained.recipe_named(spec, CONTROL)
    try:
        subject = build(runtime, plain, control)
        spares.keep(runtime, plain, control, subject.module, subject.first_values)
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


def _backward(events: EventSink, runtime: Runtime, spec: Spec) -> None:
    events.emit("measuring", name="the gradients of one backward pass")
    try:
        backward.run(events, runtime, spec)
    except Exception as error:  # noqa: BLE001 - a model without a backward pass can still be measured forward
        events.emit("gradients-failed", error=describe(error))


def _scaled(events: EventSink, runtime: Runtime) -> None:
    events.emit("measuring", name="the weights in FP8 and smaller formats")
    try:
        scaled_formats.run(events, runtime)
    except Exception as error:  # noqa: BLE001 - it is one question of several
        events.emit("scaled-failed", error=describe(error))


def _log_ratios(events: EventSink, runtime: Runtime, spec: Spec) -> None:
    try:
        log_ratio.run(events, runtime, spec)
    except Exception as error:  # noqa: BLE001 - the recipes do not depend on it
        events.emit("log-ratio-failed", dtype="float32", error=describe(error))
