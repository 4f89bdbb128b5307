"""The order of one probe run: import, device, every recipe, the adapter's way to disk and back."""

import argparse
import importlib
import os
import platform
import sys
import time
from typing import Any, Dict, List, Optional

from . import WORKER_VERSION, adapter, training
from . import device as devices
from .errors import describe
from .protocol import PROTOCOL, Events
from .recipes import RECIPES

_PACKAGES = ("torch", "transformers", "peft")


def main(arguments: List[str]) -> int:
    """Run the probe as the command line asks; whatever goes wrong in the target becomes an event."""
    options = _parse(arguments)
    events = Events(options.events)
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
    return parser.parse_args(arguments)


def _import(events: Events) -> Optional[Dict[str, Any]]:
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


def _measure(events: Events, packages: Dict[str, Any], options: argparse.Namespace) -> None:
    torch = packages["torch"]
    try:
        device = devices.choose(torch, options.device)
        events.emit("device", **devices.describe(torch, device))
    except Exception as error:  # noqa: BLE001 - a driver may fail in any way
        events.emit("device-failed", device=options.device, error=describe(error))
        return
    stack = training.Stack(torch, packages["transformers"], packages["peft"], device)
    adapter_done = False
    for name in options.recipes.split(","):
        recipe = RECIPES[name]
        events.emit("recipe", recipe=name)
        trained = training.run(events, stack, recipe)
        if trained is not None and not adapter_done:
            adapter.run(events, stack, recipe, trained)
            adapter_done = True
    sys.stdout.flush()
