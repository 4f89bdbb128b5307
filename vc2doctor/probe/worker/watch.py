"""Watches every operation: the largest value a module computes, and the first operation that breaks.

A dispatch mode sees what no hook on a module boundary sees: products between modules, and the backward pass.
"""

from typing import Any, Callable, Dict, List, Optional, Tuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

_UNSET = ("empty", "new_empty", "empty_like", "empty_strided", "new_empty_strided")
_EXACT = ("rsqrt", "sqrt", "pow", "mean", "sum", "exp", "log", "var", "var_mean", "reciprocal", "arange", "cumsum")
"""Parts of norms, softmax and losses, which compute in float32 whatever the recipe."""
_MASKING = ("masked_fill", "full", "where", "scalar_tensor", "full_like", "fill_", "masked_fill_", "new_full", "triu")
_MASKED = -1e30


class Watch(TorchDispatchMode):
    """Keeps, by module and operation, the largest absolute output; and the first finite-in, non-finite-out."""

    def __init__(self, module: Any, mask: Any = None, phase: Callable[[], str] = lambda: "forward") -> None:
        super().__init__()
        self._phase = phase
        self.largest: Dict[Tuple[str, str], float] = {}
        self.broken: Optional[Dict[str, Any]] = None
        self._path = [""]
        self._mask = mask
        self._hooks = [hook for name, part in module.named_modules() if name for hook in self._follow(part, name)]

    def close(self) -> None:
        """Take the hooks off again."""
        for hook in self._hooks:
            hook.remove()

    def _follow(self, part: Any, name: str) -> List[Any]:
        def enter(_module: Any, _inputs: Any) -> None:
            self._path.append(name)

        def leave(_module: Any, _inputs: Any, _output: Any) -> None:
            if self._path[-1] == name:
                self._path.pop()

        return [part.register_forward_pre_hook(enter), part.register_forward_hook(leave)]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        name = str(func).split(".")[-2] if "." in str(func) else str(func)
        if name not in _UNSET:
            # The second output of a norm is its scale, which stays in float32.
            first = made[0] if isinstance(made, tuple) and "norm" in name else made
            for output in (value for value in tree_flatten(first)[0] if _is_float(value)):
                self._see(name, output, (args, kwargs or {}))
        return made

    def _see(self, name: str, output: Any, given: Any) -> None:
        value = output.detach()
        size = float(value.abs().max()) if value.numel() else 0.0
        if size < float("inf"):
            key = (self._path[-1], name)
            if name not in (*_MASKING, *_EXACT) and size < -_MASKED:
                self.largest[key] = max(size, self.largest.get(key, 0.0))
        elif self.broken is None and name not in _MASKING:
            inputs = [part.detach() for part in tree_flatten(given)[0] if _is_float(part)]
            if not any(_is_broken(part) for part in inputs):
                self._break(name, value, inputs)

    def _break(self, name: str, value: Any, inputs: List[Any]) -> None:
        # An additive mask cast down becomes -inf, which is what it means.
        if not bool(torch.isnan(value).any()) and not bool((value == float("inf")).any()):
            low = min((float(part.min()) for part in inputs if part.numel()), default=0.0)
            if low < _MASKED or low == -float("inf"):
                return
        self.broken = {
            "phase": self._phase(),
            "module": self._path[-1],
            "op": name,
            "dtype": str(value.dtype).replace("torch.", ""),
            "largest": [_size(part) for part in inputs[:4]],
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


def _is_float(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.is_floating_point()


def _is_broken(value: Any) -> bool:
    return bool(torch.isnan(value).any()) or bool((value == float("inf")).any())


def _size(value: Any) -> Optional[float]:
    finite = value[torch.isfinite(value)] if value.numel() else value
    return float(finite.abs().max()) if finite.numel() else None
