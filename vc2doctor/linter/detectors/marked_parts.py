"""Parts of a half model that code marks as trained: adapters that are added in place, and parts that it unfreezes.

``add_adapter`` of diffusers and transformers makes the adapters in the dtype of the base, and takes none to float32.
https://github.com/huggingface/peft/blob/main/src/peft/mapping.py (``inject_adapter_in_model``)
"""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.asked import names_engine
from vc2doctor.linter.analyse.dtypes import FLOAT16
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.stage import Stage
from vc2doctor.linter.detectors.trained_dtype import BFLOAT16_EFFECT, kept_at, large_rate
from vc2doctor.linter.detectors.weight_causes import Cause, cause_of
from vc2doctor.linter.knowledge.optimizers import PLAIN_OPTIMIZERS
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, Module

_UPCASTS = ("cast_training_params", "param.data.float()", "p.data.float()", "upcast")
"""What a module has that takes trained parameters to float32.

https://huggingface.co/docs/diffusers/main/en/api/utilities (``cast_training_params``)
"""


def marked_parts(facts: Facts) -> Iterator[CodeFinding]:
    """Yield what is marked as trained in a model that is half, and is given to a plain optimizer (VC109)."""
    reported: set[ast.expr] = set()
    for module in facts.code.files.modules.values():
        marks = [call for call in module.calls if _marks(call)]
        optimizers = (
            [call for call in module.calls if call.name in PLAIN_OPTIMIZERS and call.node.args] if marks else []
        )
        if not optimizers or _is_upcast(module) or names_engine(facts, module):
            continue
        for mark in marks:
            is_trained = facts.stages.of(mark.place) is not Stage.INFERS and facts.values.is_reached(mark.place)
            cause = cause_of(facts, facts.lineages.of(mark.receiver, mark.place)) if is_trained else None
            if cause is not None and cause.node not in reported:
                reported.add(cause.node)
                yield _finding(facts, mark, cause, optimizers)


def _marks(call: Call) -> bool:
    """Return whether a call adds adapters to a model in place, or unfreezes a part: ``net.requires_grad_(True)``."""
    if not isinstance(call.node.func, ast.Attribute) or not isinstance(call.receiver, ast.Name | ast.Attribute):
        return False
    if call.name == "add_adapter":
        return bool(call.node.args or call.node.keywords)
    argument = call.node.args[0] if call.node.args else None
    return call.name == "requires_grad_" and isinstance(argument, ast.Constant) and argument.value is True


def _is_upcast(module: Module) -> bool:
    return any(text in module.source.text for text in _UPCASTS)


def _finding(facts: Facts, mark: Call, cause: Cause, optimizers: list[Call]) -> CodeFinding:
    rate = large_rate(facts, optimizers)
    is_float16 = cause.dtype == FLOAT16
    dtype = "float16" if is_float16 else "bfloat16"
    what = "the adapters are made" if mark.name == "add_adapter" else f"{build.code(mark.receiver)} is trained"
    effect = (
        "a GradScaler raises an error for them, and without a scaler small updates are lost"
        if is_float16
        else BFLOAT16_EFFECT
    )
    place = build.place_of(cause.module, cause.node)
    return build.at_node(
        mark.place.module,
        mark.node,
        "VC109",
        Severity.NOTE if rate is not None and not is_float16 else Severity.WARNING,
        f"{what} in {dtype} like the base: {effect}",
        evidence=tuple(filter(None, (f"{place.location} {build.code(cause.node)}", kept_at(rate)))),
        remedy="Take what is trained to float32 before the optimizer gets it: "
        "for p in model.parameters(): if p.requires_grad: p.data = p.data.float().",
        url=build.AMP_EXAMPLES_URL,
        role="cast",
        # The base that adapters are added to is right in a half precision: only the part that is trained is not.
        also=() if mark.name == "add_adapter" else (place,),
    )
