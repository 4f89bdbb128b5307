"""Watches every operation: the largest value a module computes, and the first operation that breaks.

A dispatch mode sees what no hook on a module boundary sees: products between modules, and the backward pass.
"""

from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_unflatten

_UNSET = ("empty", "new_empty", "empty_like", "empty_strided", "new_empty_strided")
_MASKING = ("masked_fill", "full", "where", "scalar_tensor", "full_like", "fill_", "masked_fill_", "new_full", "triu")
_COPIES = ("_to_copy", "clone", "copy_", "copy", "expand", "view", "detach", "t", "transpose", "lift_fresh", "arange")
_UPCAST = ("rsqrt", "pow", "sum", "exp", "log", "reciprocal", "cumsum", "_softmax", "_log_softmax", "nll_loss_forward")
"""Whatever computes in float32 under CUDA's autocast and not under a CPU's:
https://pytorch.org/docs/stable/amp.html#cuda-ops-that-can-autocast-to-float32."""
_EXEMPT = (*_MASKING, *_COPIES, *_UPCAST)
_MASKED = -1e30
_LEAST_MASK = -1000.0
"""Additive masks add at least so little; -10000 is BERT's."""


class Done(NamedTuple):
    """One operation that was computed."""

    func: Any
    name: str
    args: Any
    kwargs: Dict[str, Any]

    def floats(self) -> List[Any]:
        """Return the floating-point tensors that went in."""
        return [part.detach() for part in tree_flatten((self.args, self.kwargs))[0] if _is_float(part)]

    def exact(self) -> Optional[float]:
        """Return the largest absolute value of the same operation in a wider dtype, or ``None`` where it has none."""
        leaves, structure = tree_flatten((self.args, self.kwargs))
        args, kwargs = tree_unflatten([_widened(one) for one in leaves], structure)
        try:
            made = self.func(*args, **kwargs)
        except (RuntimeError, TypeError, NotImplementedError):
            return None
        sizes = [float(one.abs().max()) for one in tree_flatten(made)[0] if _is_float(one) and one.numel()]
        # Each by itself: `max` of Python passes over a NaN.
        return max(sizes) if sizes and all(size < float("inf") for size in sizes) else None


class Watch(TorchDispatchMode):
    """Follows every operation and the module it is part of; subclasses look at the outputs."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.path = [""]
        self._hooks = [hook for name, part in module.named_modules() if name for hook in self._follow(part, name)]

    def close(self) -> None:
        """Take the hooks off again."""
        for hook in self._hooks:
            hook.remove()

    def see(self, done: "Done", value: Any) -> None:
        """Look at ``value``, one floating-point output of an operation."""
        raise NotImplementedError

    def _follow(self, part: Any, name: str) -> List[Any]:
        def enter(_module: Any, _inputs: Any) -> None:
            self.path.append(name)

        def leave(_module: Any, _inputs: Any, _output: Any) -> None:
            if self.path[-1] == name:
                self.path.pop()

        return [part.register_forward_pre_hook(enter), part.register_forward_hook(leave)]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        name = str(func).split(".")[-2] if "." in str(func) else str(func)
        if name not in _UNSET:
            # The second output of a norm is its scale, which stays in float32.
            first = made[0] if isinstance(made, tuple) and "norm" in name else made
            for output in (value for value in tree_flatten(first)[0] if _is_float(value)):
                self.see(Done(func, name, args, kwargs or {}), output.detach())
        return made


Call = Tuple[str, str, int]
"""A module, an operation, and which of its calls there."""


class Ranges(Watch):
    """Keeps the dtype, and with ``sizes`` the largest absolute value, of every operation's output."""

    def __init__(self, module: Any, *, sizes: bool) -> None:
        super().__init__(module)
        self._sizes = sizes
        self.seen: Dict[Call, Tuple[str, float]] = {}
        self._counts: Dict[Tuple[str, str], int] = {}

    def see(self, done: Done, value: Any) -> None:
        """Keep what this output spans; a copy or a constant makes no value of its own."""
        if done.name in _EXEMPT or not value.numel():
            return
        place = (self.path[-1], done.name)
        number = self._counts.get(place, 0)
        self._counts[place] = number + 1
        size = float(value.abs().max()) if self._sizes else 0.0
        if size >= -_LEAST_MASK:
            size = _unmasked(value, size, done)
        self.seen[place[0], place[1], number] = (str(value.dtype).replace("torch.", ""), size)


