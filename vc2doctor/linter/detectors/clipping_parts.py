"""accelerate's clipping of a part of a model under FSDP: the norm is that of the local shards."""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.loops import Loop
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, last_name

_MODELS = ("model", "policy", "unet", "transformer", "net", "actor", "critic")
_URL = "https://github.com/huggingface/accelerate/blob/main/src/accelerate/accelerator.py"
"""``clip_grad_norm_`` calls that of FSDP only where it gets all parameters of a prepared model."""


def clipping_of_parts(facts: Facts, loop: Loop) -> Iterator[CodeFinding]:
    """Yield accelerate's clipping of one part of a model in a program that a command starts with FSDP (VC105)."""
    module = loop.function.module
    parts = [call for call in module.calls_in(loop.function) if _is_of_part(call)]
    place = _fsdp(facts, loop) if parts else None
    if place is not None:
        first, *others = parts
        yield build.at_node(
            module,
            first.node,
            "VC105",
            Severity.NOTE,
            "under FSDP accelerate clips by the whole norm only for all parameters of a prepared model: this part may "
            "be clipped by the norm of its local shard",
            evidence=(f"FSDP is asked for in {place}",),
            remedy="Give clip_grad_norm_ model.parameters() of the prepared model.",
            url=_URL,
            also=tuple(build.place_of(module, call.node) for call in others),
        )


def _is_of_part(call: Call) -> bool:
    """Return whether a call clips ``self.policy.v_head.parameters()``: the parameters of a child of a model."""
    parameters = call.argument("parameters", 0)
    is_clipping = call.name == "clip_grad_norm_" and "accelerator" in ast.unparse(call.receiver)
    match parameters:
        case ast.Call(func=ast.Attribute(attr="parameters", value=ast.Attribute(value=owner, attr=name))):
            is_child = last_name(owner) in _MODELS and name != "module"
            return is_clipping and is_child
    return False


def _fsdp(facts: Facts, loop: Loop) -> str | None:
    """Return the file of accelerate that asks for FSDP in a unit; ``None``: none does."""
    for run in facts.runs.of(facts.code.unit_of(loop.function.module)):
        for settings in run.of("accelerate"):
            kind = facts.runs.entry(settings.path, "distributed_type")
            if kind is not None and kind.value == "FSDP":
                return settings.path
    return None
