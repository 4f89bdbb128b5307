"""Watches every operation: the largest value that each module computes, and the first operation that breaks.

A dispatch mode sees operations that hooks on modules miss: products between modules, and the backward pass.
"""

from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_unflatten

from . import source_lines
from .tensors import dtype_name, is_broken

_UNINITIALIZED = ("empty", "new_empty", "empty_like", "empty_strided", "new_empty_strided")
"""Their outputs hold arbitrary memory."""
_MASKING = ("masked_fill", "full", "where", "scalar_tensor", "full_like", "fill_", "masked_fill_", "new_full", "triu")
"""They write -inf and other constants on purpose."""
_COPIES = ("_to_copy", "clone", "copy_", "copy", "expand", "view", "detach", "t", "transpose", "lift_fresh", "arange")
"""They compute no new value."""
_FLOAT32_ON_CUDA = (
    *("rsqrt", "pow", "sum", "exp", "log", "reciprocal", "cumsum"),
    *("_softmax", "_log_softmax", "nll_loss_forward"),
)
"""Operations that CUDA's autocast computes in float32, and a CPU's does not:
https://pytorch.org/docs/stable/amp.html#cuda-ops-that-can-autocast-to-float32."""
_WITHOUT_RANGE = (*_MASKING, *_COPIES, *_FLOAT32_ON_CUDA)

MAX_MASKED = -1e30
"""A value below this was masked: it is the lowest number of some dtype, perhaps with a score added."""
MAX_MASK = -1000.0
"""Additive masks hold this or less where they hide something; BERT uses -10000."""
MAX_INPUTS = 4
"""Inputs of a broken operation whose sizes are reported."""


class Operation(NamedTuple):
    """One operation that was computed, with its arguments."""

    func: Any
    name: str
    args: Any
    kwargs: Dict[str, Any]

    def inputs(self) -> List[Any]:
        """Return the floating-point tensors among the arguments."""
        return [part.detach() for part in tree_flatten((self.args, self.kwargs))[0] if _is_float(part)]

    def largest_in_wider_dtype(self) -> Optional[float]:
        """Repeat the operation in a wider dtype; return the largest absolute value, or ``None`` if it is not finite."""
        leaves, structure = tree_flatten((self.args, self.kwargs))
        args, kwargs = tree_unflatten([_widened(leaf) for leaf in leaves], structure)
        try:
            result = self.func(*args, **kwargs)
        except (RuntimeError, TypeError, NotImplementedError):
            return None
        sizes = [float(part.abs().max()) for part in tree_flatten(result)[0] if _is_float(part) and part.numel()]
        # Look at each size: Python's `max` can skip a NaN.
        return max(sizes) if sizes and all(size < float("inf") for size in sizes) else None


class Watch(TorchDispatchMode):
    """Follows every operation and the module that runs it; a subclass looks at the outputs."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.path = [""]
        """Names of the modules whose forward pass is running, the innermost last."""
        self._hooks = [hook for name, part in module.named_modules() if name for hook in self._follow(part, name)]

    def close(self) -> None:
        """Remove the hooks from the modules."""
        for hook in self._hooks:
            hook.remove()

    def see(self, operation: Operation, output: Any) -> None:
        """Look at ``output``, one floating-point output of ``operation``."""
        raise NotImplementedError

    def _follow(self, part: Any, name: str) -> List[Any]:
        def enter(_module: Any, _inputs: Any) -> None:
            self.path.append(name)

        def leave(_module: Any, _inputs: Any, _output: Any) -> None:
            # An exception in a forward pass skips this hook, so the last name can be another one.
            if self.path[-1] == name:
                self.path.pop()

        return [part.register_forward_pre_hook(enter), part.register_forward_hook(leave)]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        # "aten.mm.default" -> "mm"
        name = str(func).split(".")[-2] if "." in str(func) else str(func)
        if name not in _UNINITIALIZED:
            # The second output of a norm is its statistics, which stay in float32.
            outputs = result[0] if isinstance(result, tuple) and "norm" in name else result
            for output in (part for part in tree_flatten(outputs)[0] if _is_float(part)):
                self.see(Operation(func, name, args, kwargs or {}), output.detach())
        return result


class Call(NamedTuple):
    """The n-th call of an operation in a module."""

    module: str
    operation: str
    number: int


class Output(NamedTuple):
    """The dtype of a call's output, and its largest absolute value (0 if sizes are not measured)."""

    dtype: str
    largest: float


