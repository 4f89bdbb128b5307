"""Repeats a failed training while watching every operation: which one broke first, and which change helps."""

import contextlib
import warnings
from typing import Any, Dict, Iterator, Optional

from ..runtime import EventSink, Runtime
from ..shared.recipes import Recipe
from ..shared.spec import Spec
from . import float32_values, training
from .subject import Subject, build

EXPERIMENTS = ("float32-adapters", "clip-1.0")
"""Changes that are tried; the doctor names causes by whether they help."""
RATES = {"rate-0.1": 0.1, "rate-0.01": 0.01, "rate-0.0001": 0.0001}
"""Changes of the learning rate, by the factor; they are tried in this order until one helps."""
STEPS_AFTER = 3
"""Steps that a change has to survive, counted from the bad step on."""


def run(events: EventSink, runtime: Runtime, spec: Spec, recipe: Recipe, bad_step: int) -> None:
    """Emit one ``located`` event for step ``bad_step`` of ``recipe``, and one ``experiment`` event for each change."""
    events.emit("located", recipe=recipe.name, step=bad_step, **_locate(runtime, spec, recipe, bad_step))
    for change in EXPERIMENTS:
        helps = _helps(runtime, spec, recipe, bad_step, change)
        if helps is not None:
            events.emit("experiment", recipe=recipe.name, change=change, helps=helps)


def find_first_break(events: EventSink, runtime: Runtime, spec: Spec, recipe: Recipe) -> None:
    """Emit one ``located`` event for the first step of a training whose gradients are all 0."""
    events.emit("located", recipe=recipe.name, step=0, **_locate(runtime, spec, recipe, 0))


def try_rates(events: EventSink, runtime: Runtime, spec: Spec, recipe: Recipe, steps: int) -> None:
    """Emit one ``experiment`` event for each lower learning rate, until ``steps`` steps at one let the loss fall."""
    for change, factor in RATES.items():
        helps = _falls(runtime, spec, recipe, steps, factor)
        events.emit("experiment", recipe=recipe.name, change=change, helps=helps)
        if helps:
            return


def _falls(runtime: Runtime, spec: Spec, recipe: Recipe, count: int, factor: float) -> bool:
    """Return whether the loss falls in ``count`` steps at the learning rate times ``factor``."""
    try:
        loop = training.Loop(runtime, spec, recipe, build(runtime, spec, recipe))
        loop.scale_rate(factor)
        try:
            steps = training.take_steps(loop, count)
        finally:
            # The function of the user can return the same optimizer at every call.
            loop.scale_rate(1 / factor)
    except Exception:  # noqa: BLE001 - a change that raises does not help
        return False
    return training.falls(steps)


def _locate(runtime: Runtime, spec: Spec, recipe: Recipe, bad_step: int) -> Dict[str, Any]:
    from .watch import FirstBreak  # noqa: PLC0415 - imports torch; run.py imports it first and reports a failure

    loop = training.Loop(runtime, spec, recipe, build(runtime, spec, recipe))
    for number in range(bad_step):
        loop.step(number)
    batch = loop.batch(bad_step)
    mask = batch.get("attention_mask") if isinstance(batch, dict) else getattr(batch, "mask", None)
    watch = FirstBreak(loop.subject.module, mask, lambda: loop.phase)
    try:
        with anomaly_mode(runtime.torch), watch:
            loop.step(bad_step)
    except Exception:  # noqa: BLE001, S110 - the first training reported it; only the place matters here
        pass
    finally:
        watch.close()
    phase = watch.broken["phase"] if watch.broken else loop.phase
    facts = {"phase": phase, "broken": watch.broken, "parameter": loop.first_bad_parameter()}
    if recipe.dtypes and (watch.broken is None or watch.broken["exact"] is None):
        # What float32 has at the same place decides: its zeros are meant, and its constants are not infinite.
        facts["compared"] = float32_values.compare(runtime, spec, loop, watch, bad_step)
    return facts


@contextlib.contextmanager
def anomaly_mode(torch: Any) -> Iterator[None]:
    """Let torch keep the line of code of each node of the graph, without its own check, which would raise."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            mode = torch.autograd.set_detect_anomaly(True, check_nan=False)
        except TypeError:  # torch before 2.0
            yield
            return
        with mode:
            yield


def _helps(runtime: Runtime, spec: Spec, recipe: Recipe, bad_step: int, change: str) -> Optional[bool]:
    """Return whether ``change`` lets the training pass the bad step; ``None`` if it changes nothing here."""
    try:
        subject = build(runtime, spec, recipe)
        if change == "float32-adapters" and not _cast_to_float32(runtime.torch, subject):
            return None
        loop = training.Loop(runtime, spec, recipe, subject, clip=1.0 if change == "clip-1.0" else 0.0)
        steps = training.take_steps(loop, bad_step + STEPS_AFTER)
    except Exception:  # noqa: BLE001 - a change that raises does not help
        return False
    return all(map(training.is_finite_step, steps)) and any(step["taken"] for step in steps)


def _cast_to_float32(torch: Any, subject: Subject) -> bool:
    """Cast the trainable parameters to float32; return whether any was in another dtype."""
    changed = False
    for parameter in subject.trainable_parameters().values():
        if parameter.dtype != torch.float32:
            parameter.data = parameter.data.float()
            changed = True
    return changed
