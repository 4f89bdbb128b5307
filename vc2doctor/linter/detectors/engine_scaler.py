"""A scaler of torch around a model that accelerate gave to DeepSpeed, whose engine does all of that itself."""

from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.exclusive import are_exclusive
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.loops import Loop
from vc2doctor.linter.analyse.loss_scaling import is_on_scaler, scalers_of
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call

_PLUGINS = ("deepspeed_plugin", "deepspeed_plugins")
_URL = "https://huggingface.co/docs/accelerate/usage_guides/deepspeed"


def scaler_beside_engine(facts: Facts, loop: Loop) -> Iterator[CodeFinding]:
    """Yield scalers that a loop uses on what accelerate prepared for DeepSpeed."""
    plugged = _accelerator_with_engine(loop)
    scalings = [call for call in loop.calls if call.name == "scale" and is_on_scaler(facts, call)]
    uses = [call for call in scalings if plugged and not are_exclusive(plugged.place, call.place)]
    # A test of the kind of run keeps the scaler away from the engine.
    if plugged is None or not uses or "distributed_type" in loop.function.module.source.text:
        return
    module = loop.function.module
    is_reached = any(facts.values.is_reached(call.place) is not False for call in uses)
    for scaler in scalers_of(facts, facts.code.unit_of(module), loop):
        if scaler.enabled != {False} and scaler.call.place.module is module:
            yield build.at_node(
                module,
                scaler.call.node,
                "VC104",
                Severity.WARNING if is_reached else Severity.NOTE,
                "torch's scaler is used on a model that accelerate gives to DeepSpeed: the engine scales by itself and "
                "steps only within accelerator.backward, so scaler.step trains nothing or raises"
                + ("" if is_reached else " (no command here reaches it)"),
                evidence=(
                    f"DeepSpeed is chosen at {_location(plugged)}",
                    f"the loss is scaled at {_location(uses[0])}",
                    "step of accelerate's DeepSpeedOptimizerWrapper does nothing",
                ),
                remedy="Remove the scaler, call accelerator.backward(loss), and say the precision in DeepSpeed's file.",
                url=_URL,
                role="scaler",
            )


def _accelerator_with_engine(loop: Loop) -> Call | None:
    """Return the call that makes an accelerator for DeepSpeed in the module of a loop that also prepares there."""
    module = loop.function.module
    if not any(call.name == "prepare" for call in module.calls):
        return None
    return next(
        (
            call
            for call in module.calls
            if call.name == "Accelerator" and any(call.argument(name) is not None for name in _PLUGINS)
        ),
        None,
    )


def _location(call: Call) -> str:
    return build.place_of(call.place.module, call.node).location
