"""Finds weights whose gradient carries no signal: it is 0, or nothing but rounding, so the loss ignores the weights.

It asks only about trainings of which most weights are suspicious, so that others take no longer.
"""

import re
from typing import Any, Dict, Iterator, List, Optional, Tuple

from ..runtime import EventSink
from .tensors import values

NOISE = 1e-4
"""Gradients below this share of the largest one are suspicious (root mean squares). float32 rounds at 6e-8, and a
normalization multiplies that by up to 1 / sqrt(eps): 5e-5 was measured behind LayerNorm(1) of torch 2.1.2."""
MIN_SHARE = 0.5
"""Share of the elements, or of the matrices, that has to be without a signal. A few always are: a bias of keys before a
softmax over them, or of a convolution before a BatchNorm."""
PERTURBATION = 0.5
"""Size of the change of the weights, relative to their own."""
MIN_SIZE = 0.02
"""Size of weights that start at 0, for the change."""
MIN_CHANGE = 1e-4
"""Relative change of a loss that is more than such rounding, where half of each weight is changed."""
MAX_RATIO = 1e-2
"""A function that passes on less of the gradient than this can be where it vanishes."""
MAX_NODES = 20000
"""Nodes of a graph that are followed."""


def run(events: EventSink, loop: Any) -> None:
    """Emit one ``no-signal`` event if most weights of ``loop``, a ``training.Loop`` that took its steps, have none."""
    silent = {name for name, ratio in loop.signal.items() if ratio <= NOISE}
    if not _is_most(loop, silent):
        return
    zero = {name for name in silent if not loop.signal[name]}
    zero.difference_update(_with_active_siblings(zero, loop.signal))
    noise = {name for name in silent if loop.signal[name]}
    if noise and _changes_loss(loop, sorted(noise)):
        noise = set()
    dead = zero | noise
    if not _is_most(loop, dead):
        return
    names = [name for name in loop.parameters if name in dead]
    events.emit(
        "no-signal",
        recipe=loop.recipe.name,
        tensors=len(names),
        of=len(loop.parameters),
        first=names[0],
        exact=not noise,
        **first_silent_node(loop),
    )


def _is_most(loop: Any, names: Any) -> bool:
    with_gradient = {name: loop.parameters[name] for name in loop.signal}
    elements = sum(p.numel() for p in with_gradient.values())
    matrices = [name for name, p in with_gradient.items() if p.dim() > 1]
    share = sum(with_gradient[name].numel() for name in names) / max(1, elements)
    return share > MIN_SHARE or sum(name in names for name in matrices) > MIN_SHARE * len(matrices)


def _with_active_siblings(names: Any, signal: Dict[str, float]) -> List[str]:
    """Return those of ``names`` that another layer or expert of the same kind has too, and gets a signal there.

    A router chooses experts, and a layer can be multiplied by 0 at random.
    """
    active = {re.sub(r"\d+", "*", name) for name, ratio in signal.items() if ratio}
    return [name for name in names if re.sub(r"\d+", "*", name) in active]


def _changes_loss(loop: Any, names: List[str]) -> bool:
    """Return whether other values of the parameters ``names`` give another loss.

    All others are changed as well before that: a product with a weight that starts at 0 hides every change.
    """
    torch = loop.runtime.torch
    others = [name for name in loop.parameters if name not in names]
    before = {name: p.detach().clone() for name, p in loop.parameters.items()}
    generator = torch.Generator().manual_seed(loop.spec.seed)
    try:
        with torch.no_grad():
            _change(torch, loop, others, generator)
            first = [float(loop.loss(number)) for number in range(len(loop.subject.batches))]
            _change(torch, loop, names, generator)
            second = [float(loop.loss(number)) for number in range(len(loop.subject.batches))]
    finally:
        with torch.no_grad():
            for name, value in before.items():
                loop.parameters[name].copy_(value)
    # Not `>`: a loss of NaN shows nothing, and does not accuse.
    return not all(abs(a - b) <= MIN_CHANGE * max(abs(a), MIN_CHANGE) for a, b in zip(first, second))


