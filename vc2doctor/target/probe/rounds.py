"""Trains under one recipe after the other, and asks further questions about those that do not end well."""

from typing import Any, Dict, Iterable, List, Optional, Sequence

from ..runtime import EventSink, Runtime
from ..shared.recipes import RECIPES, Recipe
from ..shared.spec import Spec
from . import (
    graph,
    headroom,
    inspect_data,
    locate,
    no_signal,
    recomputation,
    save_reload,
    spares,
    trained,
    training,
    unregistered,
    user_function,
)
from .exceptions import describe
from .subject import Subject, build

_NO_GRAPH = "does not require grad"
"""Part of the message by which torch refuses the backward pass of a loss without a graph."""

_NO_DERIVATIVE = "derivative for "
"""The beginning of torch's message on a function that has no second derivative."""


def run(  # noqa: PLR0913 - what to train, and what to do besides
    events: EventSink,
    runtime: Runtime,
    spec: Spec,
    names: Iterable[str],
    *,
    checks_adapter: bool = True,
    examines: bool = True,
) -> None:
    """Train under the recipes ``names``, in order. With ``examines`` find out more about each that fails.

    With ``checks_adapter`` the first adapter that was trained well is saved and reloaded.
    """
    # Outliers change the weights and not the stack: inspect the data and check the adapter without them only.
    adapter_checked = not checks_adapter or spec.plant != "none"
    inspected = adapter_checked
    controls: Dict[Any, Dict[str, Any]] = {}
    for name in names:
        recipe = trained.recipe_named(spec, name)
        events.emit("recipe", recipe=name)
        sink = _RecipeSink(events, runtime, inspected=inspected)
        loop = training.run(sink, runtime, spec, recipe, controls.get(recipe.kind))
        inspected = sink.inspected
        if loop is not None and not recipe.dtypes:
            controls[recipe.kind] = loop.nonzero_gradients
        if examines:
            _examine(events, runtime, spec, recipe, sink)
            _examine_signal(events, recipe, sink, loop)
        peft_model = loop.subject.peft_model if loop is not None and sink.bad_step is None else None
        if peft_model is not None and not adapter_checked:
            save_reload.run(events, runtime, spec, recipe, peft_model)
            adapter_checked = True
        elif loop is not None and sink.is_good:
            spares.keep(runtime, spec, recipe, loop.subject.module, loop.subject.first_values)


def run_stressed(events: EventSink, runtime: Runtime, spec: Spec, name: str) -> None:
    """Measure headroom and recipes once more, on a miniature with the outliers ``name``."""
    events.emit("stress", plant=name)
    planted = spec._replace(plant=name)
    measure_headroom(events, runtime, planted)
    run(events, runtime, planted, [recipe.name for recipe in RECIPES.values() if recipe.stressed])
    events.emit("stress-end")


def measure_headroom(events: EventSink, runtime: Runtime, spec: Spec) -> bool:
    """Measure the range of the activations; a failure becomes an event.

    Return ``False`` if the user's own function does not give something that can be trained.
    """
    try:
        headroom.run(events, runtime, spec)
    except user_function.EntryError as error:
        # Every recipe would call the function again and report the same failure.
        events.emit("load-failed", error=describe(error))
        return False
    except Exception as error:  # noqa: BLE001 - the recipes run the same code and report what fails
        events.emit("headroom-failed", error=describe(error))
    return True


def _examine(events: EventSink, runtime: Runtime, spec: Spec, recipe: Recipe, sink: "_RecipeSink") -> None:
    """Find out where a training failed and which change helps; what cannot be found out stays unknown."""
    try:
        if sink.bad_step is not None:
            locate.run(events, runtime, spec, recipe, sink.bad_step)
        if sink.rises or (sink.bad_step is not None and sink.taken):
            # A loss that is not finite before any step was taken does not depend on the learning rate.
            locate.try_rates(events, runtime, spec, recipe, len(sink.steps))
        if sink.recomputes:
            recomputation.run(events, runtime, spec, recipe)
        if sink.differentiates_twice:
            loop = training.Loop(runtime, spec, recipe, build(runtime, spec, recipe))
            events.emit("once-only", recipe=recipe.name, **no_signal.first_once_only_node(loop))
        if sink.lacks_graph:
            graph.run(events, runtime, spec, recipe, sink.missing)
    except Exception as error:  # noqa: BLE001 - the outcome is known; only the place is not
        events.emit("locate-failed", recipe=recipe.name, error=describe(error))


