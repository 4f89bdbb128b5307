"""Runs real training steps under one recipe and emits the facts; it does not judge them."""

import random
import sys
import time
from typing import Any, Dict, List, Optional, Protocol, Sequence

from ..doors import Unavailable
from ..runtime import EventSink, Runtime
from ..shared.recipes import Recipe
from ..shared.spec import Spec
from . import checkpointing, devices, optimizers, plan_rate, step_warnings, touched, trained, updates
from .exceptions import backward_function, describe
from .subject import Subject, build
from .tensors import clip, finite_or_none, gradient_norms, is_finite, joint_norm

STEPS = 6
"""Optimizer steps to take: enough for the loss to fall by far more than the rounding of bfloat16."""

TRIES = 18
"""Attempts at the first step under loss scaling: enough to halve the default scale from 65536 down to 0.5."""

MAX_BAD_LOSSES = 3
"""Losses in a row that are not finite, after which training stops: more steps would show nothing new."""

MAX_NUMPY_SEED = 2**32
"""NumPy takes seeds of 32 bits."""


DRAW_STRIDE = 7919
"""Distance of the seeds of two draws: a prime, so that a draw of one seed is no draw of a neighboring one."""


def loss_of(  # noqa: PLR0913, PLR0917 - what a loss depends on
    runtime: Runtime, spec: Spec, recipe: Recipe, subject: Subject, batch: Any, draw: int = 0
) -> Any:
    """Return the loss of ``subject`` on ``batch`` under the recipe's outer autocast region, with its graph.

    ``draw`` numbers the random draws of the forward pass: the same for every step that is trained.
    """
    # Use the same dropout mask and the same noise in every step: then the loss of a batch must fall, whatever the seed.
    seed_all(runtime, spec, draw)
    with devices.autocast_region(runtime.torch, runtime.device, recipe.outer):
        return subject.loss(batch)


def seed_all(runtime: Runtime, spec: Spec, draw: int = 0) -> None:
    """Seed torch, Python and NumPy: diffusion models draw their noise and time steps from any of them."""
    seed = spec.seed + draw * DRAW_STRIDE
    if runtime.device.type == "cpu" and not spec.entry:
        # `torch.manual_seed` keeps the stack of its caller for each kind of GPU that is not in use yet, which takes
        # longer than all else here. The user's own function may use such a GPU.
        runtime.torch.default_generator.manual_seed(seed)
    else:
        runtime.torch.manual_seed(seed)
    random.seed(seed)
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed(seed % MAX_NUMPY_SEED)


