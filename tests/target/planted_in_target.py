"""Trains planted faults in a target interpreter: ``PYTHON -B planted_in_target.py TARGET_FOLDER FOLDER``.

Reads lines with an entry and a recipe from its input, and prints for each the list of the worker's events as JSON. One
process for all of them: importing the stack takes longer than training.
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
rounds, specs, runtime = (
    importlib.import_module("worker." + name) for name in ("probe.rounds", "shared.spec", "runtime")
)


def train(entry: str, recipe: str) -> List[Dict[str, Any]]:
    """Return the events of the control and of ``recipe``."""
    sink = EventList()
    names = list(dict.fromkeys(("fp32", recipe)))
    stack = runtime.Runtime(torch, transformers, peft, torch.device("cpu"))
    spec = specs.Spec(entry=entry)
    # As a user's run does it: the forward passes that measure ranges also see how a loss compares its operands.
    rounds.measure_headroom(sink, stack, spec)
    rounds.run(sink, stack, spec, names)
    events: List[Dict[str, Any]] = sink.events
    return events


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.path.insert(0, sys.argv[2])
    for line in sys.stdin:
        sys.stdout.write(json.dumps(train(*line.split()), allow_nan=False) + "\n")
