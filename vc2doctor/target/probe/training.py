"""Runs real training steps under one recipe and emits the facts; it does not judge them."""

import time
from typing import Any, Dict, List, Optional, Protocol

from ..runtime import EventSink, Runtime
from ..shared.recipes import Recipe
from ..shared.spec import Spec
from . import devices, updates
from .exceptions import describe
from .subject import Subject, build
from .tensors import finite_or_none, is_finite

STEPS = 6
"""Optimizer steps to take: enough for the loss to fall by far more than the rounding of bfloat16."""

TRIES = 18
"""Attempts at the first step under loss scaling: enough to halve the default scale from 65536 down to 0.5."""

MAX_BAD_LOSSES = 3
"""Losses in a row that are not finite, after which training stops: more steps would show nothing new."""


def loss_of(runtime: Runtime, spec: Spec, recipe: Recipe, subject: Subject, batch: Any) -> Any:
    """Return the loss of ``subject`` on ``batch`` under the recipe's outer autocast region, with its graph."""
    # Use the same dropout mask in every step: then the loss of a batch must fall, whatever the seed is.
    runtime.torch.manual_seed(spec.seed)
    with devices.autocast_region(runtime.torch, runtime.device, recipe.outer):
        return subject.loss(batch)


class Loop:
    """Trains one subject, one step at a time; ``phase`` says what a step was doing when an exception was raised."""

    def __init__(self, runtime: Runtime, spec: Spec, recipe: Recipe, subject: Subject, clip: float = 0.0) -> None:
        self.phase = "build"
        self.runtime, self.spec, self.recipe, self.subject = runtime, spec, recipe, subject
        self.parameters = subject.trainable_parameters()
        self.nonzero_gradients: Dict[str, Any] = {}
        """Booleans by parameter: which elements had a gradient other than 0 at any step."""
        self._clip = clip
        self._optimizer = subject.optimizer or self._adamw()
        make_scaler = devices.scaler_class(runtime.torch, runtime.device) if recipe.scaled else None
        self._scaler = make_scaler() if make_scaler else None

    @property
    def scaled(self) -> bool:
        """Whether loss scaling is on."""
        return self._scaler is not None

    def optimizer_facts(self) -> Dict[str, Any]:
        """Return the optimizer's class name, its learning rate, and its ``eps`` (``None`` if it has none)."""
        group = self._optimizer.param_groups[0]
        return {
            "optimizer": type(self._optimizer).__name__,
            "learning_rate": float(group["lr"]),
            "eps": float(group["eps"]) if "eps" in group else None,
        }

    def batch(self, number: int) -> Any:
        """Return the batch of step ``number``; the batches take turns."""
        return self.subject.batches[number % len(self.subject.batches)]

    def step(self, number: int) -> Dict[str, Any]:
        """Take step ``number`` and return its facts, the fields of a ``step`` event."""
        scaler, optimizer = self._scaler, self._optimizer
        optimizer.zero_grad()
        self.phase = "forward"
        loss = loss_of(self.runtime, self.spec, self.recipe, self.subject, self.batch(number))
        self.phase = "backward"
        (scaler.scale(loss) if scaler else loss).backward()
        scale = finite_or_none(scaler.get_scale()) if scaler else None
        # Before the optimizer: a GradScaler unscales the gradients in place.
        gradients = self._gradient_facts()
        self.phase = "optimizer"
        counter = _StepCounter(optimizer)
        self._update_parameters()
        counter.remove()
        first_bad_parameter = self.first_bad_parameter()
        return {
            "step": number,
            "batch": number % len(self.subject.batches),
            "loss": finite_or_none(float(loss.detach())),
            "taken": bool(counter.count),
            "scale": scale,
            "gradients": gradients,
            "parameters_finite": first_bad_parameter is None,
            "first_bad_parameter": first_bad_parameter,
        }

    def first_bad_parameter(self) -> Optional[str]:
        """Return the name of the first trainable parameter that holds NaN or infinity."""
        torch = self.runtime.torch
        return next((name for name, p in self.parameters.items() if not is_finite(torch, p)), None)

    def _adamw(self) -> Any:
        spec = self.spec
        return self.runtime.torch.optim.AdamW(
            list(self.parameters.values()), lr=spec.probe_rate, betas=spec.betas, weight_decay=spec.weight_decay
        )

    def _update_parameters(self) -> None:
        scaler, optimizer = self._scaler, self._optimizer
        if scaler and self._clip:
            scaler.unscale_(optimizer)
        if self._clip:
            self.runtime.torch.nn.utils.clip_grad_norm_(list(self.parameters.values()), self._clip)
        if scaler:
            scaler.step(optimizer)
            scaler.update()
        else:
            optimizer.step()

    def _gradient_facts(self) -> Dict[str, Any]:
        torch = self.runtime.torch
        gradients = {name: p.grad for name, p in self.parameters.items() if p.grad is not None}
        missing = [name for name in self.parameters if name not in gradients]
        non_finite = [name for name, gradient in gradients.items() if not is_finite(torch, gradient)]
        return {
            "tensors": len(self.parameters),
            "missing": len(missing),
            "missing_adapters": sum("lora_" in name for name in missing),
            "first_missing": missing[0] if missing else None,
            "non_finite": len(non_finite),
            "first_non_finite": non_finite[0] if non_finite else None,
            "zero": updates.record_nonzero_gradients(self.nonzero_gradients, self.parameters),
        }