def _change(torch: Any, loop: Any, names: List[str], generator: Any) -> None:
    for name in names:
        parameter = loop.parameters[name]
        size = max(float(parameter.float().pow(2).mean() ** 0.5), MIN_SIZE)
        noise = torch.randn(parameter.shape, generator=generator).to(parameter)
        parameter.add_(noise, alpha=PERTURBATION * size)


def first_silent_node(loop: Any) -> Dict[str, Any]:
    """Return ``node``, ``file`` and ``line`` of the first backward function that passes least on (or ``None``)."""
    from .locate import anomaly_mode  # noqa: PLC0415 - imports this package's training
    from .source_lines import of_node  # noqa: PLC0415 - imports torch; run.py imports it first

    drop = _Drop()
    try:
        with anomaly_mode(loop.runtime.torch):
            loss = loop.loss(0)
            for node in nodes_of(loss.grad_fn):
                node.register_hook(drop.hook(node))
            loss.backward()
    except Exception:  # noqa: BLE001, S110 - only the place stays unknown
        pass
    place: Dict[str, Any] = of_node(drop.node) if drop.node is not None else _first_hook(loop)
    return place


def first_once_only_node(loop: Any) -> Dict[str, Any]:
    """Return ``node``, ``file`` and ``line`` of a function that cannot be differentiated again (``None``: unknown)."""
    from .locate import anomaly_mode  # noqa: PLC0415 - imports this package's training
    from .source_lines import of_node  # noqa: PLC0415 - imports torch; run.py imports it first

    with anomaly_mode(loop.runtime.torch):
        loss = loop.loss(0)
    node = next((each for each in nodes_of(loss.grad_fn) if "NotImplemented" in str(each.name())), None)
    unknown: Dict[str, Any] = {"node": None, "file": None, "line": None}
    return unknown if node is None else of_node(node)


def _first_hook(loop: Any) -> Dict[str, Any]:
    """Return the place of the first hook on the gradient of a parameter: it comes after all nodes."""
    from .exceptions import relative  # noqa: PLC0415 - only here

    for name, parameter in loop.parameters.items():
        for hook in (getattr(parameter, "_backward_hooks", None) or {}).values():
            code = getattr(hook, "__code__", None)
            file = relative(code.co_filename) if code is not None else None
            line = code.co_firstlineno if code is not None else None
            return {"node": "the gradient hook on %s" % name, "file": file, "line": line}
    return {"node": None, "file": None, "line": None}


def nodes_of(root: Any) -> Iterator[Any]:
    """Yield the nodes of a graph, ``root`` first, and no more than ``MAX_NODES``."""
    seen, queue = {root}, [root]
    while queue and len(seen) < MAX_NODES:
        node = queue.pop()
        yield node
        for following, _ in node.next_functions:
            if following is not None and following not in seen:
                seen.add(following)
                queue.append(following)


class _Drop:
    """The largest drop of the gradient that was seen in one backward pass."""

    def __init__(self) -> None:
        self.node: Any = None
        self._ratio = MAX_RATIO
        self._top = 0.0

    def hook(self, node: Any) -> Any:
        """Return a hook of ``node`` that looks at what it passes on."""

        def look(inputs: Tuple[Any, ...], outputs: Tuple[Any, ...]) -> None:
            arriving = _largest_norm(outputs) or 0.0
            self._top = max(self._top, arriving)
            if arriving <= self._top * NOISE:
                # The gradient vanished before.
                return
            edges = [pair for pair in zip((each for each, _ in node.next_functions), inputs) if pair[0] is not None]
            inner = [each for following, each in edges if "AccumulateGrad" not in str(following.name())]
            leaving = _largest_norm(inner or [each for _, each in edges])
            if edges and leaving is not None and leaving < self._ratio * arriving:
                self.node, self._ratio = node, leaving / arriving

        return look


def _largest_norm(tensors: Any) -> Optional[float]:
    """Return the largest norm of some gradients; ``None``: one of them is not finite."""
    norms = [float(values(each).float().norm()) for each in tensors if each is not None]
    return max(norms, default=0.0) if all(norm < float("inf") for norm in norms) else None
