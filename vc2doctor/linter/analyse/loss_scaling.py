"""Loss scaling as loops use it: what a loop computes in, where it scales, and which scaler that can be."""

import ast

from vc2doctor.linter.analyse.autocast import Region
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.loops import Loop
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.scalers import Scaler
from vc2doctor.linter.analyse.stage import Stage, words
from vc2doctor.linter.analyse.values import Value
from vc2doctor.linter.read.module import Call, last_name


def computes_in(facts: Facts, unit: Unit, loop: Loop) -> frozenset[Value]:
    """Return what a loop's forward pass computes in: by its own regions, else its callers', else the unit's models'."""
    own = [
        region
        for region in loop.regions
        if facts.values.reached(region.place) is not False and region.autocast.enabled != {False}
    ]
    if own:
        return frozenset(value for region in own for value in region.dtypes)
    calling = _calling(facts, unit, loop)
    if calling:
        return frozenset(value for region in calling for value in region.dtypes)
    inner = [
        region
        for region in facts.autocast.regions
        if region.stage is Stage.TRAINS
        and region.helper is not None
        and facts.code.unit_of(region.place.module) is unit
    ]
    reach = facts.code.import_closure(loop.function.module)
    imported = [region for region in inner if region.place.module in reach]
    return frozenset(value for region in imported or inner for value in region.dtypes)


def _calling(facts: Facts, unit: Unit, loop: Loop) -> list[Region]:
    """Return the regions of functions that leave the backward pass to a scaler's wrapper: ``loss_scaler(loss, …)``."""
    if loop.function.name != "__call__":
        return []
    users = {
        call.place.function
        for name, calls in unit.calls.items()
        if "scaler" in words(name) and name != "GradScaler"
        for call in calls
        if isinstance(call.node.func, ast.Name)
    }
    return [
        region
        for region in facts.autocast.regions
        if region.stage is Stage.TRAINS and not region.autocast.off and region.place.function in users
    ]


def scaling(facts: Facts, loop: Loop) -> list[Call]:
    """Return the loop's calls of ``scaler.scale`` that can be reached."""
    return [
        call
        for call in loop.function.module.calls
        if call.place.function is loop.function
        and call.name == "scale"
        and _is_scaler(call)
        and facts.values.reached(call.place) is not False
    ]


def _is_scaler(call: Call) -> bool:
    return isinstance(call.node.func, ast.Attribute) and "scaler" in words(last_name(call.node.func.value))


def scalers_of(facts: Facts, unit: Unit, loop: Loop) -> list[Scaler]:
    """Return the constructions that a loop's scaler can come from: those of modules it imports, if any."""
    mine = [scaler for scaler in facts.scalers.all if facts.code.unit_of(scaler.call.place.module) is unit]
    near = facts.code.import_closure(loop.function.module)
    close = [scaler for scaler in mine if scaler.call.place.module in near]
    return close or mine


def follows_the_dtype(facts: Facts, scaler: Scaler) -> bool:
    """Say whether ``enabled=`` asks for float16 itself: ``dtype == "float16"``, or a key that is not the switch."""
    enabled = scaler.call.argument("enabled")
    text = ast.unparse(enabled) if enabled is not None else ""
    return (
        "float16" in text
        or "bf16" in text
        or "bfloat16" in text
        or (enabled is not None and facts.values.decide(enabled, scaler.call.place) is False)
    )