class Ranges(Watch):
    """Keeps the dtype of every operation's output, and with ``sizes`` its largest absolute value."""

    def __init__(self, module: Any, *, sizes: bool) -> None:
        super().__init__(module)
        self._sizes = sizes
        self.outputs: Dict[Call, Output] = {}
        self.broadcast: Optional[Dict[str, Any]] = None
        """The fields of the first difference of a column and a row, which compares each row of a batch with all."""
        self._counts = _Counts()

    def see(self, operation: Operation, output: Any) -> None:
        """Keep the facts of an output, unless the operation computes no value of its own."""
        if operation.name in _WITHOUT_RANGE or not output.numel():
            return
        call = self._counts.call(self.path[-1], operation.name)
        if operation.name == "sub" and self.broadcast is None:
            self._note_broadcast(operation)
        size = float(output.abs().max()) if self._sizes else 0.0
        if size >= -MAX_MASK:
            size = _largest_unmasked(output, size, operation)
        self.outputs[call] = Output(dtype_name(output.dtype), size)

    def _note_broadcast(self, operation: Operation) -> None:
        """Keep the operation if it subtracts (n, 1) and (n,), of different values: the result is (n, n).

        Code that wants each pair writes both axes, ``x[:, None] - y[None]``.
        """
        tensors = [part for part in operation.args[:2] if _is_float(part)]
        shapes = sorted((tuple(part.shape) for part in tensors), key=len)
        if len(shapes) < 2 or len(shapes[0]) != 1 or shapes[0][0] < 2 or shapes[1] != (shapes[0][0], 1):  # noqa: PLR2004
            return
        first, second = (part.detach().reshape(-1) for part in tensors)
        if not torch.equal(first, second.to(first.dtype)):
            place = source_lines.of_operation("forward")
            self.broadcast = {
                "rows": shapes[0][0],
                "module": self.path[-1],
                "file": place["file"],
                "line": place["line"],
            }


class _Counts:
    """Numbers the calls of each operation in each module."""

    def __init__(self) -> None:
        self._counts: Dict[Tuple[str, str], int] = {}

    def call(self, module: str, operation: str) -> Call:
        """Return the next call."""
        number = self._counts.get((module, operation), 0)
        self._counts[module, operation] = number + 1
        return Call(module, operation, number)


class Inputs(Watch):
    """Keeps the inputs of one call, to compare them with those under another recipe."""

    def __init__(self, module: Any, wanted: Call) -> None:
        super().__init__(module)
        self.inputs: List[Any] = []
        self._wanted, self._counts = wanted, _Counts()

    def see(self, operation: Operation, output: Any) -> None:
        """Keep the inputs if this is the call."""
        del output
        if self._counts.call(self.path[-1], operation.name) == self._wanted:
            self.inputs = [part.clone() for part in operation.inputs()[:MAX_INPUTS]]


