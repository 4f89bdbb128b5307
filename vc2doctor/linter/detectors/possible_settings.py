"""Settings outside of the code that may train a program in half precision: shell scripts, and dtypes in configurations.

A script can write DeepSpeed's file itself, and a configuration can name the dtype that the code loads weights in.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from vc2doctor.linter.analyse.dtypes import BFLOAT16, FLOAT16, Dtype
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.trained_classes import training_modules
from vc2doctor.linter.read.module import Module

_BLOCK = re.compile(r"\"(fp16|bf16)\"\s*:\s*\{\s*\"enabled\"\s*:\s*(true|\$)")
"""DeepSpeed's block in a file that a shell script writes: ``"bf16": {"enabled": ${DS_BF16}}``."""
_IS_OF_ENGINE = re.compile(r"zero_optimization|deepspeed", re.IGNORECASE)
_PROGRAM = re.compile(r"[\w./-]+\.py\b")
_REGIONS = re.compile(r"mixed_precision\s*=|autocast\(|MixedPrecision\w*\(")
"""What takes losses to float32, or casts parameters itself."""
_DTYPES = {"fp16": FLOAT16, "bf16": BFLOAT16, "float16": FLOAT16, "bfloat16": BFLOAT16}


class HalfSetting(NamedTuple):
    """A setting that makes the models of some programs half as a whole."""

    starts: frozenset[Module]
    dtypes: frozenset[Dtype]
    why: str


def engines_in_scripts(facts: Facts, unit: Unit) -> Iterator[HalfSetting]:
    """Yield the programs of shell scripts that write a file for DeepSpeed with half precision on, or left open."""
    for name, data in facts.code.files.texts.items():
        if not name.endswith((".sh", ".slurm", ".sbatch")) or not name.startswith(unit.folder):
            continue
        text = data.decode("utf-8", errors="replace")
        blocks = list(_BLOCK.finditer(text))
        if not blocks or _IS_OF_ENGINE.search(text) is None:
            continue
        named = {path.rpartition("/")[2] for path in _PROGRAM.findall(text)}
        programs = frozenset(each for each in unit.modules if each.name.rpartition("/")[2] in named)
        line = text.count("\n", 0, blocks[0].start()) + 1
        why = f"{name}:{line} writes a file for DeepSpeed that can turn half precision on"
        yield HalfSetting(programs, frozenset(_DTYPES[each.group(1)] for each in blocks), why)


def dtypes_in_configs(facts: Facts, unit: Unit) -> Iterator[HalfSetting]:
    """Yield the programs that load their weights in a half precision that a configuration names, without a region."""
    texts = [module.source.text for module in unit.modules]
    if any(_REGIONS.search(text) for text in texts):
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
