"""Real training steps under one recipe; no judgement."""

import time
from typing import Any, Dict, List, Optional, Protocol

from ..runtime import EventSink, Runtime
from ..shared.recipes import Recipe
from ..shared.spec import Spec
from . import device as devices
from . import subject, updates
from .exceptions import describe

STEPS = 6
"""Optimiser steps to be taken; enough for the loss to fall by far more than bfloat16 rounds."""


TRIES = 18
"""Attempts that loss scaling is given to take its first step (down from 65536 by halves)."""


_HOPELESS = 3


def loss_of(runtime: Runtime, spec: Spec, recipe: Recipe, made: subject.Subject, batch: Any) -> Any:
    """Return the loss of ``made`` on ``batch`` under the recipe's outer autocast region, with its graph."""
    # The same dropout mask every time: the loss of one batch must then fall, whatever the seed.
    runtime.torch.manual_seed(spec.seed)
    with devices.autocast_region(runtime.torch, runtime.device, recipe.outer):
        return made.loss(batch)


class Loop:
    """The training of one subject, one step at a time; ``phase`` says what it was doing when something was raised."""

    def __init__(self, runtime: Runtime, spec: Spec, recipe: Recipe, made: subject.Subject, clip: float = 0.0) -> None:
        self.phase = "build"
        self.made = made
        self.parameters = made.parameters()
        self.touched: Dict[str, Any] = {}
        self._runtime, self._spec, self._recipe, self._clip = runtime, spec, recipe, clip
        self._optimizer = made.optimizer or self._adamw()
        make_scaler = devices.scaler_class(runtime.torch, runtime.device) if recipe.scaled else None
        self._scaler = make_scaler() if make_scaler else None

    @property
    def scaled(self) -> bool:
        """Whether loss scaling is on."""
        return self._scaler is not None

    def optimizer_facts(self) -> Dict[str, Any]:
        """Return what the optimiser is, and its ``eps`` as the trainable dtypes hold it."""
        group = self._optimizer.param_groups[0]
        return {
            "optimizer": type(self._optimizer).__name__,
            "learning_rate": float(group["lr"]),
            "eps": float(group["eps"]) if "eps" in group else None,
        }

    def batch(self, number: int) -> Any:
        """Return the batch of step ``number``; they take turns."""
        return self.made.batches[number % len(self.made.batches)]

    def step(self, number: int) -> Dict[str, Any]:
        """Take step ``number`` and return what was seen."""
        scaler, optimizer = self._scaler, self._optimizer
        optimizer.zero_grad()
        self.phase = "forward"
        loss = loss_of(self._runtime, self._spec, self._recipe, self.made, self.batch(number))
        self.phase = "backward"
        (scaler.scale(loss) if scaler else loss).backward()
        scale = scaler.get_scale() if scaler else None
        gradients = self._gradients()
        self.phase = "optimizer"
        # What the optimiser's own hook sees is what happened: a scaler skips a step without saying so.
        calls = _Calls(optimizer)
        self._apply()
        calls.remove()
        value = float(loss.detach())
        first_bad_parameter = self.first_bad_parameter()
        return {
            "step": number,
            "batch": number % len(self.made.batches),
            "loss": value if abs(value) < float("inf") else None,
            "taken": bool(calls.count),
            "scale": scale if scale is None or abs(scale) < float("inf") else None,
            "gradients": gradients,
            "parameters_finite": first_bad_parameter is None,
            "first_bad_parameter": first_bad_parameter,
        }

    def first_bad_parameter(self) -> Optional[str]:
        """Return the name of the first trainable parameter that is not finite."""
        isfinite = self._runtime.torch.isfinite
        return next((name for name, p in self.parameters.items() if not bool(isfinite(p.detach()).all())), None)

    def _adamw(self) -> Any:
        adamw = self._runtime.torch.optim.AdamW
        spec = self._spec
        return adamw(
            list(self.parameters.values()), lr=spec.probe_rate, betas=spec.betas, weight_decay=spec.weight_decay
        )

    def _apply(self) -> None:
        scaler, optimizer = self._scaler, self._optimizer
        if scaler and self._clip:
            scaler.unscale_(optimizer)
        if self._clip:
            self._runtime.torch.nn.utils.clip_grad_norm_(list(self.parameters.values()), self._clip)
        if scaler:
            scaler.step(optimizer)
            scaler.update()
        else:
            optimizer.step()

    def _gradients(self) -> Dict[str, Any]:
        torch = self._runtime.torch
        found = {name: p.grad.detach() for name, p in self.parameters.items() if p.grad is not None}
        missing = [name for name in self.parameters if name not in found]
        broken = [name for name, gradient in found.items() if not bool(torch.isfinite(gradient).all())]
        return {
            "tensors": len(self.parameters),
            "missing": len(missing),
            "missing_adapters": sum("lora_" in name for name in missing),
            "first_missing": missing[0] if missing else None,
            "non_finite": len(broken),
            "first_non_finite": broken[0] if broken else None,
            "zero": updates.touch(self.touched, self.parameters),
        }


