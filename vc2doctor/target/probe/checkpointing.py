"""Observes reentrant gradient checkpointing that gets no input with a gradient: it returns tensors without a graph.

torch only warns of that ("None of the inputs have requires_grad=True"), once in a process. The blocks between stay
without gradients: https://pytorch.org/docs/stable/checkpoint.html.
"""

import contextlib
import functools
from typing import Any, Iterator, List

from .tensors import needs_gradient

MAX_NAMES = 20
"""Blocks that are remembered; a model calls each of them in every step."""


class CheckpointWatch:
    """Counts the blocks with trainable parameters whose reentrant checkpoint got no input with a gradient."""

    def __init__(self, torch: Any) -> None:
        self.blocks: List[str] = []
        """Names of the functions, or classes of the modules, whose checkpoint returns no graph."""
        self.depth = 0
        """How many checkpointed functions are running. They run once without gradients, and once more backward."""
        self._torch = torch

    def see(self, function: Any, inputs: Any) -> None:
        """Look at one call of a checkpointed function; a block without trainable parameters loses nothing."""
        if not self._torch.is_grad_enabled() or any(needs_gradient(self._torch, each) for each in inputs):
            return
        name, module = _named(self._torch, function)
        if module is not None and not any(parameter.requires_grad for parameter in module.parameters()):
            return
        if len(self.blocks) < MAX_NAMES:
            self.blocks.append(name)


@contextlib.contextmanager
def watched(torch: Any) -> Iterator[CheckpointWatch]:
    """Watch all calls of torch's reentrant checkpointing within this region."""
    watch = CheckpointWatch(torch)
    function_class = _function_class()
    if function_class is None:
        yield watch
        return
    own = vars(function_class).get("apply")
    original = function_class.apply

    def apply(function: Any, preserve: Any, *inputs: Any) -> Any:
        watch.see(function, inputs)
        watch.depth += 1
        try:
            return original(function, preserve, *inputs)
        finally:
            watch.depth -= 1

    function_class.apply = staticmethod(apply)
    try:
        yield watch
    finally:
        if own is None:
            del function_class.apply
        else:
            function_class.apply = own


def _function_class() -> Any:
    """Return torch's class for reentrant checkpointing; ``None``: a package took its place, so nothing is watched."""
    try:
        from torch.utils import checkpoint  # noqa: PLC0415 - run.py imports torch first and reports a failure
    except ImportError:
        return None
    return getattr(checkpoint, "CheckpointFunction", None)


def _named(torch: Any, function: Any) -> Any:
    """Return the name of a checkpointed function and the module that it belongs to, or ``None`` if it is unknown."""
    while isinstance(function, functools.partial):
        function = function.func
    owner = function if isinstance(function, torch.nn.Module) else getattr(function, "__self__", None)
    if isinstance(owner, torch.nn.Module):
        return type(owner).__name__, owner
    return getattr(function, "__qualname__", type(function).__name__), None
