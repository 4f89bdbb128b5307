"""The dtype that a 4-bit base computes in, against the precision of its trainer."""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.asked import Asked, asked_of
from vc2doctor.linter.analyse.dtypes import BFLOAT16, FLOAT16, Dtype
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.lineage import Trained
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call
from vc2doctor.linter.to_bfloat16 import float16_to_bfloat16

_URL = "https://huggingface.co/docs/transformers/quantization/bitsandbytes#compute-data-type"
_KEY = "bnb_4bit_compute_dtype"


def quantized_compute(facts: Facts) -> Iterator[CodeFinding]:
    """Yield compute dtypes of 4-bit bases that contradict what the trainer is asked for."""
    reported: set[ast.expr] = set()
    for trained in facts.lineages.trained:
        asked = asked_of(facts, trained)
        wanted = FLOAT16 if asked.scales_float16 else BFLOAT16 if asked.bf16 else None
        for config, argument in _compute_dtypes(facts, trained) if wanted is not None else ():
            dtypes = facts.values.dtypes(argument, config.place)
            computed = next(iter(dtypes)) if len(dtypes) == 1 else None
            is_other = computed in (FLOAT16, BFLOAT16) and computed != wanted
            if is_other and isinstance(computed, Dtype) and wanted is not None and argument not in reported:
                reported.add(argument)
                yield _contradiction(config, argument, computed, asked)


def _compute_dtypes(facts: Facts, trained: Trained) -> Iterator[tuple[Call, ast.expr]]:
    """Yield the calls that configure the quantization of a model, with the argument for the dtype."""
    for maker in trained.lineage.makers:
        config = maker.argument("quantization_config")
        for call in facts.objects.of(config, maker.place).calls() if config is not None else ():
            argument = call.argument(_KEY)
            if argument is not None:
                yield call, argument


def _contradiction(config: Call, argument: ast.expr, computed: Dtype, asked: Asked) -> CodeFinding:
    module = config.place.module
    wanted = FLOAT16 if asked.scales_float16 else BFLOAT16
    return build.at_node(
        module,
        argument,
        "VC106",
        Severity.WARNING,
        f"the 4-bit base computes in {computed.name}, and its trainer in {wanted.name}: the two contradict each other",
        evidence=(asked.why,),
        also=(asked.place,) if asked.place is not None else (),
        remedy=f"Write {_KEY}=torch.{wanted.name}"
        + (", or ask the trainer for bf16 instead of fp16." if wanted == FLOAT16 else "."),
        url=_URL,
        role="config",
        cause="float16" if computed == FLOAT16 else None,
        bf16_edits=float16_to_bfloat16(module, argument) if computed == FLOAT16 else (),
        if_missed="the 4-bit layers still compute in float16" if computed == FLOAT16 else None,
    )