class FirstBreak(Watch):
    """Finds the first operation with finite inputs and an output that is not finite."""

    def __init__(self, module: Any, mask: Any, phase: Callable[[], str]) -> None:
        super().__init__(module)
        self.broken: Optional[Dict[str, Any]] = None
        """The fields of the broken operation, once there is one."""
        self.call: Optional[Call] = None
        """The call that broke."""
        self.inputs: List[Any] = []
        """Its inputs."""
        self._counts = _Counts()
        self._mask = mask
        self._phase = phase

    def see(self, operation: Operation, output: Any) -> None:
        """Remember the operation if it is the first that breaks."""
        if self.broken is not None:
            return
        call = self._counts.call(self.path[-1], operation.name)
        if operation.name in _MASKING or not output.numel():
            return
        if bool(torch.isfinite(output).all()):
            return
        inputs = operation.inputs()
        if any(is_broken(torch, part) for part in inputs) or _is_only_masked(output, inputs):
            return
        self.call, self.inputs = call, [part.clone() for part in inputs[:MAX_INPUTS]]
        self.broken = {
            "phase": self._phase(),
            "module": self.path[-1],
            "op": operation.name,
            "dtype": dtype_name(output.dtype),
            "largest": [_largest_finite(part) for part in inputs[:MAX_INPUTS]],
            "exact": operation.largest_in_wider_dtype(),
            "ignored_rows_only": self._is_in_ignored_rows(output),
            "zeros": any(bool((part == 0).any()) for part in inputs),
            "by_number_zero": _divides_by_number_zero(operation),
            "empty": any(not part.numel() for part in inputs),
            "hidden_rows": _count_hidden_rows(inputs[0]) if "softmax" in operation.name and inputs else 0,
            **source_lines.of_operation(self._phase()),
        }

    def _is_in_ignored_rows(self, output: Any) -> Optional[bool]:
        """Return whether only rows that the mask hides are broken; ``None``: the shapes do not show the rows."""
        mask = self._mask
        if mask is None:
            return None
        count = mask.numel()
        by_position = tuple(output.shape[: mask.dim()]) == tuple(mask.shape)
        if not by_position and tuple(output.shape[:1]) != (count,):
            return None
        rows = output.reshape(count, -1)
        bad = (~torch.isfinite(rows)).any(dim=1)
        kept = mask.reshape(-1).bool()
        return bool(bad[~kept].any()) and not bool(bad[kept].any())


def _divides_by_number_zero(operation: Operation) -> bool:
    """Return whether the operation divides by a number of Python that is 0."""
    divisor = operation.args[1] if operation.name in ("div", "div_") and len(operation.args) > 1 else 1
    return not isinstance(divisor, torch.Tensor) and bool(divisor == 0)


def _count_hidden_rows(scores: Any) -> int:
    """Return how many rows of ``scores`` (…, keys) hold nothing but -inf: a softmax over such a row is NaN."""
    return int((scores == -float("inf")).all(dim=-1).sum()) if scores.dim() and scores.numel() else 0


def _is_only_masked(output: Any, inputs: List[Any]) -> bool:
    """Return whether the only bad values are -inf from an additive mask: one that was cast, or had a score added."""
    if is_broken(torch, output):
        return False
    low = min((float(part.min()) for part in inputs if part.numel()), default=0.0)
    lowest = max((torch.finfo(part.dtype).min for part in inputs), default=MAX_MASKED)
    return low < MAX_MASKED or low <= lowest


def _largest_unmasked(output: Any, size: float, operation: Operation) -> float:
    """Return the largest absolute value of ``output`` without the values that an additive mask put there.

    ``size`` is the largest absolute value with them.
    """
    low = float(output.min())
    if low > MAX_MASK or -low < size:
        # No value is as low as a mask's, or the largest one is positive.
        return size
    if _is_mask(output, low):
        return 0.0
    for part in operation.inputs():
        if part.numel() and _is_mask(part, float(part.min())):
            kept = output[(part == 0).expand_as(output)] if part.dim() <= output.dim() else output
            return float(kept.abs().max()) if kept.numel() else 0.0
    return size if low > MAX_MASKED else 0.0


def _is_mask(tensor: Any, low: float) -> bool:
    """Return whether ``tensor`` is an additive mask: it holds nothing but 0 and ``low``, a very negative number."""
    return low <= MAX_MASK and bool(((tensor == 0) | (tensor == low)).all())


def _widened(leaf: Any) -> Any:
    """Return a tensor as a copy in a wider dtype, a half dtype as float32, and everything else as it is."""
    half = (torch.float16, torch.bfloat16)
    if _is_float(leaf):
        return leaf.detach().to(torch.float32 if leaf.dtype in half else torch.float64, copy=True)
    return torch.float32 if isinstance(leaf, torch.dtype) and leaf in half else leaf


def _is_float(value: Any) -> bool:
    # Few operations know sparse tensors; their values are watched where they are computed.
    return isinstance(value, torch.Tensor) and value.is_floating_point() and not value.is_sparse


def _largest_finite(tensor: Any) -> Optional[float]:
    finite = tensor[torch.isfinite(tensor)] if tensor.numel() else tensor
    return float(finite.abs().max()) if finite.numel() else None