class _StepCounter:
    """Counts the calls of an optimizer's ``step``: a GradScaler skips a step without reporting it."""

    def __init__(self, optimizer: Any) -> None:
        self.count = 0
        self._optimizer = optimizer
        original = optimizer.step

        def step(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            return original(*args, **kwargs)

        optimizer.step = step

    def remove(self) -> None:
        """Restore the optimizer's own ``step``."""
        del self._optimizer.step


class RecipeSink(EventSink, Protocol):
    """Accepts the events of a recipe, and gets the subject before it is trained."""

    def built(self, subject: Subject) -> None:
        """Accept a subject that is about to be trained."""


def run(
    events: RecipeSink, runtime: Runtime, spec: Spec, recipe: Recipe, control: Optional[Dict[str, Any]] = None
) -> Optional[Loop]:
    """Train under ``recipe``, emit every step, and return the loop, or ``None`` if the training could not finish.

    ``control`` is the ``nonzero_gradients`` of the training in float32.
    """
    started = time.perf_counter()
    phase = "build"
    loop: Optional[Loop] = None
    trained = False
    try:
        reason = devices.unsupported_reason(runtime.torch, runtime.device, recipe)
        if reason:
            events.emit("recipe-unsupported", recipe=recipe.name, reason=reason)
            return None
        subject = build(runtime, spec, recipe)
        events.built(subject)
        loop = Loop(runtime, spec, recipe, subject)
        train(events, loop, control or {})
        trained = True
    except Exception as error:  # noqa: BLE001 - any exception of the target is a result to report
        phase = loop.phase if loop else phase
        memory = _is_out_of_memory(error)
        events.emit("recipe-failed", recipe=recipe.name, phase=phase, error=describe(error), memory=memory)
    finally:
        events.emit("recipe-end", recipe=recipe.name, seconds=round(time.perf_counter() - started, 3))
    return loop if trained else None


def train(events: EventSink, loop: Loop, control: Dict[str, Any]) -> None:
    """Take steps until enough were taken or more would be useless, and emit the facts of each.

    ``control`` is the ``nonzero_gradients`` of the training in float32.
    """
    name = loop.recipe.name
    before = {name: p.detach().clone() for name, p in loop.parameters.items()}
    facts = updates.adapter_facts(loop.runtime.torch, loop.spec, loop.parameters)
    events.emit("adapters", recipe=name, **dict(facts, **loop.optimizer_facts()))
    taken = bad_losses = 0
    for number in range(TRIES + STEPS):
        step = loop.step(number)
        events.emit("step", recipe=name, **step)
        taken += step["taken"]
        bad_losses = 0 if step["loss"] is not None else bad_losses + 1
        is_frozen = not taken and number + 1 >= (TRIES if loop.scaled else STEPS)
        if taken >= STEPS or is_frozen or not step["parameters_finite"] or bad_losses >= MAX_BAD_LOSSES:
            break
    events.emit(
        "movement",
        recipe=name,
        share=updates.moved_share(before, loop.parameters),
        vanished=updates.vanished_share(control, loop.nonzero_gradients),
    )


def take_steps(loop: Loop, count: int) -> List[Dict[str, Any]]:
    """Take ``count`` steps, or fewer if the loss or a parameter stops being finite, and return their facts."""
    steps = []
    for number in range(count):
        steps.append(loop.step(number))
        if steps[-1]["loss"] is None or not steps[-1]["parameters_finite"]:
            break
    return steps


def _is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or "out of memory" in str(error).lower()
