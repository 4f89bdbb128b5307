"""Compares the inputs of an operation that broke in half precision with what they are in float32."""

from typing import Any, Dict, Iterator, List, Optional, Tuple

from ..runtime import Runtime
from ..shared.recipes import CONTROL, RECIPES
from ..shared.spec import Spec
from . import training
from .subject import build


def compare(runtime: Runtime, spec: Spec, loop: Any, watch: Any, bad_step: int) -> Optional[Dict[str, Any]]:
    """Return the fields of ``compared``, for ``watch``, a ``FirstBreak`` over step ``bad_step`` of ``loop``.

    ``rounded``: whether an input is 0 at a place where float32 has another number; ``None``: not comparable.
    ``constant`` and ``value``: a weight or buffer that is infinite here, and its largest value there, which is finite.
    Return ``None`` if float32 fails before that step.
    """
    from .watch import Inputs  # noqa: PLC0415 - imports torch; run.py imports it first and reports a failure

    try:
        control = training.Loop(runtime, spec, RECIPES[CONTROL], build(runtime, spec, RECIPES[CONTROL]))
        facts = _infinite_constant(runtime.torch, loop.subject.module, control.subject.module)
        for number in range(bad_step if watch.call is not None else 0):
            control.step(number)
        exact: List[Any] = []
        if watch.call is not None:
            inputs = Inputs(control.subject.module, watch.call)
            try:
                with inputs:
                    control.step(bad_step)
            finally:
                inputs.close()
            exact = inputs.inputs
    except Exception:  # noqa: BLE001 - what cannot be compared stays unknown
        return None
    return dict(facts, rounded=_rounded(watch.inputs, exact))


def _rounded(inputs: List[Any], exact: List[Any]) -> Optional[bool]:
    if not exact or [part.shape for part in inputs] != [part.shape for part in exact]:
        return None
    return any(bool(((here == 0) & (there != 0)).any()) for here, there in zip(inputs, exact))


def _infinite_constant(torch: Any, module: Any, control: Any) -> Dict[str, Any]:
    exact = dict(_constants(control))
    for name, tensor in _constants(module):
        bad = torch.isinf(tensor.detach())
        if name in exact and exact[name].shape == tensor.shape and bool(bad.any()):
            values = exact[name].detach()[bad]
            if bool(torch.isfinite(values).all()):
                largest = values.flatten()[values.abs().argmax()]
                return {"constant": name, "value": float(largest)}
    return {"constant": None, "value": None}


def _constants(module: Any) -> Iterator[Tuple[str, Any]]:
    named = (*module.named_parameters(), *module.named_buffers())
    return ((name, tensor) for name, tensor in named if tensor.is_floating_point())
