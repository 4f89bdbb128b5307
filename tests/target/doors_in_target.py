"""Opens the doors in a target interpreter, once per planted fault: ``PYTHON -B doors_in_target.py TARGET DOOR…``.

Prints one JSON object: planted fault to the doors that failed, with their messages.
``test_doors.py`` asserts what they must be. One process does it all: importing the stack takes most of the time.
"""

import contextlib
import importlib
import json
import os
import sys
import tempfile
from typing import Any, Dict, Iterator, List

from worker_package import EventList, load_package

MESSAGE = "planted fault"


def _raise(*_: Any, **__: Any) -> Any:
    raise RuntimeError(MESSAGE)


def _first_module(names: str) -> Any:
    *others, last = names.split("|")
    for name in others:
        with contextlib.suppress(ImportError):
            return importlib.import_module(name)
    return importlib.import_module(last)


@contextlib.contextmanager
def planted(fault: str) -> Iterator[None]:
    """Replace the function of a door's ``fault`` by one that raises, in this process and in those that it starts."""
    modules, _, path = fault.partition(":")
    owner = _first_module(modules)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    present = vars(owner).get(name, _raise)
    getattr(owner, name)  # the function exists, so that the fault is no typing mistake
    with tempfile.TemporaryDirectory() as folder:
        if fault.startswith("torch."):
            _plant_in_children(folder, modules, path)
        setattr(owner, name, _raise)
        try:
            yield
        finally:
            os.environ.pop("PYTHONPATH", None)
            if present is _raise:
                delattr(owner, name)
            else:
                setattr(owner, name, present)


def _plant_in_children(folder: str, module: str, path: str) -> None:
    """Let every Python that this process starts plant the fault: Python runs ``sitecustomize`` first."""
    lines = [
        "import importlib",
        "def fail(*_, **__):",
        "    raise RuntimeError(%r)" % MESSAGE,
        "importlib.import_module(%r).%s = fail" % (module, path),
    ]
    with open(os.path.join(folder, "sitecustomize.py"), "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    os.environ["PYTHONPATH"] = folder


def main(folder: str, doors: List[str]) -> Dict[str, Dict[str, str]]:
    """Return the failures at ``doors``, by planted fault."""
    load_package(folder)
    table, try_doors, specs, runtime = (
        importlib.import_module("worker." + name) for name in ("doors", "probe.try_doors", "shared.spec", "runtime")
    )
    torch, transformers, peft = (importlib.import_module(name) for name in ("torch", "transformers", "peft"))
    torch.set_num_threads(1)
    target = runtime.Runtime(torch, transformers, peft, torch.device("cpu"))
    failures = {}
    for fault in doors:
        sink = EventList()
        # DDP starts two processes more, so it is opened only for its own fault.
        opened = tuple(door for door in doors if door == fault or door != "ddp")
        with planted(table.DOORS[fault].fault):
            try_doors.run(sink, target, specs.Spec(model="language", doors=opened))
        ends = [event for event in sink.events if event["event"] == "door-end"]
        assert len(ends) == len(opened)
        failures[fault] = {event["door"]: event["error"]["message"] for event in ends if event["error"]}
    return failures


if __name__ == "__main__":
    result = main(sys.argv[1], sys.argv[2:])
    sys.stdout.write("\n" + json.dumps(result) + "\n")
