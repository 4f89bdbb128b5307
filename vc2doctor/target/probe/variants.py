"""Trains once more in other ways: compiled, with deterministic algorithms, with other attention code."""

import contextlib
from typing import Any, Iterator, List, Optional

from ..runtime import EventSink, Runtime
from ..shared.recipes import RECIPES
from ..shared.spec import Spec
from ..shared.variants import VARIANTS, Variant
from . import checkpoint, rounds, trained, training
from .exceptions import describe
from .subject import build

REPEATED_STEPS = 3
"""Steps of two trainings that are compared bit for bit."""


def run(events: EventSink, runtime: Runtime, spec: Spec) -> None:
    """Train the recipes of ``spec.variant_recipes`` in each way of ``spec.variants``, in the order of the table."""
    for variant in VARIANTS.values():
        if variant.name in spec.variants:
            events.emit("variant", variant=variant.name)
            _run(events, runtime, _changed(spec, variant), variant)


def _changed(spec: Spec, variant: Variant) -> Spec:
    attention = variant.attention or spec.attention
    return spec._replace(compiled=variant.compiled, attention=attention)


def _run(events: EventSink, runtime: Runtime, spec: Spec, variant: Variant) -> None:
    names = [name for name in spec.variant_recipes if name in RECIPES]
    repeats: Optional[bool] = None
    try:
        if variant.attention and runtime.checkpoint is not None:
            # Attention code is chosen when a checkpoint is loaded. These variants come last.
            runtime.checkpoint = None
            runtime.checkpoint = checkpoint.load(runtime, spec, trains=True)
    except Exception as error:  # noqa: BLE001 - any exception of the target is a result to report
        for name in names:
            events.emit("recipe", recipe=name)
            events.emit("recipe-failed", recipe=name, phase="build", error=describe(error), memory=False)
    else:
        with _mode(runtime, variant):
            # Watching every operation would keep torch.compile from fusing them.
            rounds.run(events, runtime, spec, names, checks_adapter=False, examines=not variant.compiled)
            if variant.deterministic and names:
                repeats = _repeats(runtime, spec, names[-1])
    events.emit("variant-end", repeats=repeats)


@contextlib.contextmanager
def _mode(runtime: Runtime, variant: Variant) -> Iterator[None]:
    torch = runtime.torch
    before = torch.are_deterministic_algorithms_enabled()
    if variant.deterministic:
        torch.use_deterministic_algorithms(True)  # noqa: FBT003 - torch's own signature
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def _repeats(runtime: Runtime, spec: Spec, name: str) -> Optional[bool]:
    """Return whether two trainings have the same losses and weights, bit for bit; ``None``: they cannot be compared."""
    try:
        first, second = (_train(runtime, spec, name) for _ in range(2))
    except Exception:  # noqa: BLE001 - the recipe was trained before, and reported what fails
        return None
    return len(first) == len(second) and all(runtime.torch.equal(*pair) for pair in zip(first, second))


def _train(runtime: Runtime, spec: Spec, name: str) -> List[Any]:
    recipe = trained.recipe_named(spec, name)
    loop = training.Loop(runtime, spec, recipe, build(runtime, spec, recipe))
    steps = training.take_steps(loop, REPEATED_STEPS)
    losses = runtime.torch.tensor([step["loss"] or 0.0 for step in steps], dtype=runtime.torch.float64)
    return [losses, *(parameter.detach().clone() for parameter in loop.parameters.values())]
