"""Adapter layers that a loop over the modules of a model casts to half precision.

QLoRA's script has it, and many programs copied it: ``if isinstance(module, LoraLayer): module.to(torch.bfloat16)``.
https://github.com/artidoro/qlora/blob/main/qlora.py
"""

import ast
import re
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.asked import always_has_engine
from vc2doctor.linter.analyse.autocast import HALF_DTYPES, dtype_names
from vc2doctor.linter.analyse.dtypes import FLOAT16
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.stage import Stage
from vc2doctor.linter.analyse.weights import Cast
from vc2doctor.linter.detectors.half_by_argument import keyed_dtypes
from vc2doctor.linter.detectors.trained_dtype import BFLOAT16_EFFECT
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Place, root_name
from vc2doctor.linter.read.syntax import walk

_ADAPTERS = re.compile(r"lora|adapter|peft|\bIA3|prompt_encoder", re.IGNORECASE)
_ENGINE = re.compile(r"^[^#\n]*(import|from) .*(deepspeed|megatron|colossalai)", re.MULTILINE | re.IGNORECASE)
_WHOLE = ("modules()", "parameters()")


def cast_adapter_layers(facts: Facts) -> Iterator[CodeFinding]:
    """Yield the casts of adapter layers in loops over a model (VC109): what is trained becomes half."""
    for cast in facts.weights.casts:
        place = cast.call.place
        is_half = bool(cast.dtypes) and cast.dtypes <= HALF_DTYPES and cast.stage is not Stage.INFERS
        if not is_half or not place.loop_depth or not _is_of_adapters(cast) or _ENGINE.search(place.module.source.text):
            continue
        has_engine = always_has_engine(facts, place.module)
        effect = "a scaler raises an error for them" if cast.dtypes == {FLOAT16} else BFLOAT16_EFFECT
        # What an option turns on, and a setting that no run is known for, can both be off.
        is_certain = facts.values.is_reached(place) is True and not has_engine
        yield build.at_node(
            place.module,
            cast.call.node,
            "VC109",
            Severity.NOTE,
            f"the adapters {'are' if is_certain else 'may be'} {dtype_names(cast.dtypes)}, and are trained without "
            f"float32 copies: {effect}",
            evidence=(
                *(f"under {build.code(condition)}" for condition, _ in place.conditions),
                *(("the commands here train with an engine, which keeps float32 copies",) if has_engine else ()),
            ),
            remedy="Leave the adapters in float32: autocast computes in half precision all the same.",
            url="https://github.com/artidoro/qlora/blob/main/qlora.py",
            role="cast",
        )


def keyed_adapter_layers(facts: Facts) -> Iterator[CodeFinding]:
    """Yield the same casts where a key of a configuration is the dtype: ``module.to(getattr(torch, cfg.dtype))``."""
    for module in facts.code.files.modules.values():
        for call in module.calls if _ADAPTERS.search(module.source.text) else ():
            argument = call.node.args[0] if call.name == "to" and len(call.node.args) == 1 else None
            if argument is None or not call.place.loop_depth or not _is_of_looped(call.receiver, call.place):
                continue
            found = next(keyed_dtypes(facts, argument, call), None)
            known = facts.values.dtypes(argument, call.place)
            if found is not None and not (known and known <= HALF_DTYPES):
                yield build.at_node(
                    module,
                    call.node,
                    "VC109",
                    Severity.NOTE,
                    f"the adapters may be {dtype_names(frozenset({found[0]}))}, and are trained without float32 "
                    f"copies: {BFLOAT16_EFFECT}",
                    evidence=(f"{build.code(argument)} is set at {found[1].location}",),
                    remedy="Leave the adapters in float32: autocast computes in half precision all the same.",
                    url="https://github.com/artidoro/qlora/blob/main/qlora.py",
                    role="cast",
                    also=(found[1],),
                )


def _is_of_adapters(cast: Cast) -> bool:
    return _is_of_looped(cast.receiver, cast.call.place)


def _is_of_looped(receiver: ast.expr, place: Place) -> bool:
    """Return whether a cast is of what a loop over a model gives, under a condition that names adapters."""
    asks = any(wanted and _ADAPTERS.search(ast.unparse(condition)) for condition, wanted in place.conditions)
    name = root_name(receiver)
    return asks and any(
        isinstance(node, ast.For)
        and ast.unparse(node.iter).endswith(_WHOLE)
        and any(isinstance(target, ast.Name) and target.id == name for target in ast.walk(node.target))
        for node in walk(place.function.node)
    )
