"""Settings of 4-bit quantization that bitsandbytes ignores, because the call asks for 8-bit weights."""

import ast
from collections.abc import Iterator

from vc2doctor.core.wording import enumerated
from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.stage import Stage
from vc2doctor.linter.model import CodeFinding

_URL = "https://huggingface.co/docs/transformers/main_classes/quantization#transformers.BitsAndBytesConfig"


def ignored_quantization(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Yield ``BitsAndBytesConfig(load_in_8bit=True, bnb_4bit_compute_dtype=…)`` without ``load_in_4bit``."""
    for call in unit.calls.get("BitsAndBytesConfig", []):
        if call.is_open or facts.stages.of(call.place) is Stage.INFERS:
            continue
        ignored = [name for name in call.keywords() if name.startswith("bnb_4bit_")]
        eight, four = call.argument("load_in_8bit"), call.argument("load_in_4bit")
        is_eight = isinstance(eight, ast.Constant) and eight.value is True
        is_four = four is not None and facts.values.truth(four, call.place) is not False
        if ignored and is_eight and not is_four:
            yield build.at_node(
                call.place.module,
                call.node,
                "VC106",
                Severity.NOTE,
                f"load_in_8bit is on, so {', '.join(ignored)} have no effect: int8 layers compute in float16",
                evidence=("the keys that begin with bnb_4bit_ are read for load_in_4bit=True only",),
                remedy=f"Write load_in_4bit=True in place of load_in_8bit=True if 4-bit weights are meant (both"
                f" together raise ValueError), else leave {enumerated(ignored)} out.",
                url=_URL,
                role="config",
            )
