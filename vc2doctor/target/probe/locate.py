"""Repeats a step that went wrong, once, under watch: which operation broke first, and what would have mended it."""

from typing import Any, Dict, Optional

from ..runtime import EventSink, Runtime
from ..shared.recipes import Recipe
from ..shared.spec import Spec
from . import subject, training

_MOST_REPLAYED = 24


def run(events: EventSink, runtime: Runtime, spec: Spec, recipe: Recipe, bad_step: int) -> None:
    """Emit one ``located`` event for step ``bad_step`` of ``recipe``, and one ``experiment`` event a remedy tried."""
    events.emit("located", recipe=recipe.name, step=bad_step, **_located(runtime, spec, recipe, bad_step))
    for change in ("float32-adapters", "clip-1.0"):
        mended = _mends(runtime, spec, recipe, bad_step, change)
        if mended is not None:
            events.emit("experiment", recipe=recipe.name, change=change, mended=mended)


def _located(runtime: Runtime, spec: Spec, recipe: Recipe, bad_step: int) -> Dict[str, Any]:
    from .watch import FirstBreak  # noqa: PLC0415 - imports torch, which has to be imported under watch first

    loop = training.Loop(runtime, spec, recipe, subject.build(runtime, spec, recipe))
    for number in range(min(bad_step, _MOST_REPLAYED)):
        loop.step(number)
    batch = loop.batch(bad_step)
    mask = batch.get("attention_mask") if isinstance(batch, dict) else getattr(batch, "mask", None)
    watch = FirstBreak(loop.made.module, mask, lambda: loop.phase)
    try:
        with watch:
            loop.step(bad_step)
    except Exception:  # noqa: BLE001, S110 - what is raised was told already; where it broke is what is wanted
        pass
    finally:
        watch.close()
    phase = watch.broken["phase"] if watch.broken else loop.phase
    return {"phase": phase, "broken": watch.broken, "parameter": loop.first_bad_parameter()}


def _mends(runtime: Runtime, spec: Spec, recipe: Recipe, bad_step: int, change: str) -> Optional[bool]:
    """Return whether ``change`` lets the training pass the bad step; ``None`` where it changes nothing."""
    try:
        made = subject.build(runtime, spec, recipe)
        if change == "float32-adapters" and not _to_float32(runtime.torch, made):
            return None
        loop = training.Loop(runtime, spec, recipe, made, clip=1.0 if change == "clip-1.0" else 0.0)
        seen = training.steps_of(loop, bad_step + 3)
    except Exception:  # noqa: BLE001 - a change that raises does not mend
        return False
    good = all(step["loss"] is not None and step["parameters_finite"] for step in seen)
    return good and any(step["taken"] for step in seen)


def _to_float32(torch: Any, made: subject.Subject) -> bool:
    changed = False
    for parameter in made.parameters().values():
        if parameter.dtype != torch.float32:
            parameter.data = parameter.data.float()
            changed = True
    return changed