class Loop:
    """Trains one subject, one step at a time; ``phase`` says what a step was doing when an exception was raised."""

    def __init__(  # noqa: PLR0913 - all of it is what a loop is
        self,
        runtime: Runtime,
        spec: Spec,
        recipe: Recipe,
        subject: Subject,
        clip: float = 0.0,
        *,
        rate: Optional[float] = None,
    ) -> None:
        self.phase = "build"
        self.runtime, self.spec, self.recipe, self.subject = runtime, spec, recipe, subject
        self.parameters = subject.trainable_parameters()
        self.nonzero_gradients: Dict[str, Any] = {}
        """Booleans by parameter: which elements had a gradient other than 0 at any step."""
        self.missing: List[str] = list(self.parameters)
        """Trainable parameters that got no gradient in any step."""
        self.signal: Dict[str, float] = {}
        """By parameter: its gradient, relative to the largest of its step (root mean squares); the largest of all."""
        self._clip = clip
        self._optimizer = subject.optimizer or optimizers.make(
            runtime, spec, recipe, list(self.parameters.values()), spec.probe_rate if rate is None else rate
        )
        make_scaler = devices.scaler_class(runtime.torch, runtime.device) if recipe.scaled else None
        self._scaler = make_scaler() if make_scaler else None

    @property
    def scaled(self) -> bool:
        """Whether loss scaling is on."""
        return self._scaler is not None

    def optimizer_facts(self) -> Dict[str, Any]:
        """Return the optimizer's class name, its learning rate, and its ``eps`` (``None`` if it has none)."""
        group = self._optimizer.param_groups[0]
        rate = finite_or_none(float(group["lr"]))
        return {
            "optimizer": type(self._optimizer).__name__,
            "learning_rate": rate,
            "is_rate_finite": rate is not None,
            "eps": finite_or_none(float(group["eps"])) if "eps" in group else None,
        }

    def held(self) -> List[Any]:
        """Return the tensors that the optimizer holds."""
        return [p for group in self._optimizer.param_groups for p in group["params"]]

    def coverage(self) -> Dict[str, Any]:
        """Return how many trainable parameters the optimizer lacks, and how many tensors of others it holds."""
        held = {id(p) for p in self.held()}
        outside = [name for name, p in self.parameters.items() if id(p) not in held]
        own = {id(p) for p in self.subject.module.parameters()}
        return {
            "outside": len(outside),
            "first_outside": outside[0] if outside else None,
            "foreign": len(held.difference(own)),
        }

    def scale_rate(self, factor: float) -> None:
        """Multiply the learning rates of all groups of parameters."""
        for group in self._optimizer.param_groups:
            group["lr"] = group["lr"] * factor

    def batch(self, number: int) -> Any:
        """Return the batch of step ``number``; the batches take turns."""
        return self.subject.batches[number % len(self.subject.batches)]

    def step(self, number: int) -> Dict[str, Any]:
        """Take step ``number`` and return its facts, the fields of a ``step`` event."""
        scaler, optimizer = self._scaler, self._optimizer
        optimizer.zero_grad()
        self.phase = "forward"
        loss = self.loss(number)
        self.phase = "backward"
        (scaler.scale(loss) if scaler else loss).backward()
        scale = finite_or_none(scaler.get_scale()) if scaler else None
        # Before the optimizer: a GradScaler unscales the gradients in place.
        gradients = self._gradient_facts(scale)
        self.phase = "optimizer"
        rates = [float(group["lr"]) for group in optimizer.param_groups]
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
            "lowest_rate": finite_or_none(min(rates)),
            "highest_rate": finite_or_none(max(rates)),
        }

    def first_bad_parameter(self) -> Optional[str]:
        """Return the name of the first trainable parameter that holds NaN or infinity."""
        torch = self.runtime.torch
        return next((name for name, p in self.parameters.items() if not is_finite(torch, p)), None)

    def _update_parameters(self) -> None:
        scaler, optimizer = self._scaler, self._optimizer
        if scaler and self._clip:
            scaler.unscale_(optimizer)
        if self._clip:
            clip(self.runtime.torch, list(self.parameters.values()), self._clip)
        if scaler:
            scaler.step(optimizer)
            scaler.update()
        else:
            optimizer.step()

    def _gradient_facts(self, scale: Optional[float]) -> Dict[str, Any]:
        torch = self.runtime.torch
        gradients = {name: p.grad for name, p in self.parameters.items() if p.grad is not None}
        missing = [name for name in self.parameters if name not in gradients]
        self.missing = [name for name in self.missing if name not in gradients]
        norms = gradient_norms(torch, gradients.values())
        self._note_signal(gradients, norms)
        non_finite = [name for name, gradient in gradients.items() if not is_finite(torch, gradient)]
        return {
            "tensors": len(self.parameters),
            "missing": len(missing),
            "missing_adapters": sum("lora_" in name for name in missing),
            "first_missing": missing[0] if missing else None,
            "non_finite": len(non_finite),
            "first_non_finite": non_finite[0] if non_finite else None,
            "zero": updates.record_nonzero_gradients(self.nonzero_gradients, self.parameters),
            "norm": joint_norm(norms, scale or 1.0),
        }

    def _note_signal(self, gradients: Dict[str, Any], norms: Sequence[float]) -> None:
        sizes = {name: norm / max(1, each.numel()) ** 0.5 for (name, each), norm in zip(gradients.items(), norms)}
        top = max(sizes.values(), default=0.0)
        for name, size in sizes.items():
            self.signal[name] = max(self.signal.get(name, 0.0), size / top if top else 0.0)

    def backward(self, number: int, draw: int) -> None:
        """Compute the gradients of the batch ``number`` with the random draw ``draw``, and take no step."""
        self._optimizer.zero_grad()
        self.loss(number, draw).backward()

    def seed(self, draw: int) -> None:
        """Seed all generators for the random draw ``draw``."""
        seed_all(self.runtime, self.spec, draw)

    def loss(self, number: int, draw: int = 0) -> Any:
        """Return the loss of the batch ``number`` with the random draw ``draw``, with its graph."""
        return loss_of(self.runtime, self.spec, self.recipe, self.subject, self.batch(number), draw)


