"""Questions that only a GPU can answer, one function each: a value that was computed there, never a yes from a flag.

A function gives ``(value, unit, told)``; what it raises is its answer as well. They run on any device, so that their
code can be tried on a CPU; ``run`` asks them of CUDA alone.
"""

import time
from typing import Any, Callable, Dict, List, Tuple

from ..runtime import EventSink, Runtime
from . import device as devices
from .exceptions import describe

Answer = Tuple[Any, str, str]

_SIDE, _SMALL = 4096, 256
_REPEATS = 10
_TOLERANCE = {"float32": 1e-2, "bfloat16": 3e-2, "float16": 1e-2}
"""Largest relative error of a product by value: bfloat16 keeps 8 bits, and float32 may compute in TF32 (11 bits)."""


class _UnsupportedError(Exception):
    """This torch cannot be asked."""


def run(events: EventSink, runtime: Runtime) -> None:
    """Emit one ``measure`` event a question."""
    for name, ask in QUESTIONS.items():
        if runtime.device.type != "cuda":
            events.emit(
                "measure", name=name, status="unsupported", description="only CUDA can say; here is %s" % runtime.device
            )
            continue
        events.emit("measuring", name=name)
        try:
            value, unit, told = ask(runtime)
            events.emit("measure", name=name, status="measured", value=value, unit=unit, description=told)
        except (_UnsupportedError, ModuleNotFoundError, AttributeError, TypeError) as error:
            # This torch has no such function or parameter, or a package is not there.
            events.emit("measure", name=name, status="unsupported", description=str(error)[:300])
        except Exception as error:  # noqa: BLE001 - whatever the device raises is the answer
            found = describe(error)
            events.emit(
                "measure", name=name, status="failed", description="%s: %s" % (found["type"], found["message"][:300])
            )


def _capability(runtime: Runtime) -> Answer:
    major, minor = runtime.torch.cuda.get_device_capability(runtime.device)
    return float(major * 10 + minor) / 10, "", "compute capability %d.%d" % (major, minor)


def _native(runtime: Runtime) -> Answer:
    torch = runtime.torch
    try:
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    except TypeError:  # torch before 2.5 does not tell emulation apart
        native = torch.cuda.get_device_capability(runtime.device) >= (8, 0)
    counted = torch.cuda.is_bf16_supported()
    told = "native" if native else "emulated: torch.cuda.is_bf16_supported() says %s all the same" % counted
    return float(native), "", told


def _product(dtype: str) -> Callable[[Any], Answer]:
    """Return the question how exact a matrix product in ``dtype`` is."""

    def ask(runtime: Runtime) -> Answer:
        left, right = _pair(runtime.torch, runtime.device, dtype)
        exact = left.double().cpu() @ right.double().cpu()
        return _compared(left @ right, exact, dtype, "a product")

    return ask


def _speed(runtime: Runtime) -> Answer:
    rates = {name: _rate(runtime, name) for name in ("bfloat16", "float16", "float32")}
    told = ", ".join("%s %.4g TFLOP/s" % (name, rate) for name, rate in rates.items())
    return round(rates["bfloat16"] / rates["float16"], 3), "of float16's speed", told


def _rate(runtime: Runtime, dtype: str) -> float:
    torch = runtime.torch
    side = _SIDE if runtime.device.type == "cuda" else _SMALL
    left, right = _pair(torch, runtime.device, dtype, side)
    left @ right
    _wait(runtime)
    started = time.perf_counter()
    for _ in range(_REPEATS):
        left @ right
    _wait(runtime)
    return 2.0 * side**3 * _REPEATS / (time.perf_counter() - started) / 1e12


def _pair(torch: Any, device: Any, dtype: str, side: int = _SMALL) -> Any:
    generator = torch.Generator().manual_seed(0)
    made = [torch.rand((side, side), generator=generator) for _ in range(2)]
    return [one.to(device=device, dtype=getattr(torch, dtype)) for one in made]


def _wait(runtime: Runtime) -> None:
    if runtime.device.type == "cuda":
        runtime.torch.cuda.synchronize(runtime.device)


def _adamw(form: str) -> Callable[[Any], Answer]:
    """Return the question what one AdamW step in this form makes of float16 parameters."""

    def ask(runtime: Runtime) -> Answer:
        torch = runtime.torch
        settings = {"foreach": {"foreach": True}, "for-loop": {"foreach": False}, "fused": {"fused": True}}[form]
        left = []
        for gradient in (0.0, 1e-3):
            parameter = torch.nn.Parameter(torch.ones(8, device=runtime.device, dtype=torch.float16))
            parameter.grad = torch.full_like(parameter, gradient)
            torch.optim.AdamW([parameter], lr=2e-5, **settings).step()
            left.append(bool(torch.isfinite(parameter.detach()).all()))
        told = "after one step with a gradient of 0 the parameter is %s, with 1e-3 %s" % tuple(
            "finite" if finite else "not finite" for finite in left
        )
        return float(all(left)), "", told

    return ask


