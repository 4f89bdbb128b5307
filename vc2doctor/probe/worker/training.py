"""Real training steps under one recipe, reported as they happen; no judgement."""

import time
from typing import Any, Dict, List, Optional

from . import device as devices
from . import model as models
from .errors import describe
from .protocol import Events
from .recipes import Recipe

STEPS = 6
"""Optimiser steps to be taken; enough for the loss to fall by far more than bfloat16 rounds."""
TRIES = 18
"""Attempts that loss scaling is given to take its first step (down from 65536 by halves)."""
_LEARNING_RATE = 1e-3
_HOPELESS = 3


class Stack:
    """The imported packages and the device, handed around as one."""

    def __init__(self, torch: Any, transformers: Any, peft: Any, device: Any) -> None:
        self.torch = torch
        self.transformers = transformers
        self.peft = peft
        self.device = device


def run(events: Events, stack: Stack, recipe: Recipe) -> Optional[Any]:
    """Run ``recipe``, emit every step, and return the trained model, or ``None`` where it could not be trained."""
    started = time.perf_counter()
    phase = "build"
    model = None
    try:
        reason = devices.limit(stack.torch, stack.device, recipe)
        if reason:
            events.emit("recipe-unsupported", recipe=recipe.name, reason=reason)
            return None
        model = models.build(stack.torch, stack.transformers, stack.peft, stack.device, recipe.base)
        training = _Training(events, stack, recipe, model)
        try:
            training.loop()
        except Exception:
            phase = training.phase
            raise
    except Exception as error:  # noqa: BLE001 - whatever the target raises is what there is to report
        events.emit("recipe-failed", recipe=recipe.name, phase=phase, error=describe(error), memory=_is_memory(error))
        model = None
    finally:
        events.emit("recipe-end", recipe=recipe.name, seconds=round(time.perf_counter() - started, 3))
    return model


def _is_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or "out of memory" in str(error).lower()


class _Training:
    """The loop of one recipe; ``phase`` says what it was doing when something was raised."""

    def __init__(self, events: Events, stack: Stack, recipe: Recipe, model: Any) -> None:
        self.phase = "build"
        self._events = events
        self._stack = stack
        self._recipe = recipe
        self._model = model
        self._parameters = models.trainable(model)  # type: List[Any]
        self._batch = models.batch(stack.torch, stack.device)
        self._optimizer = stack.torch.optim.AdamW(
            self._parameters, lr=_LEARNING_RATE, betas=(0.9, 0.999), weight_decay=0.02
        )
        make_scaler = devices.scaler_class(stack.torch, stack.device) if recipe.scaled else None
        self._scaler = make_scaler() if make_scaler else None

    def loop(self) -> None:
        """Step until enough steps were taken, or nothing more can be learnt."""
        before = [parameter.detach().clone() for parameter in self._parameters]
        self._events.emit("adapters", recipe=self._recipe.name, **self._adapters())
        taken = hopeless = 0
        for number in range(TRIES + STEPS):
            step = self._step(number)
            taken += step["taken"]
            hopeless = 0 if step["loss"] is not None else hopeless + 1
            never = not taken and number + 1 >= (TRIES if self._scaler else STEPS)
            if taken >= STEPS or never or not step["parameters_finite"] or hopeless >= _HOPELESS:
                break
        self._events.emit("movement", recipe=self._recipe.name, share=self._moved(before))

    def _step(self, number: int) -> Dict[str, Any]:
        torch, scaler = self._stack.torch, self._scaler
        # The same dropout mask every time: the loss of one batch must then fall, whatever the seed.
        torch.manual_seed(models.SEED)
        self._optimizer.zero_grad()
        self.phase = "forward"
        with devices.autocast_regions(torch, self._stack.device, self._recipe):
            loss = self._model(**models.inputs(self._model, self._batch)).loss
        self.phase = "backward"
        (scaler.scale(loss) if scaler else loss).backward()
        gradients = self._gradients()
        scale = scaler.get_scale() if scaler else None
        self.phase = "optimizer"
        # What the optimiser's own hook sees is what happened: a scaler skips a step without saying so.
        calls = _Calls(self._optimizer)
        if scaler:
            scaler.step(self._optimizer)
            scaler.update()
        else:
            self._optimizer.step()
        calls.remove()
        value = float(loss.detach())
        step = {
            "step": number,
            "loss": value if abs(value) < float("inf") else None,
            "taken": bool(calls.count),
            "scale": scale,
            "gradients": gradients,
            "parameters_finite": all(bool(torch.isfinite(p.detach()).all()) for p in self._parameters),
        }
        self._events.emit("step", recipe=self._recipe.name, **step)
        return step

    def _adapters(self) -> Dict[str, Any]:
        kinds = sorted({str(parameter.dtype).replace("torch.", "") for parameter in self._parameters})
        return {"dtypes": kinds, "tensors": len(self._parameters), "elements": sum(p.numel() for p in self._parameters)}

    def _gradients(self) -> Dict[str, int]:
        torch = self._stack.torch
        found = [p.grad.detach() for p in self._parameters if p.grad is not None]
        return {
            "tensors": len(self._parameters),
            "missing": len(self._parameters) - len(found),
            "non_finite": sum(not bool(torch.isfinite(g).all()) for g in found),
            "zero": sum(not bool((g != 0).any()) for g in found),
        }

    def _moved(self, before: List[Any]) -> float:
        moved = sum(int((p.detach() != b).sum()) for p, b in zip(self._parameters, before))
        return float(round(moved / max(1, sum(b.numel() for b in before)), 6))


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