class FirstBreak(Watch):
    """Finds the first operation whose inputs are finite and whose output is not."""

    def __init__(self, module: Any, mask: Any, phase: Callable[[], str]) -> None:
        super().__init__(module)
        self.broken: Optional[Dict[str, Any]] = None
        self._mask = mask
        self._phase = phase

    def see(self, done: Done, value: Any) -> None:
        """Remember the first break."""
        if self.broken is not None or done.name in _MASKING or not value.numel():
            return
        if not bool(torch.isfinite(value).all()):
            inputs = done.floats()
            if not any(_is_broken(part) for part in inputs):
                self._break(done, value, inputs)

    def _break(self, done: Done, value: Any, inputs: List[Any]) -> None:
        # An additive mask that was cast down, or has a score added to it, becomes -inf, which is what it means.
        if not _is_broken(value):
            low = min((float(part.min()) for part in inputs if part.numel()), default=0.0)
            lowest = max((torch.finfo(part.dtype).min for part in inputs), default=_MASKED)
            if low < _MASKED or low <= lowest:
                return
        self.broken = {
            "phase": self._phase(),
            "module": self.path[-1],
            "op": done.name,
            "dtype": str(value.dtype).replace("torch.", ""),
            "largest": [_size(part) for part in inputs[:4]],
            "exact": done.exact(),
            "ignored_rows_only": self._is_confined(value),
        }

    def _is_confined(self, value: Any) -> Optional[bool]:
        """Return whether only rows that the mask ignores are broken; ``None`` where that cannot be told."""
        mask = self._mask
        if mask is None:
            return None
        count = mask.numel()
        by_position = tuple(value.shape[: mask.dim()]) == tuple(mask.shape)
        if not by_position and tuple(value.shape[:1]) != (count,):
            return None
        rows = value.reshape(count, -1)
        bad = (~torch.isfinite(rows)).any(dim=1)
        kept = mask.reshape(-1).bool()
        return bool(bad[~kept].any()) and not bool(bad[kept].any())


def _unmasked(value: Any, size: float, done: Done) -> float:
    """Return the largest absolute value of ``value``, less what an additive mask put there."""
    low = float(value.min())
    if low > _LEAST_MASK or -low < size:
        return size
    if _is_mask(value, low):
        return 0.0
    for part in done.floats():
        if part.numel() and _is_mask(part, float(part.min())):
            left = value[(part == 0).expand_as(value)] if part.dim() <= value.dim() else value
            return float(left.abs().max()) if left.numel() else 0.0
    return size if low > _MASKED else 0.0


def _is_mask(value: Any, low: float) -> bool:
    """Return whether ``value`` is an additive mask: 0 here, and the same very negative number there."""
    return low <= _LEAST_MASK and bool(((value == 0) | (value == low)).all())


def _widened(leaf: Any) -> Any:
    """Return a copy of a tensor in a wider dtype, and the wider one of a dtype that is asked for."""
    half = (torch.float16, torch.bfloat16)
    if _is_float(leaf):
        return leaf.detach().to(torch.float32 if leaf.dtype in half else torch.float64, copy=True)
    return torch.float32 if isinstance(leaf, torch.dtype) and leaf in half else leaf


def _is_float(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.is_floating_point()


def _is_broken(value: Any) -> bool:
    return bool(torch.isnan(value).any()) or bool((value == float("inf")).any())


def _size(value: Any) -> Optional[float]:
    finite = value[torch.isfinite(value)] if value.numel() else value
    return float(finite.abs().max()) if finite.numel() else None