class _StepCounter:
    """Counts the calls of an optimizer's ``step``: a GradScaler skips a step without reporting it."""

    def __init__(self, optimizer: Any) -> None:
        self.count = 0
        self._optimizer = optimizer
        # Set on the object if someone wrapped it: then deleting ours would delete theirs as well.
        self._own = vars(optimizer).get("step")
        original = optimizer.step

        def step(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            return original(*args, **kwargs)

        optimizer.step = step

    def remove(self) -> None:
        """Restore the optimizer's own ``step``."""
        if self._own is None:
            del self._optimizer.step
        else:
            self._optimizer.step = self._own


class RecipeSink(EventSink, Protocol):
    """Accepts the events of a recipe, and gets the subject before it is trained."""

    def built(self, subject: Subject) -> None:
        """Accept a subject that is about to be trained."""

    def without_gradient(self, names: Sequence[str]) -> None:
        """Accept the names of the trainable parameters that got no gradient in the last step."""


def run(
    events: RecipeSink, runtime: Runtime, spec: Spec, recipe: Recipe, control: Optional[Dict[str, Any]] = None
) -> Optional[Loop]:
    """Train under ``recipe``, emit every step, and return the loop, or ``None`` if the training could not finish.

    ``control`` is the ``nonzero_gradients`` of the training in float32.
    """
    from .source_lines import of_users_frame  # noqa: PLC0415 - imports torch; run.py imports it first

    with checkpointing.watched(runtime.torch) as watch, step_warnings.recorded(of_users_frame) as log:
        loop = _run(events, runtime, spec, recipe, control or {}, watch)
    if spec.entry and log.records:
        # Those of the miniature are not the user's.
        events.emit("warnings", recipe=recipe.name, warnings=log.records)
    return loop


def _run(  # noqa: PLR0913, PLR0917 - what a run needs, and the watch
    events: RecipeSink,
    runtime: Runtime,
    spec: Spec,
    recipe: Recipe,
    control: Dict[str, Any],
    watch: checkpointing.CheckpointWatch,
) -> Optional[Loop]:
    started = time.perf_counter()
    phase = "build"
    loop: Optional[Loop] = None
    is_trained = False
    try:
        reason = trained.missing_package(recipe) or devices.unsupported_reason(runtime.torch, runtime.device, recipe)
        if reason:
            events.emit("recipe-unsupported", recipe=recipe.name, reason=reason)
            return None
        subject = build(runtime, spec, recipe)
        events.built(subject)
        loop = Loop(runtime, spec, recipe, subject)
        last = train(events, loop, control)
        if loop.missing or last["gradients"]["missing"]:
            events.emit("untouched", recipe=recipe.name, **touched.search(loop))
        made = touched.made_in_forward(loop)
        if made:
            events.emit("made-in-forward", recipe=recipe.name, tensors=len(made), first=made[0])
        events.without_gradient(loop.missing)
        is_trained = True
    except Unavailable as error:
        events.emit("recipe-unsupported", recipe=recipe.name, reason=str(error))
    except Exception as error:  # noqa: BLE001 - any exception of the target is a result to report
        reason = trained.gpu_only_reason(runtime, error) if recipe.quantized else None
        if reason is not None:
            events.emit("recipe-unsupported", recipe=recipe.name, reason=reason)
            return None
        phase = loop.phase if loop else phase
        memory = _is_out_of_memory(error)
        function = backward_function(error) if phase == "backward" else None
        events.emit(
            "recipe-failed",
            recipe=recipe.name,
            phase=phase,
            error=describe(error),
            memory=memory,
            backward_function=function,
        )
    finally:
        if watch.blocks:
            events.emit("checkpointing", recipe=recipe.name, blocks=watch.blocks)
        events.emit("recipe-end", recipe=recipe.name, seconds=round(time.perf_counter() - started, 3))
    return loop if is_trained else None


def train(events: EventSink, loop: Loop, control: Dict[str, Any]) -> Dict[str, Any]:
    """Take steps until enough were taken or more would be useless, emit the facts of each, and return the last.

    ``control`` is the ``nonzero_gradients`` of the training in float32.
    """
    name = loop.recipe.name
    before = {name: p.detach().clone() for name, p in loop.parameters.items()}
    facts = updates.adapter_facts(loop.runtime.torch, loop.spec, loop.parameters)
    facts.update(loop.coverage())
    if loop.recipe.trains == "all":
        # An estimate for fresh adapters. What weights do at the project's rate is measured below.
        facts["would_move"] = {}
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
        share=updates.moved_share(
            {name: before[name] for name in loop.signal}, loop.parameters, loop.nonzero_gradients
        ),
        vanished=updates.vanished_share(control, loop.nonzero_gradients),
    )
    if loop.recipe.trains == "all" and not bad_losses and step["parameters_finite"]:
        _train_at_plan_rate(events, loop, before)
    return step


def _train_at_plan_rate(events: EventSink, loop: Loop, before: Dict[str, Any]) -> None:
    """Train once more from the values ``before``, at the project's learning rate, and emit how much moves."""
    if loop.subject.optimizer is not None:
        # The rate is that of the user's optimizer, and its state belongs to the steps that were taken.
        return
    with loop.runtime.torch.no_grad():
        for name, parameter in loop.parameters.items():
            parameter.copy_(before[name])
    plan_rate.run(
        events, Loop(loop.runtime, loop.spec, loop.recipe, loop.subject, rate=loop.spec.learning_rate), before
    )


def take_steps(loop: Loop, count: int) -> List[Dict[str, Any]]:
    """Take ``count`` steps, or fewer if the loss or a parameter stops being finite, and return their facts."""
    steps = []
    for number in range(count):
        steps.append(loop.step(number))
        if not is_finite_step(steps[-1]):
            break
    return steps


def is_finite_step(step: Dict[str, Any]) -> bool:
    """Return whether the loss of a step, and the parameters after it, are finite."""
    return step["loss"] is not None and bool(step["parameters_finite"])


def falls(steps: Sequence[Dict[str, Any]]) -> bool:
    """Return whether every step is finite, and the sum of the last losses of all batches is below that of the first."""
    if not all(is_finite_step(step) for step in steps):
        return False
    firsts: Dict[int, float] = {}
    lasts: Dict[int, float] = {}
    for step in steps:
        firsts.setdefault(step["batch"], step["loss"])
        lasts[step["batch"]] = step["loss"]
    return sum(lasts.values()) < sum(firsts.values())


def _is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or "out of memory" in str(error).lower()
