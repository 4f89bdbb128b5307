"""Finds out why trainable parameters get no gradient: looks at the graph of each module in one more forward pass."""

from typing import Any, Dict, List, Optional, Sequence, Set, Tuple

from ..runtime import EventSink, Runtime
from ..shared.recipes import Recipe
from ..shared.spec import Spec
from . import checkpointing, training
from .subject import Subject, build
from .tensors import needs_gradient

MAX_MODULES = 50
"""Modules that one event describes; adapters of a large model can be thousands."""


def run(events: EventSink, runtime: Runtime, spec: Spec, recipe: Recipe, missing: Sequence[str]) -> None:
    """Emit one ``graph`` event on the modules that own the parameters ``missing``; empty: all trainable ones.

    For each module: whether the forward pass calls it, whether gradients are on then, and whether its output has a
    graph. ``last`` is the last module of all whose output has a graph.
    """
    subject = build(runtime, spec, recipe)
    owners, with_gradient = _owners(subject, missing)
    with checkpointing.watched(runtime.torch) as watch:
        graphs = _Graphs(runtime.torch, subject.module, watch)
        try:
            loss = training.loss_of(runtime, spec, recipe, subject, subject.batches[0])
        finally:
            graphs.close()
    events.emit(
        "graph",
        recipe=recipe.name,
        loss=bool(loss.requires_grad),
        modules=[dict(graphs.facts(name), partly=name in with_gradient) for name in owners[:MAX_MODULES]],
        last=graphs.last,
    )


def _owners(subject: Subject, missing: Sequence[str]) -> Tuple[List[str], Set[str]]:
    """Return the modules that own the parameters ``missing``, and those that own others, which get a gradient."""
    trainable = list(subject.trainable_parameters())
    names = missing or trainable
    owners = list(dict.fromkeys(name.rpartition(".")[0] for name in names))
    return owners, {name.rpartition(".")[0] for name in set(trainable).difference(names)}


class _Graphs:
    """Follows all modules of one forward pass."""

    def __init__(self, torch: Any, module: Any, watch: checkpointing.CheckpointWatch) -> None:
        self.last: Optional[str] = None
        self._torch, self._watch = torch, watch
        self._enabled: Dict[str, bool] = {}
        """By module that was called: whether gradients were on at every call."""
        self._with_graph: Dict[str, bool] = {}
        self._hooks = [hook for name, part in module.named_modules() for hook in self._follow(part, name)]

    def close(self) -> None:
        """Remove the hooks from the modules."""
        for hook in self._hooks:
            hook.remove()

    def facts(self, name: str) -> Dict[str, Any]:
        """Return what is known about the module ``name``."""
        return {
            "module": name,
            "called": name in self._enabled,
            "enabled": self._enabled.get(name, False),
            "graph": self._with_graph.get(name, False),
        }

    def _follow(self, part: Any, name: str) -> List[Any]:
        def enter(_module: Any, _inputs: Any) -> None:
            # A checkpointed function runs without gradients at first. That is how it works, and no fault.
            enabled = self._torch.is_grad_enabled() or self._watch.depth > 0
            self._enabled[name] = enabled and self._enabled.get(name, True)

        def leave(_module: Any, _inputs: Any, output: Any) -> None:
            has_graph = self._watch.depth > 0 or any(needs_gradient(self._torch, each) for each in _leaves(output))
            self._with_graph[name] = has_graph or self._with_graph.get(name, False)
            if has_graph and name:
                self.last = name

        return [part.register_forward_pre_hook(enter), part.register_forward_hook(leave)]


def _leaves(value: Any) -> List[Any]:
    if isinstance(value, dict):
        return [leaf for each in value.values() for leaf in _leaves(each)]
    if isinstance(value, (list, tuple)):
        return [leaf for each in value for leaf in _leaves(each)]
    return [value]
