"""Asks a GPU questions that only it can answer, one function each: the answer is computed, never read from a flag.

A function returns an ``Answer``; an exception is an answer as well. The functions run on every device, so that tests
can run them on a CPU; ``run`` asks only a CUDA device.
"""

import time
from typing import Any, Callable, Dict, List, NamedTuple

from ..runtime import EventSink, Runtime
from . import devices
from .exceptions import describe
from .tensors import is_finite

LARGE_SIDE, SMALL_SIDE = 4096, 256
"""Sides of square matrices. Large ones keep a GPU busy for its speed; small ones are enough to check a product."""
REPEATS = 10
TOLERANCE = {"float32": 1e-2, "bfloat16": 3e-2, "float16": 1e-2}
"""Largest relative error of a result: bfloat16 keeps 8 bits, and float32 may compute in TF32 (11 bits)."""
MAX_MESSAGE = 300
"""Characters of an exception's message that are reported."""
LEARNING_RATE = 2e-5
ADAMW_FORMS = {"foreach": {"foreach": True}, "for-loop": {"foreach": False}, "fused": {"fused": True}}
"""The implementations of AdamW, by the arguments that choose them."""


class Answer(NamedTuple):
    """The answer to a question: a number, what it means, and its unit."""

    value: float
    description: str
    unit: str = ""


class _UnsupportedError(Exception):
    """This torch cannot answer the question."""


def run(events: EventSink, runtime: Runtime) -> None:
    """Emit one ``measure`` event for each question."""
    for name, ask in QUESTIONS.items():
        if runtime.device.type != "cuda":
            description = "only a CUDA GPU can answer this, and the probe ran on %s" % runtime.device
            events.emit("measure", name=name, status="unsupported", description=description)
            continue
        events.emit("measuring", name=name)
        try:
            answer = ask(runtime)
            events.emit("measure", name=name, status="measured", **answer._asdict())
        except (_UnsupportedError, ModuleNotFoundError, AttributeError, TypeError) as error:
            # This torch lacks the function or a parameter of it, or a package is not installed.
            events.emit("measure", name=name, status="unsupported", description=str(error)[:MAX_MESSAGE])
        except Exception as error:  # noqa: BLE001 - any exception of the device is the answer
            facts = describe(error)
            description = "%s: %s" % (facts["type"], facts["message"][:MAX_MESSAGE])
            events.emit("measure", name=name, status="failed", description=description)


def _capability(runtime: Runtime) -> Answer:
    major, minor = runtime.torch.cuda.get_device_capability(runtime.device)
    return Answer(float(major * 10 + minor) / 10, "compute capability %d.%d" % (major, minor))


def _has_native_bfloat16(runtime: Runtime) -> Answer:
    torch = runtime.torch
    try:
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    except TypeError:  # an older torch counts emulation as support; Ampere (8.0) was the first with bfloat16
        native = torch.cuda.get_device_capability(runtime.device) >= (8, 0)
    if native:
        return Answer(1.0, "native")
    return Answer(0.0, "emulated (torch.cuda.is_bf16_supported() returns %s)" % torch.cuda.is_bf16_supported())


def _product(dtype: str) -> Callable[[Runtime], Answer]:
    """Return the question how exact a matrix product in ``dtype`` is."""

    def ask(runtime: Runtime) -> Answer:
        left, right = _random_matrices(runtime, dtype, SMALL_SIDE)
        exact = left.double().cpu() @ right.double().cpu()
        return _compare(left @ right, exact, dtype, "a product")

    return ask


def _relative_speed(runtime: Runtime) -> Answer:
    speeds = {name: _teraflops(runtime, name) for name in ("bfloat16", "float16", "float32")}
    description = ", ".join("%s %.4g TFLOP/s" % (name, speed) for name, speed in speeds.items())
    return Answer(round(speeds["bfloat16"] / speeds["float16"], 3), description, "of float16's speed")


def _teraflops(runtime: Runtime, dtype: str) -> float:
    side = LARGE_SIDE if runtime.device.type == "cuda" else SMALL_SIDE
    left, right = _random_matrices(runtime, dtype, side)
    # The first product loads the kernel.
    left @ right
    _synchronize(runtime)
    started = time.perf_counter()
    for _ in range(REPEATS):
        left @ right
    _synchronize(runtime)
    return 2.0 * side**3 * REPEATS / (time.perf_counter() - started) / 1e12


def _random_matrices(runtime: Runtime, dtype: str, side: int) -> List[Any]:
    """Return two seeded square matrices on the device: the same numbers on every machine."""
    torch = runtime.torch
    generator = torch.Generator().manual_seed(0)
    matrices = [torch.rand((side, side), generator=generator) for _ in range(2)]
    return [matrix.to(device=runtime.device, dtype=getattr(torch, dtype)) for matrix in matrices]


def _synchronize(runtime: Runtime) -> None:
    if runtime.device.type == "cuda":
        runtime.torch.cuda.synchronize(runtime.device)


def _adamw(form: str) -> Callable[[Runtime], Answer]:
    """Return the question whether one step of this form of AdamW keeps float16 parameters finite."""

    def ask(runtime: Runtime) -> Answer:
        torch = runtime.torch
        finite = []
        for gradient in (0.0, 1e-3):
            parameter = torch.nn.Parameter(torch.ones(8, device=runtime.device, dtype=torch.float16))
            parameter.grad = torch.full_like(parameter, gradient)
            torch.optim.AdamW([parameter], lr=LEARNING_RATE, **ADAMW_FORMS[form]).step()
            finite.append(is_finite(torch, parameter))
        words = tuple("finite" if each else "not finite" for each in finite)
        description = "after one step with a gradient of 0 the parameter is %s, with 1e-3 %s" % words
        return Answer(float(all(finite)), description)

    return ask


