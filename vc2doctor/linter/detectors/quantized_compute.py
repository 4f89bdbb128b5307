"""The dtype that a 4-bit base computes in, against the precision of its trainer."""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.asked import Asked, asked_of
from vc2doctor.linter.analyse.dtypes import BFLOAT16, FLOAT16, Dtype
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.lineage import Trained
from vc2doctor.linter.analyse.stage import Stage
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call
from vc2doctor.linter.to_bfloat16 import float16_to_bfloat16

_URL = "https://huggingface.co/docs/transformers/quantization/bitsandbytes#compute-data-type"
_KEY = "bnb_4bit_compute_dtype"
_CONFIG = "BitsAndBytesConfig"


def quantized_compute(facts: Facts) -> Iterator[CodeFinding]:
    """Yield compute dtypes of 4-bit bases that contradict what the trainer is asked for."""
    reported: set[ast.expr] = set()
    for trained in facts.lineages.trained:
        asked = asked_of(facts, trained)
        wanted = FLOAT16 if asked.scales_float16 else BFLOAT16 if asked.bf16 else None
        for config, argument in compute_dtypes(facts, trained) if wanted is not None else ():
            dtypes = facts.values.dtypes(argument, config.place)
            computed = next(iter(dtypes)) if len(dtypes) == 1 else None
            is_other = computed in (FLOAT16, BFLOAT16) and computed != wanted
            if is_other and isinstance(computed, Dtype) and wanted is not None and argument not in reported:
                reported.add(argument)
                yield _contradiction(config, argument, computed, asked)


def compute_dtypes(facts: Facts, trained: Trained) -> Iterator[tuple[Call, ast.expr]]:
    """Yield the calls that configure the quantization of a model, with the argument for the dtype."""
    configs = [(maker.argument("quantization_config"), maker.place) for maker in trained.lineage.makers]
    calls = [
        call for config, place in configs if config is not None for call in facts.objects.of(config, place).calls()
    ]
    for call in calls or _only_config(facts, trained):
        argument = call.argument(_KEY)
        if argument is not None:
            yield call, argument


def _only_config(facts: Facts, trained: Trained) -> list[Call]:
    """Return the only 4-bit configuration beside a trainer, where it is handed on in a way that cannot be followed."""
    if not trained.is_by_trainer or any(_is_closed(maker) for maker in trained.lineage.makers):
        return []
    module = trained.consumer.place.module
    others = {each.consumer.node for each in facts.lineages.trained if each.consumer.place.module is module}
    configs = [call for call in module.calls if call.name == _CONFIG and call.argument(_KEY) is not None]
    is_only = len(configs) == 1 and len(others) == 1
    return configs if is_only and facts.stages.of(configs[0].place) is not Stage.INFERS else []


def _is_closed(load: Call) -> bool:
    """Return whether a call loads a model without keywords that only a dictionary has."""
    return load.name == "from_pretrained" and all(keyword.arg is not None for keyword in load.node.keywords)


def _contradiction(config: Call, argument: ast.expr, computed: Dtype, asked: Asked) -> CodeFinding:
    module = config.place.module
    wanted = FLOAT16 if asked.scales_float16 else BFLOAT16
    return build.at_node(
        module,
        argument,
        "VC106",
        Severity.WARNING,
        f"the 4-bit base computes in {computed.name}, and its trainer in {wanted.name}: the two contradict each other",
        evidence=(
            asked.why,
            f"each wins in its own layers: the 4-bit ones compute in {computed.name}, the others follow the trainer",
        ),
        also=(asked.place,) if asked.place is not None else (),
        remedy=f"Write {_KEY}=torch.{wanted.name}"
        + (", or ask the trainer for bf16 instead of fp16." if wanted == FLOAT16 else "."),
        url=_URL,
        role="config",
        cause="float16" if computed == FLOAT16 else None,
        bf16_edits=float16_to_bfloat16(module, argument) if computed == FLOAT16 else (),
        if_missed="the 4-bit layers still compute in float16" if computed == FLOAT16 else None,
    )
