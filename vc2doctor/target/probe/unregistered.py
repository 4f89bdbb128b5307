"""Finds tensors that a model keeps in plain lists, dicts or attributes: the loss needs them, and nothing trains them.

A layer in a Python list is no part of its module, so ``parameters()`` leaves it out.
"""

from typing import Any, Dict, Iterator, Tuple

from ..runtime import EventSink

MAX_DEPTH = 4
"""Containers within containers that are searched."""
MAX_ITEMS = 1000
"""Items of one container that are searched: a module can keep a data set."""


def run(events: EventSink, loop: Any) -> None:
    """Emit one ``unregistered`` event if the loss of ``loop``, a ``training.Loop``, depends on such tensors.

    What the forward pass makes or keeps for itself is replaced in the next one, and is no such tensor.
    """
    kept = _kept_tensors(loop)
    if not kept:
        return
    used = _used_tensors(loop, {id(tensor) for tensor in kept.values()})
    names = [name for name, tensor in kept.items() if id(tensor) in used]
    if names:
        first = kept[names[0]]
        events.emit(
            "unregistered",
            recipe=loop.recipe.name,
            tensors=len(names),
            first=names[0],
            shape=list(first.shape),
            **used[id(first)],
        )


def _kept_tensors(loop: Any) -> Dict[str, Any]:
    """Return the leaves that require a gradient, and are neither parameters nor buffers nor in the optimizer."""
    torch, module = loop.runtime.torch, loop.subject.module
    known = {id(tensor) for tensor in (*module.parameters(), *module.buffers(), *loop.held())}
    own = vars(torch.nn.Module())
    kept: Dict[str, Any] = {}
    for prefix, part in module.named_modules():
        for key, value in vars(part).items():
            if key in own:
                continue
            for name, tensor in _tensors(torch, value, "%s.%s" % (prefix, key) if prefix else key, MAX_DEPTH):
                if tensor.is_leaf and tensor.requires_grad and id(tensor) not in known:
                    known.add(id(tensor))
                    kept[name] = tensor
    return kept


def _tensors(torch: Any, value: Any, name: str, depth: int) -> Iterator[Tuple[str, Any]]:
    """Yield the tensors in ``value`` with their names, those of modules in evaluation mode left out.

    Such a module was put there on purpose: ``model.train()`` does not reach it.
    """
    if isinstance(value, torch.Tensor):
        yield name, value
    elif isinstance(value, torch.nn.Module):
        if value.training:
            for inner, tensor in value.named_parameters():
                yield "%s.%s" % (name, inner), tensor
    elif depth and isinstance(value, (list, tuple, dict)) and len(value) <= MAX_ITEMS:
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _tensors(torch, item, "%s[%r]" % (name, key), depth - 1)


def _used_tensors(loop: Any, wanted: Any) -> Dict[int, Dict[str, Any]]:
    """Return by identity those of the tensors ``wanted`` that the loss depends on, and the line that uses each."""
    from .locate import anomaly_mode  # noqa: PLC0415 - imports this package's training
    from .no_signal import nodes_of  # noqa: PLC0415 - beside the next one
    from .source_lines import of_node  # noqa: PLC0415 - imports torch; run.py imports it first

    with anomaly_mode(loop.runtime.torch):
        loss = loop.loss(0)
    used: Dict[int, Dict[str, Any]] = {}
    for node in nodes_of(loss.grad_fn):
        for following, _ in node.next_functions:
            identity = id(getattr(following, "variable", None))
            if identity in wanted and identity not in used:
                place = of_node(node)
                used[identity] = {"file": place["file"], "line": place["line"]}
    return used
