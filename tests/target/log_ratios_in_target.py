"""Compares trainer and rollout on the miniature in a target interpreter: ``PYTHON -B SCRIPT TARGET_FOLDER``."""

import importlib
import json
import sys

import peft
import torch
import transformers
from worker_package import EventList, load_package

load_package(sys.argv[1])
log_ratio, specs, runtime = (
    importlib.import_module("worker." + name) for name in ("probe.log_ratio", "shared.spec", "runtime")
)

if __name__ == "__main__":
    torch.set_num_threads(1)
    sink = EventList()
    stack = runtime.Runtime(torch, transformers, peft, torch.device("cpu"))
    log_ratio.run(sink, stack, specs.Spec(model="language", rl=True))
    ended = torch.tensor([[5] * 8 + [3, 2, 2], [2] * 8 + [2, 3, 2]])
    mask = log_ratio._until_end(torch, ended, 2)
    sys.stdout.write(json.dumps({"events": sink.events, "mask": mask[:, 8:].tolist()}, allow_nan=False) + "\n")
