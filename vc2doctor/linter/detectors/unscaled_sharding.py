"""torch's FSDP in float16 without the scaler that it needs."""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.dtype_choices import choice_of
from vc2doctor.linter.analyse.dtypes import FLOAT16
from vc2doctor.linter.analyse.expressions import value_at
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.stage import Stage
from vc2doctor.linter.model import CodeFinding, CodePlace
from vc2doctor.linter.read.module import Call, Module, last_name

_POLICIES = ("MixedPrecision", "MixedPrecisionPolicy")
"""What FSDP takes its dtypes from; the second is that of ``fully_shard``."""
_DTYPES = ("param_dtype", "reduce_dtype")
"""The arguments that decide in which dtype gradients are computed and summed."""
_SCALING = frozenset({"lightning", "pytorch_lightning", "accelerate", "deepspeed"})
"""Packages that scale the loss themselves."""
_URL = "https://docs.pytorch.org/docs/stable/fsdp.html#torch.distributed.fsdp.MixedPrecision"


def unscaled_sharding(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Yield the policies of FSDP whose gradients are float16 in a program that scales no loss."""
    for name in _POLICIES:
        for call in unit.calls.get(name, []):
            dotted = call.place.module.dotted(call.node.func)
            found = _float16_argument(facts, call) if dotted.startswith("torch.distributed") else None
            if found is not None and _trains_unscaled(facts, unit, call.place.module):
                argument, option = found
                chosen = f" if {option} says so" if option else ""
                yield build.at_node(
                    call.place.module,
                    call.node,
                    "VC104",
                    Severity.WARNING if option.startswith("--") or not option else Severity.NOTE,
                    f"FSDP has {argument} float16{chosen}, and nothing scales the loss: small gradients become zero, "
                    "and the first overflow makes every trainable tensor NaN",
                    evidence=("no module of the program makes a GradScaler",),
                    remedy="Use ShardedGradScaler of torch.distributed.fsdp.sharded_grad_scaler, or bfloat16.",
                    url=_URL,
                    role="scaler",
                    also=tuple(_uses(facts, unit, call)),
                )


def _uses(facts: Facts, unit: Unit, policy: Call) -> Iterator[CodePlace]:
    """Yield where the code of other files chooses a policy that a module level names: ``policy = fpSixteen``."""
    place = policy.place
    targets = place.statement.targets if isinstance(place.statement, ast.Assign) and not place.function.name else []
    names = {last_name(target) for target in targets}
    for module in unit.modules if names else ():
        is_imported = module is not place.module and place.module in facts.code.import_closure(module)
        for at in module.statements if is_imported else ():
            value = at.statement.value if isinstance(at.statement, ast.Assign) else None
            if isinstance(value, ast.Name) and value.id in names:
                yield build.place_of(module, value)


def _float16_argument(facts: Facts, call: Call) -> tuple[str, str] | None:
    """Return the argument of a policy that is float16, and the option that chooses it; ``None``: none is.

    A branch that the option's default does not reach is one that its other texts reach.
    """
    if facts.stages.of(call.place) is Stage.INFERS:
        return None
    is_reached = facts.values.is_reached(call.place) is not False
    for position, name in enumerate(_DTYPES):
        value = call.argument(name, position)
        if value is None:
            continue
        choice = choice_of(facts, value, call.place)
        if choice is not None and FLOAT16 in choice.dtypes:
            return name, f"--{choice.option}"
        if is_reached and facts.values.dtypes(value, call.place) == {FLOAT16}:
            return name, ""
        key = _key_of(value, call)
        if is_reached and key:
            return name, key
    return None


def _key_of(value: ast.expr, call: Call) -> str:
    """Return the key whose text is the name of the dtype, whatever it is: ``getattr(torch, cfg.policy_dtype)``."""
    value, _ = value_at(value, call.place)
    branches = [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]
    for branch in branches:
        match branch:
            case ast.Call(func=ast.Name(id="getattr"), args=[ast.Name(id="torch"), ast.Attribute(attr=key)]):
                return key
    return ""


def _trains_unscaled(facts: Facts, unit: Unit, module: Module) -> bool:
    """Return whether the programs of a module run backward passes of their own, and no part of them scales a loss."""
    together = facts.code.together_with(module) | {module}
    has_loop = any(loop.function.module in together for loop in facts.loops.of(unit))
    return has_loop and not any("GradScaler" in each.source.text or _imports_scaling(each) for each in together)


def _imports_scaling(module: Module) -> bool:
    return any(dotted.partition(".")[0] in _SCALING for dotted in module.imports.values())
