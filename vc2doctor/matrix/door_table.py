"""The doors: the ways into the stack by which verdicts on versions differ."""

from typing import NamedTuple

LOOP = "loop"
"""Import the stack, and train in a plain loop. Every other door goes through it."""


PASSED, FAILED = "passed", "failed"
"""Outcomes of a door in a line of evidence."""


class Door(NamedTuple):
    """A way into the stack."""

    parent: str
    """The door that it goes through: what rules that one out rules this one out as well; empty: none."""
    packages: tuple[str, ...]
    """The distributions that it needs beside the stack."""
    title: str
    """Its name in a sentence."""


DOORS = {
    LOOP: Door("", (), "a plain training loop"),
    "accelerate": Door(LOOP, ("accelerate",), "accelerate's Accelerator"),
    "trainer": Door("accelerate", ("accelerate",), "transformers' Trainer"),
    "adapter": Door(LOOP, (), "loading an adapter"),
    "kbit": Door(LOOP, ("bitsandbytes",), "k-bit training with bitsandbytes"),
    "sft": Door("trainer", ("trl",), "trl's SFTTrainer"),
    "dpo": Door("trainer", ("trl",), "trl's DPOTrainer"),
    "grpo": Door("trainer", ("trl",), "trl's GRPOTrainer"),
    "lightning": Door(LOOP, ("lightning",), "Lightning's Trainer"),
    "deepspeed": Door("accelerate", ("deepspeed",), "DeepSpeed"),
    "ddp": Door(LOOP, (), "distributed data parallel training"),
}
"""By name; each comes after its parent."""


def lineage(name: str) -> tuple[str, ...]:
    """Return a door and the doors that it goes through, the nearest first; an unknown door goes through the loop."""
    doors = [name]
    while doors[-1] != LOOP:
        doors.append(DOORS[doors[-1]].parent if doors[-1] in DOORS else LOOP)
    return tuple(doors)