def _examine_signal(events: EventSink, recipe: Recipe, sink: "_RecipeSink", loop: Optional[training.Loop]) -> None:
    """Find out whether gradients that are finite carry any signal."""
    if loop is None or sink.bad_step is not None:
        return
    try:
        if loop.spec.entry:
            unregistered.run(events, loop)
        if sink.has_no_gradient:
            locate.find_first_break(events, loop.runtime, loop.spec, recipe)
            events.emit("silent", recipe=recipe.name, **no_signal.first_silent_node(loop))
        elif not recipe.dtypes:
            no_signal.run(events, loop)
    except Exception as error:  # noqa: BLE001 - the outcome is known; only the reason is not
        events.emit("locate-failed", recipe=recipe.name, error=describe(error))


class _RecipeSink:
    """Passes events on, remembers what was bad about the steps, and inspects the first subject before it is trained."""

    def __init__(self, events: EventSink, runtime: Runtime, *, inspected: bool) -> None:
        self.bad_step: Optional[int] = None
        self.inspected = inspected
        self.differentiates_twice = False
        """Whether a function was to be differentiated twice that cannot be."""
        self.lacks_graph = False
        """Whether the loss, or some trainable parameters, have no graph."""
        self.missing: Sequence[str] = ()
        """Parameters without a gradient at every step."""
        self.recomputes = False
        """Whether the recomputation of a checkpoint differed from its forward pass."""
        self.steps: List[Dict[str, Any]] = []
        self._events = events
        self._runtime = runtime

    @property
    def taken(self) -> bool:
        """Whether any step was taken."""
        return any(step["taken"] for step in self.steps)

    @property
    def has_no_gradient(self) -> bool:
        """Whether every gradient of every step is 0."""
        counts = [step["gradients"] for step in self.steps]
        return bool(counts) and all(
            each["zero"] and each["zero"] + each["missing"] >= each["tensors"] for each in counts
        )

    @property
    def rises(self) -> bool:
        """Whether all losses are finite, and the last ones are not below the first ones."""
        return self.bad_step is None and bool(self.steps) and not training.falls(self.steps)

    @property
    def is_good(self) -> bool:
        """Whether nothing about the steps was bad, so that nothing was searched for in the model."""
        return self.bad_step is None and not self.rises and not self.lacks_graph

    def built(self, subject: Subject) -> None:
        """Inspect a subject that was just built, unless one was inspected before."""
        if not self.inspected:
            inspect_data.run(self._events, self._runtime, subject)
            self.inspected = True

    def without_gradient(self, names: Sequence[str]) -> None:
        """Remember the parameters that got no gradient in the last step."""
        self.missing, self.lacks_graph = names, bool(names)

    def emit(self, event: str, **fields: Any) -> None:
        """Emit one event."""
        self._events.emit(event, **fields)
        if event == "step":
            self._note_step(fields)
        elif event == "recipe-failed":
            self.lacks_graph = _NO_GRAPH in fields["error"]["message"]
            self.differentiates_twice = fields["error"]["message"].startswith(_NO_DERIVATIVE)
            self.recomputes = fields["error"]["type"] == recomputation.ERROR
        elif event == "movement" and self.bad_step is None and not self.taken:
            # Every step was skipped, so the first one shows the reason.
            self.bad_step = 0

    def _note_step(self, fields: Dict[str, Any]) -> None:
        self.steps.append(fields)
        if self.bad_step is None and not training.is_finite_step(fields):
            self.bad_step = fields["step"]
