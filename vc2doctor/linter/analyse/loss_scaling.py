"""Loss scaling in training loops: the dtypes that a loop computes in, where it scales the loss, and by which scaler."""

import ast

from vc2doctor.linter.analyse.autocast import Region
from vc2doctor.linter.analyse.dtypes import Value
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.loops import BACKWARD_AND_STEP, Loop
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.scalers import Scaler
from vc2doctor.linter.analyse.stage import Stage, words
from vc2doctor.linter.read.module import Call, Function, last_name, root_name

_SCALES_BY_ITSELF = {"accelerator", "engine", "fabric", "trainer"}
"""Objects whose ``backward`` scales the loss where that is needed."""


def compute_dtypes(facts: Facts, unit: Unit, loop: Loop) -> frozenset[Value]:
    """Return the dtypes that the forward pass of a loop computes in; empty: no autocast region is known.

    The regions of the loop itself decide, else those of its callers, else those inside the unit's models.
    """
    own = [
        region
        for region in loop.regions
        if facts.values.is_reached(region.place) is not False and not region.autocast.is_disabled
    ]
    regions = own or _regions_of_callers(facts, unit, loop) or _regions_of_models(facts, unit, loop)
    return frozenset(dtype for region in regions for dtype in region.dtypes)


def _regions_of_callers(facts: Facts, unit: Unit, loop: Loop) -> list[Region]:
    """Return the regions of functions that call a wrapper to run the backward pass: ``loss_scaler(loss, …)``."""
    if loop.function.name != "__call__":
        return []
    callers: set[Function] = {
        call.place.function
        for name, calls in unit.calls.items()
        if "scaler" in words(name) and name != "GradScaler"
        for call in calls
        if isinstance(call.node.func, ast.Name)
    }
    return [
        region
        for region in facts.autocast.regions
        if region.stage is Stage.TRAINS and not region.autocast.is_disabled and region.place.function in callers
    ]


def _regions_of_models(facts: Facts, unit: Unit, loop: Loop) -> list[Region]:
    """Return the regions that helpers open in the unit's models; if the loop imports some of the models, only those."""
    regions = [region for region in facts.autocast.training_regions(unit) if region.helper is not None]
    imported_modules = facts.code.import_closure(loop.function.module)
    return [region for region in regions if region.place.module in imported_modules] or regions


def scale_calls(facts: Facts, loop: Loop) -> list[Call]:
    """Return the calls of ``scaler.scale`` in a loop and what it calls, without those in branches never taken."""
    return [
        call
        for call in loop.calls
        if call.name == "scale" and is_on_scaler(facts, call) and facts.values.is_reached(call.place) is not False
    ]


def is_on_scaler(facts: Facts, call: Call) -> bool:
    """Return whether a method is called on a scaler: by the name of the object, or by what made it."""
    if not isinstance(call.node.func, ast.Attribute):
        return False
    receiver = call.node.func.value
    if "scaler" in words(last_name(receiver)):
        return True
    made = facts.objects.of(receiver, call.place).calls() if isinstance(receiver, ast.Name | ast.Attribute) else ()
    return any(maker.name == "GradScaler" for maker in made)


def is_scaled(facts: Facts, loop: Loop) -> bool:
    """Return whether a loop, what it calls, or a function that calls it handles a scaler or an engine that has one."""
    functions = (*loop.functions, *(call.place.function for call in facts.code.callers(loop.function)))
    if loop.function.name == "__call__" and "scaler" in words(loop.function.cls.name if loop.function.cls else ""):
        return True
    return any(mentions_scaler(function) for function in functions)


def mentions_scaler(function: Function) -> bool:
    """Return whether a function uses a loss scaler, by the names in it, and does more than make, save and load it."""
    nodes = list(ast.walk(function.node))
    kept = {
        node.value
        for node in nodes
        if isinstance(node, ast.Attribute) and node.attr in ("state_dict", "load_state_dict")
    }
    return any(
        isinstance(node, ast.Name | ast.Attribute)
        and isinstance(node.ctx, ast.Load)
        and node not in kept
        and "scaler" in words(last_name(node))
        and last_name(node) != "GradScaler"
        for node in nodes
    )


def scalers_of(facts: Facts, unit: Unit, loop: Loop) -> list[Scaler]:
    """Return the scalers that a loop can use: those made in modules that it imports, else all of the unit."""
    scalers = [scaler for scaler in facts.scalers.all if facts.code.unit_of(scaler.call.place.module) is unit]
    imported_modules = facts.code.import_closure(loop.function.module)
    return [scaler for scaler in scalers if scaler.call.place.module in imported_modules] or scalers


def scaler_follows_dtype(facts: Facts, scaler: Scaler) -> bool:
    """Return whether ``enabled=`` depends on the dtype (``dtype == "float16"``), or is always false."""
    enabled = scaler.call.argument("enabled")
    if enabled is None:
        return False
    text = ast.unparse(enabled)
    mentions_dtype = any(dtype in text for dtype in ("float16", "bf16"))
    return mentions_dtype or facts.values.truth(enabled, scaler.call.place) is False


def is_of_plain_loss(backward: Call) -> bool:
    """Return whether a backward pass is ``loss.backward()`` and not that of an engine or accelerator."""
    receiver = backward.receiver
    if backward.name in BACKWARD_AND_STEP:
        return True
    if backward.node.args or words(root_name(receiver)) & _SCALES_BY_ITSELF:
        return False
    return bool(words(last_name(receiver)) & {"loss", "losses", "total"})


def only_measures(facts: Facts, loop: Loop) -> bool:
    """Return whether no optimizer steps around a backward pass: the function measures memory or time.

    A method may be one of several that a framework calls, so only functions outside of classes are judged.
    """
    callers = (call.place.function for call in facts.code.callers(loop.function))
    around = [*loop.functions, *callers]
    steps = any(call.name == "step" for function in around for call in function.module.calls_in(function))
    return loop.function.cls is None and bool(loop.function.name) and not steps
