"""Emulates FP8, MXFP8 and NVFP4 on the weights of a checkpoint: what rounds to 0, and how large the error is.

Each format stores a number in few bits beside a scale that some numbers share: the whole tensor (FP8), 32 in a row with
a power of two (MXFP8: OCP Microscaling Formats 1.0, section 6.3), or 16 in a row with a scale in E4M3 and one more for
the tensor (NVFP4: arXiv 2509.25149, appendix B). The arithmetic is done in float32 on the machine's processor, so no
GPU and no dtype of torch is needed.
"""

import math
from typing import Any, Dict, NamedTuple, Optional, Tuple

from ..runtime import EventSink, Runtime

MAX_VALUES = 1 << 22
"""Weights that are looked at, spread over all tensors: enough for shares of 1e-5."""
MIN_ROWS = 4
MX_BLOCK, NVFP4_BLOCK = 32, 16
MIN_EXPONENT = -126
"""Of the scale of MX formats. E8M0 has one more, which float32 has as a subnormal number only."""
MANTISSA_BITS, EXPONENT_BIAS, MAX_BIASED_EXPONENT = 23, 127, 255
"""Of float32."""
MATRIX = 2
"""Dimensions of the weights that matrix products, and so these formats, are about."""


class Float(NamedTuple):
    """A format of single numbers: bits of the mantissa, exponent of the smallest normal number, largest number."""

    mantissa: int
    min_exponent: int
    largest: float

    @property
    def max_exponent(self) -> int:
        """The exponent of the largest number."""
        return math.frexp(self.largest)[1] - 1


E4M3 = Float(mantissa=3, min_exponent=-6, largest=448.0)
E2M1 = Float(mantissa=1, min_exponent=0, largest=6.0)


def run(events: EventSink, runtime: Runtime) -> None:
    """Emit one ``scaled`` event with the error of each format on the matrices of the loaded checkpoint."""
    if runtime.checkpoint is None:
        return
    matrices = [
        (name, tensor.detach())
        for name, tensor in runtime.checkpoint.model.named_parameters()
        if tensor.dim() == MATRIX and tensor.is_floating_point()
    ]
    if not matrices:
        return
    share = MAX_VALUES // len(matrices)
    totals = {name: _Total() for name in FORMATS}
    for name, tensor in matrices:
        largest = float(tensor.abs().max())
        if not math.isfinite(largest) or largest == 0.0:
            continue
        rows = _sample(tensor, share).to(device="cpu", dtype=runtime.torch.float32)
        for form, rounded in FORMATS.items():
            totals[form].add(name, rows, rounded(runtime.torch, rows, largest))
    formats = [dict(total.facts(), format=form) for form, total in totals.items() if total.values]
    if formats:
        events.emit("scaled", values=sum(tensor.numel() for _, tensor in matrices), formats=formats)


def _sample(tensor: Any, values: int) -> Any:
    """Return evenly spaced rows of a matrix: about ``values`` numbers. Whole rows keep the blocks as they are."""
    rows = max(MIN_ROWS, values // max(tensor.shape[1], 1))
    step = max(1, tensor.shape[0] // rows)
    return tensor[::step]


class _Total:
    """Sums up the errors of one format."""

    def __init__(self) -> None:
        self.values = 0
        self._flushed = 0
        self._error = 0.0
        self._size = 0.0
        self._worst: Optional[Tuple[float, str]] = None

    def add(self, name: str, exact: Any, rounded: Any) -> None:
        """Add the numbers of one tensor, before and after."""
        error = float((rounded - exact).double().pow(2).sum())
        size = float(exact.double().pow(2).sum())
        self.values += exact.numel()
        self._flushed += int(((rounded == 0) & (exact != 0)).sum())
        self._error += error
        self._size += size
        relative = math.sqrt(error / size) if size else 0.0
        if self._worst is None or relative > self._worst[0]:
            self._worst = (relative, name)

    def facts(self) -> Dict[str, Any]:
        """Return the share of numbers that become 0, and the relative error of all and of the worst tensor."""
        worst = self._worst or (0.0, "")
        return {
            "values": self.values,
            "flushed": self._flushed / self.values,
            "error": math.sqrt(self._error / self._size) if self._size else 0.0,
            "worst_error": worst[0],
            "worst_tensor": worst[1],
        }


def rounded_to(torch: Any, values: Any, form: Float) -> Any:
    """Return ``values`` rounded to the nearest numbers of a format, to even between two.

    Those that are larger than its largest number become that. Below the smallest normal number the steps stay the same
    (subnormal numbers).
    """
    steps = _power_of_two(torch, _exponents(torch, values).clamp(min=form.min_exponent) - form.mantissa)
    return (torch.round(values / steps) * steps).clamp(-form.largest, form.largest)


def per_tensor(torch: Any, values: Any, largest: float) -> Any:
    """Return what FP8 makes of ``values`` with one scale that maps ``largest`` to E4M3's largest number."""
    scale = E4M3.largest / largest
    return rounded_to(torch, values * scale, E4M3) / scale


def mx_blocks(torch: Any, values: Any, largest: float) -> Any:  # noqa: ARG001 - the formats share a signature
    """Return what MXFP8 makes of ``values``: 32 in a row share a power of two."""
    blocks = _blocks(torch, values, MX_BLOCK)
    peaks = blocks.abs().amax(dim=-1, keepdim=True)
    exponents = _exponents(torch, peaks) - E4M3.max_exponent
    scales = _power_of_two(torch, exponents.clamp(MIN_EXPONENT, -MIN_EXPONENT))
    return _unblocked(rounded_to(torch, blocks / scales, E4M3) * scales, values)


def nvfp4_blocks(torch: Any, values: Any, largest: float) -> Any:
    """Return what NVFP4 makes of ``values``: 16 in a row share a scale in E4M3, and all share one in float32."""
    blocks = _blocks(torch, values, NVFP4_BLOCK)
    of_tensor = largest / (E2M1.largest * E4M3.largest)
    peaks = blocks.abs().amax(dim=-1, keepdim=True)
    scales = rounded_to(torch, peaks / (E2M1.largest * of_tensor), E4M3) * of_tensor
    # A block whose scale rounds to 0 becomes 0 as a whole.
    safe = torch.where(scales == 0, torch.ones_like(scales), scales)
    return _unblocked(rounded_to(torch, blocks / safe, E2M1) * scales, values)


def _exponents(torch: Any, values: Any) -> Any:
    """Return e of each float32 number in [2**e, 2**(e + 1)), by its bits: ten times as fast as ``torch.frexp``.

    It is -127 for 0 and for numbers below 2**-126.
    """
    return ((values.contiguous().view(torch.int32) >> MANTISSA_BITS) & MAX_BIASED_EXPONENT) - EXPONENT_BIAS


def _power_of_two(torch: Any, exponents: Any) -> Any:
    """Return 2**e in float32 for e from -126 to 127: exact, unlike ``torch.exp2``."""
    return ((exponents + EXPONENT_BIAS) << MANTISSA_BITS).view(torch.float32)


def _blocks(torch: Any, values: Any, size: int) -> Any:
    missing = -values.shape[-1] % size
    padded = torch.nn.functional.pad(values, (0, missing)) if missing else values
    return padded.reshape(values.shape[0], -1, size)


def _unblocked(blocks: Any, values: Any) -> Any:
    return blocks.reshape(values.shape[0], -1)[:, : values.shape[-1]]


FORMATS = {"fp8": per_tensor, "mxfp8": mx_blocks, "nvfp4": nvfp4_blocks}
"""By name: the function that rounds a matrix."""
