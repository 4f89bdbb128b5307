"""The door ``torch.nn.parallel.DistributedDataParallel``: two processes on the CPU that exchange gradients by gloo."""

import importlib
import json
import os
import subprocess
import sys
import time
from typing import Any, Dict, List, Optional, Sequence

from . import Door, Unavailable

RANKS = 2
TIMEOUT = 120.0
"""Seconds for both processes together: each imports the stack."""
_POLL_SECONDS = 0.1


def _load() -> None:
    importlib.import_module("torch.nn.parallel").DistributedDataParallel  # noqa: B018 - the import is what is tried


def _train(kit: Any) -> List[Optional[float]]:
    distributed = kit.runtime.torch.distributed
    if not distributed.is_available() or not getattr(distributed, "is_gloo_available", lambda: True)():
        raise Unavailable("this torch was built without gloo")
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    command = [sys.executable, package, "--folder", kit.folder, *([] if kit.has_adapters else ["--without-adapters"])]
    run_ranks([[*command, "--rank", str(rank)] for rank in range(RANKS)], kit.folder)
    results: List[Dict[str, Any]] = []
    for rank in range(RANKS):
        with open(os.path.join(kit.folder, "rank%d.json" % rank), encoding="utf-8") as file:
            results.append(json.load(file))
    if results[0]["adapters"] != results[1]["adapters"]:
        raise RuntimeError("the two processes hold different adapters after a step: the gradients were not averaged")
    kit.reported_movement = min(result["moved"] for result in results)
    losses: List[Optional[float]] = results[0]["losses"]
    return losses


def run_ranks(commands: Sequence[Sequence[str]], folder: str, timeout: float = TIMEOUT) -> None:
    """Run the commands of all processes at the same time; what they print to standard error goes to ``folder``.

    Raises:
        RuntimeError: one of them failed. The others are ended at once, because they would wait for it.
        Unavailable: they did not end in time. A busy machine is no failure of the door.
    """
    # The processes meet through a file, and talk over the loopback interface only.
    variables = {**os.environ, "GLOO_SOCKET_IFNAME": loopback()}
    paths = [os.path.join(folder, "rank%d.txt" % rank) for rank in range(len(commands))]
    processes = []
    try:
        for command, path in zip(commands, paths):
            with open(path, "wb") as file:
                processes.append(_start(command, file, variables))
        codes = _exit_codes(processes, timeout)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    for code, path in zip(codes, paths):
        if code:
            raise RuntimeError("a process of two ended with %d: %s" % (code, _end_of(path)))
    if None in codes:
        raise Unavailable(
            "its %d processes did not end within %.0f s: this machine is busy, or they cannot reach each other over the"
            " loopback interface" % (len(commands), timeout)
        )


def _start(command: Sequence[str], errors: Any, variables: Dict[str, str]) -> Any:
    nothing = subprocess.DEVNULL
    return subprocess.Popen(command, env=variables, stdin=nothing, stdout=nothing, stderr=errors)


def _exit_codes(processes: Sequence[Any], timeout: float) -> List[Optional[int]]:
    """Return the exit codes when all have ended, one has failed, or the time is over; ``None``: it still runs."""
    deadline = time.monotonic() + timeout
    codes = [process.poll() for process in processes]
    while None in codes and not any(codes) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
        codes = [process.poll() for process in processes]
    return codes


def _end_of(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read().strip()[-1000:]


def loopback() -> str:
    """Return the name of the loopback interface, for gloo: without one it asks the name server for the host."""
    return "lo0" if sys.platform == "darwin" else "lo"


DOOR = Door(
    name="ddp",
    title="DDP with two processes",
    signs=("torch.nn.parallel.DistributedDataParallel", "torch.nn.parallel.distributed.DistributedDataParallel"),
    load=_load,
    train=_train,
    fault="torch.nn.parallel:DistributedDataParallel.forward",
)