def _unscale(dtype: str) -> Callable[[Runtime], Answer]:
    """Return the question whether a GradScaler accepts parameters in ``dtype``."""

    def ask(runtime: Runtime) -> Answer:
        torch = runtime.torch
        make_scaler = devices.scaler_class(torch, runtime.device)
        if make_scaler is None:
            raise _UnsupportedError("this torch has no GradScaler for %s" % runtime.device.type)
        scaler = make_scaler()
        parameter = torch.nn.Parameter(torch.ones(8, device=runtime.device, dtype=getattr(torch, dtype)))
        optimizer = torch.optim.AdamW([parameter], lr=LEARNING_RATE)
        scaler.scale(parameter.sum()).backward()
        try:
            scaler.step(optimizer)
        except (ValueError, NotImplementedError, RuntimeError) as error:
            return Answer(0.0, "GradScaler refuses them: %s" % str(error)[:MAX_MESSAGE])
        return Answer(1.0, "GradScaler accepts them")

    return ask


def _patch_embedding(runtime: Runtime) -> Answer:
    torch = runtime.torch
    torch.manual_seed(0)
    patch = torch.nn.Conv3d(3, 64, kernel_size=(1, 14, 14), stride=(1, 14, 14))
    video = torch.rand(1, 3, 4, 56, 56)
    exact = patch(video)
    half = patch.to(device=runtime.device, dtype=torch.bfloat16)(video.to(device=runtime.device, dtype=torch.bfloat16))
    return _compare(half, exact, "bfloat16", "the patch embedding of a ViT")


def _attention(runtime: Runtime) -> Answer:
    torch = runtime.torch
    generator = torch.Generator().manual_seed(0)
    query_key_value = [torch.randn((1, 4, 32, 64), generator=generator) for _ in range(3)]
    attend = torch.nn.functional.scaled_dot_product_attention
    exact = attend(*query_key_value, is_causal=True)
    on_device = [tensor.to(device=runtime.device, dtype=torch.bfloat16) for tensor in query_key_value]
    return _compare(attend(*on_device, is_causal=True), exact, "bfloat16", "scaled_dot_product_attention")


def _masked_row(runtime: Runtime) -> Answer:
    torch = runtime.torch
    query_key_value = [torch.ones((1, 2, 4, 16), device=runtime.device, dtype=torch.bfloat16) for _ in range(3)]
    mask = torch.ones((1, 1, 4, 4), device=runtime.device, dtype=torch.bool)
    mask[..., 0, :] = False
    output = torch.nn.functional.scaled_dot_product_attention(*query_key_value, attn_mask=mask)
    finite = is_finite(torch, output)
    description = "sdpa returns %s for a row that is masked entirely" % ("numbers" if finite else "NaN")
    return Answer(float(finite), description)


def _compare(result: Any, exact: Any, dtype: str, what: str) -> Answer:
    """Return the largest error of ``result``, relative to the largest element of ``exact``.

    Raises:
        ArithmeticError: the error is larger than the rounding of ``dtype`` explains.
    """
    error = float((result.double().cpu() - exact.double()).abs().max() / exact.abs().max())
    # Written this way round, the comparison also fails for a NaN.
    if not error <= TOLERANCE[dtype]:
        raise ArithmeticError("%s in %s has an error of %.3g of its largest element" % (what, dtype, error))
    return Answer(error, "%s is correct to %.2g of its largest element" % (what, error))


def _flash_attention(runtime: Runtime) -> Answer:
    from flash_attn import flash_attn_func  # noqa: PLC0415 - may not be installed, which is an answer

    torch = runtime.torch
    accepted: List[str] = []
    refused: List[str] = []
    for dtype in ("float32", "float16", "bfloat16"):
        parts = [torch.ones((1, 16, 2, 64), device=runtime.device, dtype=getattr(torch, dtype)) for _ in range(3)]
        try:
            flash_attn_func(*parts)
            accepted.append(dtype)
        except RuntimeError:
            refused.append(dtype)
    description = "accepts %s; refuses %s" % (", ".join(accepted) or "none", ", ".join(refused) or "none")
    return Answer(float("bfloat16" in accepted), description)


def _peak_memory(runtime: Runtime) -> Answer:
    peak = runtime.torch.cuda.max_memory_allocated(runtime.device) / 2**20
    return Answer(round(peak, 1), "the most that the probe allocated in the self-test and all recipes", "MiB")


QUESTIONS: Dict[str, Callable[[Runtime], Answer]] = {
    "compute capability": _capability,
    "bf16 native": _has_native_bfloat16,
    "bf16 product": _product("bfloat16"),
    "fp16 product": _product("float16"),
    "fp32 product": _product("float32"),
    "bf16 speed": _relative_speed,
    "fp16 AdamW, foreach": _adamw("foreach"),
    "fp16 AdamW, for-loop": _adamw("for-loop"),
    "fp16 AdamW, fused": _adamw("fused"),
    "GradScaler on fp16 parameters": _unscale("float16"),
    "GradScaler on bf16 parameters": _unscale("bfloat16"),
    "bf16 conv3d": _patch_embedding,
    "bf16 sdpa": _attention,
    "sdpa, masked row": _masked_row,
    "flash-attention": _flash_attention,
    "peak memory": _peak_memory,
}
"""By name, in the order in which they are asked."""