def _unscale(dtype: str) -> Callable[[Any], Answer]:
    """Return the question whether a GradScaler takes parameters in ``dtype``."""

    def ask(runtime: Runtime) -> Answer:
        torch = runtime.torch
        make = devices.scaler_class(torch, runtime.device)
        if make is None:
            raise _UnsupportedError("this torch has no GradScaler for %s" % runtime.device.type)
        scaler = make()
        parameter = torch.nn.Parameter(torch.ones(8, device=runtime.device, dtype=getattr(torch, dtype)))
        optimizer = torch.optim.AdamW([parameter], lr=2e-5)
        scaler.scale(parameter.sum()).backward()
        try:
            scaler.step(optimizer)
        except (ValueError, NotImplementedError, RuntimeError) as error:
            return 0.0, "", "refused: %s" % str(error)[:200]
        return 1.0, "", "taken"

    return ask


def _conv3d(runtime: Runtime) -> Answer:
    torch = runtime.torch
    torch.manual_seed(0)
    patch = torch.nn.Conv3d(3, 64, kernel_size=(1, 14, 14), stride=(1, 14, 14))
    video = torch.rand(1, 3, 4, 56, 56)
    exact = patch(video)
    half = patch.to(device=runtime.device, dtype=torch.bfloat16)(video.to(device=runtime.device, dtype=torch.bfloat16))
    return _compared(half, exact, "bfloat16", "the patch embedding of a ViT")


def _attention(runtime: Runtime) -> Answer:
    torch = runtime.torch
    generator = torch.Generator().manual_seed(0)
    parts = [torch.randn((1, 4, 32, 64), generator=generator) for _ in range(3)]
    attend = torch.nn.functional.scaled_dot_product_attention
    exact = attend(*parts, is_causal=True)
    half = attend(*[one.to(device=runtime.device, dtype=torch.bfloat16) for one in parts], is_causal=True)
    return _compared(half, exact, "bfloat16", "scaled_dot_product_attention")


def _masked_row(runtime: Runtime) -> Answer:
    torch = runtime.torch
    parts = [torch.ones((1, 2, 4, 16), device=runtime.device, dtype=torch.bfloat16) for _ in range(3)]
    mask = torch.ones((1, 1, 4, 4), device=runtime.device, dtype=torch.bool)
    mask[..., 0, :] = False
    found = torch.nn.functional.scaled_dot_product_attention(*parts, attn_mask=mask)
    finite = bool(torch.isfinite(found).all())
    return float(finite), "", "sdpa gives %s for a row that is masked entirely" % ("numbers" if finite else "NaN")


def _compared(found: Any, exact: Any, dtype: str, what: str) -> Answer:
    error = float((found.double().cpu() - exact.double()).abs().max() / exact.abs().max())
    if not error <= _TOLERANCE[dtype]:
        raise ArithmeticError("%s in %s is off by %.3g of its largest element" % (what, dtype, error))
    return error, "", "%s is right to %.2g of its largest element" % (what, error)


def _flash_attention(runtime: Runtime) -> Answer:
    from flash_attn import flash_attn_func  # noqa: PLC0415

    torch = runtime.torch
    taken: List[str] = []
    refused: List[str] = []
    for dtype in ("float32", "float16", "bfloat16"):
        parts = [torch.ones((1, 16, 2, 64), device=runtime.device, dtype=getattr(torch, dtype)) for _ in range(3)]
        try:
            flash_attn_func(*parts)
            taken.append(dtype)
        except RuntimeError:
            refused.append(dtype)
    return float("bfloat16" in taken), "", "takes %s; refuses %s" % (", ".join(taken), ", ".join(refused) or "none")


def _peak(runtime: Runtime) -> Answer:
    # Of the self-test, the passes for headroom and every recipe so far.
    peak = runtime.torch.cuda.max_memory_allocated(runtime.device) / 2**20
    return round(peak, 1), "MiB", "allocated at most, the probe's own recipes included"


QUESTIONS: Dict[str, Callable[[Any], Answer]] = {
    "compute capability": _capability,
    "bf16 native": _native,
    "bf16 product": _product("bfloat16"),
    "fp16 product": _product("float16"),
    "fp32 product": _product("float32"),
    "bf16 speed": _speed,
    "fp16 AdamW, foreach": _adamw("foreach"),
    "fp16 AdamW, for-loop": _adamw("for-loop"),
    "fp16 AdamW, fused": _adamw("fused"),
    "GradScaler on fp16 parameters": _unscale("float16"),
    "GradScaler on bf16 parameters": _unscale("bfloat16"),
    "bf16 conv3d": _conv3d,
    "bf16 sdpa": _attention,
    "sdpa, masked row": _masked_row,
    "flash-attention": _flash_attention,
    "peak memory": _peak,
}
"""By name, in the order in which they are asked."""