class RecipeSink(EventSink, Protocol):
    """Takes the events of a recipe, and is shown the subject before it is trained."""

    def built(self, made: subject.Subject) -> None:
        """Look at a subject that is about to be trained."""


def run(
    events: RecipeSink, runtime: Runtime, spec: Spec, recipe: Recipe, control: Optional[Dict[str, Any]] = None
) -> Optional[Loop]:
    """Run ``recipe``, emit every step, and return the loop, or ``None`` where it could not be trained.

    ``control`` are the elements whose gradients float32 found to be other than zero, by parameter.
    """
    started = time.perf_counter()
    phase = "build"
    loop: Optional[Loop] = None
    trained = False
    try:
        reason = devices.limit(runtime.torch, runtime.device, recipe)
        if reason:
            events.emit("recipe-unsupported", recipe=recipe.name, reason=reason)
            return None
        made = subject.build(runtime, spec, recipe)
        events.built(made)
        loop = Loop(runtime, spec, recipe, made)
        train(events, runtime, spec, recipe, loop, control or {})
        trained = True
    except Exception as error:  # noqa: BLE001 - whatever the target raises is what there is to report
        phase = loop.phase if loop else phase
        events.emit("recipe-failed", recipe=recipe.name, phase=phase, error=describe(error), memory=_is_memory(error))
    finally:
        events.emit("recipe-end", recipe=recipe.name, seconds=round(time.perf_counter() - started, 3))
    return loop if trained else None


def train(  # noqa: PLR0913, PLR0917 - all of it is one training
    events: EventSink, runtime: Runtime, spec: Spec, recipe: Recipe, loop: Loop, control: Dict[str, Any]
) -> None:
    """Take steps until enough were taken or more would be in vain; emit what was seen."""
    before = {name: p.detach().clone() for name, p in loop.parameters.items()}
    facts = updates.adapters(runtime.torch, spec, loop.parameters)
    events.emit("adapters", recipe=recipe.name, **dict(facts, **loop.optimizer_facts()))
    taken = hopeless = 0
    for number in range(TRIES + STEPS):
        seen = loop.step(number)
        events.emit("step", recipe=recipe.name, **seen)
        taken += seen["taken"]
        hopeless = 0 if seen["loss"] is not None else hopeless + 1
        never = not taken and number + 1 >= (TRIES if loop.scaled else STEPS)
        if taken >= STEPS or never or not seen["parameters_finite"] or hopeless >= _HOPELESS:
            break
    events.emit(
        "movement",
        recipe=recipe.name,
        share=updates.moved(before, loop.parameters),
        vanished=updates.vanished(control, loop.touched),
    )


def _is_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or "out of memory" in str(error).lower()


class _Calls:
    """Counts the calls of one optimiser's ``step``, whoever makes them."""

    def __init__(self, optimizer: Any) -> None:
        self.count = 0
        self._optimizer = optimizer
        plain = optimizer.step

        def step(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            return plain(*args, **kwargs)

        optimizer.step = step

    def remove(self) -> None:
        """Give the optimiser its own ``step`` back."""
        del self._optimizer.step


def steps_of(loop: Loop, count: int) -> List[Dict[str, Any]]:
    """Take ``count`` steps, or fewer where one is bad, and return what was seen."""
    seen = []
    for number in range(count):
        seen.append(loop.step(number))
        if seen[-1]["loss"] is None or not seen[-1]["parameters_finite"]:
            break
    return seen
