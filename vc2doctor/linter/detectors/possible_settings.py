"""Settings outside of the code that may train a program in half precision: commands, and dtypes in configurations.

A script can write DeepSpeed's file itself, and a configuration can name the dtype that the code loads weights in.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from vc2doctor.linter.analyse.dtypes import BFLOAT16, FLOAT16, Dtype
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.trained_classes import training_modules
from vc2doctor.linter.read.config import ConfigEntry
from vc2doctor.linter.read.module import Module

_REGIONS = re.compile(r"mixed_precision\s*=|(?<!accelerator\.)autocast\(|MixedPrecision\w*\(")
"""What takes losses to float32, or casts parameters itself."""
_TRAINERS = re.compile(r"TrainingArguments|HfArgumentParser|TrlParser|\b(SFT|DPO|GRPO|KTO|Reward)Config\b|\bTrainer\(")
"""Trainers that open a region where a flag beside the dtype asks for it."""
_FLAGS = {"--fp16": FLOAT16, "--bf16": BFLOAT16}
_DTYPES = {"fp16": FLOAT16, "bf16": BFLOAT16, "float16": FLOAT16, "bfloat16": BFLOAT16}


class HalfSetting(NamedTuple):
    """A setting that makes the models of some programs half as a whole."""

    starts: frozenset[Module]
    dtypes: frozenset[Dtype]
    why: str


def engines_in_commands(unit: Unit) -> Iterator[HalfSetting]:
    """Yield the programs of commands that ask for half precision, and name a file for DeepSpeed that is not at hand.

    Scripts write that file themselves. A command beside them whose words are variables may ask for the same.
    """
    for launch in unit.launches:
        flag = launch.flags.get("--deepspeed")
        dtypes = frozenset(dtype for name, dtype in _FLAGS.items() if launch.turns_on(name))
        if flag is None or not dtypes or launch.is_documented:
            continue
        folder = launch.script.rpartition("/")[0]
        beside = (each for each in unit.launches if each.script.rpartition("/")[0] == folder and each.unresolved)
        programs = {each.program.rpartition("/")[2] for each in (launch, *beside) if not each.is_documented}
        starts = frozenset(each for each in unit.modules if each.name.rpartition("/")[2] in programs)
        why = f"a command of {launch.script} gives the model to DeepSpeed: --deepspeed {flag.value}"
        yield HalfSetting(starts, dtypes, why)
        return


def dtypes_in_configs(facts: Facts, unit: Unit) -> Iterator[HalfSetting]:
    """Yield the programs that load their weights in a half precision that a configuration names, without a region."""
    texts = [module.source.text for module in unit.modules]
    in_files = any(entry.key.endswith("mixed_precision") and entry.value in _DTYPES for entry in _entries(unit))
    if in_files or any(_REGIONS.search(text) or _TRAINERS.search(text) for text in texts):
        return
    for config in unit.configs:
        for entry in config.entries:
            key = entry.key.rpartition(".")[2]
            if not key.endswith("dtype") or str(entry.value) not in _DTYPES:
                continue
            read = re.compile(rf"getattr\(\s*torch,\s*[\w.]+\.{re.escape(key)}\b")
            readers = [module for module in unit.modules if read.search(module.source.text)]
            starts = frozenset(readers) & training_modules(facts, unit) or frozenset(readers)
            why = f"{config.name}:{entry.line} {entry.key}: {entry.value} is the dtype of the weights"
            yield HalfSetting(starts, frozenset([_DTYPES[str(entry.value)]]), why)


def _entries(unit: Unit) -> Iterator[ConfigEntry]:
    yield from (entry for config in unit.configs for entry in config.entries)
