"""One process of the door ``ddp``: trains the tiny model with the gradients averaged over all processes."""

import argparse
import importlib
import json
import os
from typing import List

from ..doors.ddp import RANKS
from ..runtime import Runtime
from ..shared.spec import Spec
from .door_kit import Kit, leave_running_job


def main(arguments: List[str]) -> int:
    """Train as process ``--rank``, and write losses and a digest of the adapters into ``--folder``."""
    parser = argparse.ArgumentParser(prog="worker")
    parser.add_argument("--rank", type=int, required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--without-adapters", action="store_true")
    options = parser.parse_args(arguments)
    leave_running_job()
    torch, transformers = importlib.import_module("torch"), importlib.import_module("transformers")
    peft = None if options.without_adapters else importlib.import_module("peft")
    torch.set_num_threads(1)
    store = "file://" + os.path.join(options.folder, "store")
    torch.distributed.init_process_group("gloo", init_method=store, rank=options.rank, world_size=RANKS)
    # Each process gets other batches, as a DistributedSampler would give it.
    kit = Kit(Runtime(torch, transformers, peft, torch.device("cpu")), Spec(seed=0), options.folder)
    model = torch.nn.parallel.DistributedDataParallel(kit.adapted())
    kit.spec = kit.spec._replace(seed=options.rank)
    losses = kit.train_loop(model)
    adapters = [float(p.detach().double().sum()) for p in model.parameters() if p.requires_grad]
    result = {"losses": losses, "moved": kit.moved(), "adapters": adapters}
    with open(os.path.join(options.folder, "rank%d.json" % options.rank), "w", encoding="utf-8") as file:
        json.dump(result, file)
    torch.distributed.destroy_process_group()
    return 0
