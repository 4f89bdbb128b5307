"""Trains entries in several ways in a target interpreter: ``PYTHON -B variants_in_target.py TARGET_FOLDER FOLDER``.

Reads lines with an entry, a recipe and a variant from its input, and prints for each the list of the worker's events.
"""

import importlib
import json
import sys
from typing import Any, Dict, List

import peft
import torch
import transformers
from worker_package import EventList, load_package

load_package(sys.argv[1])
rounds, variants, specs, runtime = (
    importlib.import_module("worker." + name) for name in ("probe.rounds", "probe.variants", "shared.spec", "runtime")
)


def train(entry: str, recipe: str, variant: str) -> List[Dict[str, Any]]:
    """Return the events of the control and of ``recipe``, without and with ``variant``."""
    sink = EventList()
    names = tuple(dict.fromkeys(("fp32", recipe)))
    stack = runtime.Runtime(torch, transformers, peft, torch.device("cpu"))
    spec = specs.Spec(entry=entry, variants=(variant,), variant_recipes=names)
    rounds.run(sink, stack, spec, names)
    variants.run(sink, stack, spec)
    events: List[Dict[str, Any]] = sink.events
    return events


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.path.insert(0, sys.argv[2])
    for line in sys.stdin:
        sys.stdout.write(json.dumps(train(*line.split()), allow_nan=False) + "\n")
