"""The precision of a Lightning trainer that is built from a file: ``Trainer(**cfg.train.trainer_args)``."""

import ast
from collections.abc import Iterator
from typing import NamedTuple

from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.trainer_calls import is_of_lightning
from vc2doctor.linter.read.config import Config, ConfigEntry
from vc2doctor.linter.read.module import Call, Module

_PRECISIONS = {"16": "fp16", "16-mixed": "fp16", "bf16": "bf16", "bf16-mixed": "bf16"}
"""https://lightning.ai/docs/pytorch/stable/common/trainer.html#precision"""


class FilePrecision(NamedTuple):
    """A half precision in a file that a trainer may be built from."""

    value: str
    place: str
    """Its place and text, as evidence."""


def precisions_in_files(facts: Facts, module: Module) -> Iterator[FilePrecision]:
    """Yield the half precisions of the files from which a program with a module may build Lightning's trainer."""
    unit = facts.code.unit_of(module)
    # A name in a file is imported, too: `instantiate(cfg.model)`.
    programs = (
        each for each in unit.modules if "instantiate(" in each.source.text or module in facts.code.import_closure(each)
    )
    if any(_is_built_from_file(call) for each in programs for call in each.calls):
        for config in unit.configs:
            for entry in config.entries:
                value = _PRECISIONS.get(str(entry.value)) if _is_of_trainer(config, entry) else None
                if value is not None:
                    yield FilePrecision(value, f"{config.name}:{entry.line} precision: {entry.value}")


def _is_built_from_file(call: Call) -> bool:
    """Return whether a call makes Lightning's trainer from keys of a file."""
    is_of_hydra = call.name == "instantiate" and "trainer" in ast.unparse(call.node)
    return is_of_hydra or (is_of_lightning(call) and call.is_open)


def _is_of_trainer(config: Config, entry: ConfigEntry) -> bool:
    """Return whether an entry is the ``precision`` of a block, a file or a folder that is named after the trainer."""
    block, _, name = entry.key.rpartition(".")
    return name == "precision" and "trainer" in (block.rpartition(".")[2] or config.name.lower()).lower()
