"""The door ``torch.nn.parallel.DistributedDataParallel``: two processes on the CPU that exchange gradients by gloo."""

import importlib
import json
import os
import subprocess
import sys
from typing import Any, Dict, List, Optional

from . import Door, Unavailable

RANKS = 2
TIMEOUT = 120
"""Seconds for both processes together: each imports the stack."""


def _load() -> None:
    importlib.import_module("torch.nn.parallel").DistributedDataParallel  # noqa: B018 - the import is what is tried


def _train(kit: Any) -> List[Optional[float]]:
    distributed = kit.runtime.torch.distributed
    if not distributed.is_available() or not getattr(distributed, "is_gloo_available", lambda: True)():
        raise Unavailable("this torch was built without gloo")
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    # The processes meet through a file, and talk over the loopback interface only.
    variables = {**os.environ, "GLOO_SOCKET_IFNAME": _loopback()}
    processes = [
        subprocess.Popen(
            [sys.executable, package, "--rank", str(rank), "--folder", kit.folder],
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for rank in range(RANKS)
    ]
    try:
        errors = [process.communicate(timeout=TIMEOUT)[1].decode("utf-8", "replace").strip() for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, text in zip(processes, errors):
        if process.returncode:
            raise RuntimeError("a process of two ended with %d: %s" % (process.returncode, text[-1000:]))
    results: List[Dict[str, Any]] = []
    for rank in range(RANKS):
        with open(os.path.join(kit.folder, "rank%d.json" % rank), encoding="utf-8") as file:
            results.append(json.load(file))
    if results[0]["adapters"] != results[1]["adapters"]:
        raise RuntimeError("the two processes hold different adapters after a step: the gradients were not averaged")
    kit.reported_movement = min(result["moved"] for result in results)
    losses: List[Optional[float]] = results[0]["losses"]
    return losses


def _loopback() -> str:
    return "lo0" if sys.platform == "darwin" else "lo"


DOOR = Door(
    name="ddp",
    title="DDP with two processes",
    modules=(),
    signs=("torch.nn.parallel.DistributedDataParallel", "torch.nn.parallel.distributed.DistributedDataParallel"),
    load=_load,
    train=_train,
    fault="torch.nn.parallel:DistributedDataParallel.forward",
)
