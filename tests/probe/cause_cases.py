"""Facts that decide each named cause, in the order of the causes."""

from __future__ import annotations

from typing import Any

from tests.facts import failed, failure, recipe, step
from vc2doctor.probe.facts import Adapters, Gradients, ImportedPackage, PlanRate, RecipeFailure, RecipeRun, Step
from vc2doctor.probe.failed_step import (
    BreakLocation,
    Broadcast,
    BrokenOperation,
    Float32Values,
    Graph,
    MadeInForward,
    ModuleGraph,
    NoSignal,
    Unregistered,
)
from vc2doctor.probe.subject_facts import Inspection

CLEAN = Inspection(targets=(20, 14), masked_rows=0, bad_input=None, bad_weight=None, attention=None)
HALF = Adapters(dtypes=("float16",), tensors=1, elements=1, optimizer="AdamW", learning_rate=2e-5, eps=1e-8)
NO_RATE = {"dtypes": ("float32",), "learning_rate": None, "is_rate_finite": False}
POISONED = (step(0, 4.5, parameters_finite=False),)
NOT_FINITE = (step(0, None, parameters_finite=False),)
FROZEN = tuple(step(number, 4.5, taken=False, scale=2.0**40) for number in range(18))
RISING = tuple(step(number, 4.5 + number) for number in range(6))
Facts = dict[str, Any]


def inspected(**fields: Any) -> Inspection:  # noqa: ANN401
    return CLEAN.model_copy(update=fields)


def broken(**fields: Any) -> BreakLocation:  # noqa: ANN401
    defaults: Facts = {"phase": "forward", "module": "layers.2.mlp", "op": "mul", "dtype": "float16", "exact": 66975.0}
    operation = BrokenOperation(**{**defaults, "largest": (255.9, 261.8), "ignored_rows_only": False, **fields})
    return BreakLocation(step=0, phase=operation.phase, broken=operation, parameter=None)


def gradients(**counts: Any) -> Gradients:  # noqa: ANN401
    return Gradients(**{"tensors": 10, "missing": 0, "non_finite": 0, "zero": 0, **counts})


def frozen(scale: float) -> tuple[Step, ...]:
    """Return attempts at a step that GradScaler skips, while it halves the scale."""
    return tuple(step(number, 4.5, taken=False, scale=scale / 2**number) for number in range(18))


def raised(message: str, name: str = "fp16-scaled", **fields: Any) -> RecipeRun:  # noqa: ANN401
    return failed(name, failure(message, **fields))


def bad(name: str, **fields: Any) -> RecipeRun:  # noqa: ANN401
    return recipe(name, **{"steps": NOT_FINITE, **fields})


def no_graph(**fields: Any) -> RecipeRun:  # noqa: ANN401
    run = raised("element 0 of tensors does not require grad and does not have a grad_fn", "fp32")
    return run.model_copy(update=fields)


def graph(**fields: Any) -> Graph:  # noqa: ANN401
    facts = {"module": "adapter", "called": True, "enabled": True, "graph": False, **fields}
    return Graph(loss=False, modules=(ModuleGraph(**facts),), last="adapter")


DEAD = (step(0, 4.5, gradients=gradients(zero=10)),)
OVERFLOWING = step(0, 4.5, gradients=gradients(non_finite=3))
PEFT = {"imports": (ImportedPackage(package="peft", version="0.10.0", file=None, seconds=1.0),)}
OLD_TORCH = {"imports": (ImportedPackage(package="torch", version="2.4.1+cu121", file=None, seconds=1.0),)}

INFINITE = broken(exact=None).model_copy(
    update={"compared": Float32Values(rounded=False, constant="masked_bias", value=-1e9)}
)
SILENT = NoSignal(
    node="NativeLayerNormBackward0", file="m.py", line=1, tensors=8, of=9, first="emb.weight", exact=False
)
OUTSIDE_AUTOCAST = recipe(
    "bf16-amp",
    failure=RecipeFailure(
        phase="backward",
        error=failure("expected m1 and m2 to have the same dtype"),
        memory=False,
        backward_function="Gelu",
    ),
)

CASES: dict[str, tuple[RecipeRun, Facts]] = {
    "data-not-finite": (bad("fp32"), {"inspection": inspected(bad_input="pixel_values")}),
    "weight-not-finite": (bad("fp32"), {"inspection": inspected(bad_weight="lm_head.weight")}),
    "all-labels-ignored": (bad("fp32"), {"inspection": inspected(targets=(20, 0))}),
    "mean-over-nothing": (
        bad("fp32", located=broken(op="mean", dtype="float32", exact=None, largest=(None,), empty=True)),
        {},
    ),
    "half-parameters-under-adam": (recipe("fp16-unscaled", steps=POISONED, adapters=HALF), PEFT),
    "scale-driven-to-zero": (bad("fp16-amp", steps=(step(0, 4.5, scale=0.0), *NOT_FINITE)), {}),
    "scale-too-large": (recipe("fp16-amp", steps=FROZEN), {}),
    "rate-is-negative": (recipe("fp32", steps=(step(0, 4.5, lowest_rate=-0.1), step(1, 4.6))), {}),
    "rate-grows": (
        recipe("fp32", steps=tuple(step(number, 4.5 + number, highest_rate=2.0 * 3**number) for number in range(3))),
        {},
    ),
    "exploding-rate": (
        bad("bf16", steps=(step(0, 4.0), step(1, 9e9), *NOT_FINITE), experiments={"clip-1.0": True}, adapters=HALF),
        {},
    ),
    "constant-beyond-range": (bad("fp16-scaled", located=INFINITE), {}),
    "fully-masked-row": (
        bad("fp32", located=broken(op="_softmax", dtype="float32", exact=None)),
        {"inspection": inspected(masked_rows=1), **OLD_TORCH},
    ),
    "overflow-in-ignored-rows": (bad("fp16-unscaled", located=broken(ignored_rows_only=True)), {}),
    "nested-autocast-overrides": (bad("bf16-in-fp16-autocast", located=broken()), {}),
    "bfloat16-checkpoint-in-float16": (
        bad("fp16-scaled", located=broken()),
        {"inspection": inspected(stored="bfloat16")},
    ),
    "divided-by-infinity": (recipe("fp16-amp", steps=DEAD, located=broken(op="sum")), {}),
    "forward-overflow": (bad("fp16-scaled", located=broken()), {"inspection": CLEAN}),
    "backward-overflow": (recipe("fp16-unscaled", steps=(OVERFLOWING,)), {}),
    "overflow-in-every-precision": (bad("fp32", located=broken(dtype="float32", exact=1e50, largest=(1e25,))), {}),
    "optimizer-divides-by-zero": (
        recipe("fp32", steps=POISONED, adapters=HALF.model_copy(update={"dtypes": ("float32",), "eps": 0.0})),
        {},
    ),
    "rate-not-finite": (
        recipe("fp32", steps=POISONED, adapters=HALF.model_copy(update=NO_RATE)),
        {},
    ),
    "rounds-to-zero": (bad("fp16-amp", located=broken(op="div", exact=None, largest=(0.0, 0.0), zeros=True)), {}),
    "undefined-operation": (bad("fp32", located=broken(op="log", dtype="float32", exact=None, largest=(0.0,))), {}),
    "float16-checkpoint-in-bfloat16": (
        recipe("bf16", steps=(step(0, 5.5), step(1, 5.6))),
        {"inspection": inspected(stored="float16")},
    ),
    "body-without-signal": (recipe("fp32", no_signal=SILENT), {}),
    "gradients-underflow": (recipe("fp16-unscaled", vanished=0.9), {}),
    "unscale-half-parameters": (raised("Attempting to unscale FP16 gradients.", type="ValueError"), PEFT),
    "autocast-dtype-clash": (raised("Unexpected floating ScalarType in at::autocast::prioritize"), {}),
    "labels-are-no-integers": (raised("expected target dtype to be Long or Byte, but got Float"), {}),
    "inference-tensor": (raised("Inference tensors cannot be saved for backward."), {}),
    "backward-outside-autocast": (OUTSIDE_AUTOCAST, {}),
    "numpy-without-bfloat16": (raised("Got unsupported ScalarType BFloat16", type="TypeError"), {}),
    "sparse-gradients": (raised("AdamW does not support sparse gradients"), {}),
    "no-second-derivative": (
        raised("derivative for aten::_scaled_dot_product_flash_attention_for_cpu_backward is not implemented", "fp32"),
        {},
    ),
    "dtype-mismatch": (raised("mat1 and mat2 must have the same dtype, but got Float and Half"), {}),
    "reentrant-checkpointing": (no_graph(checkpointed=("LlamaDecoderLayer",)), {}),
    "gradients-switched-off": (no_graph(graph=graph(enabled=False)), {}),
    "graph-cut": (no_graph(graph=graph(graph=True)), {}),
    "nothing-trainable": (raised("optimizer got an empty parameter list", type="ValueError"), {}),
    "recomputation-differs": (
        raised("A different number of tensors was saved during the original forward and recomputation.", "fp32"),
        {},
    ),
    "changed-in-place": (
        raised("one of the variables needed for gradient computation has been modified by an inplace operation"),
        {},
    ),
    "graph-used-twice": (raised("Trying to backward through the graph a second time"), {}),
    "index-out-of-range": (
        raised("index out of range in self", type="IndexError"),
        {"inspection": inspected(largest_ids={"input_ids": 32}, embeddings={"model.embed_tokens": 32})},
    ),
    "devices-differ": (raised("Expected all tensors to be on the same device, but found cuda:0 and cpu!"), {}),
    "out-of-memory": (
        recipe("bf16", failure=RecipeFailure(phase="backward", error=failure("CUDA out of memory."), memory=True)),
        {},
    ),
    "one-value-per-channel": (raised("Expected more than 1 value per channel when training"), {}),
    "shapes-differ": (raised("mat1 and mat2 shapes cannot be multiplied (2x15 and 16x16)"), {}),
    "parameters-made-in-forward": (recipe("fp32", made_in_forward=MadeInForward(tensors=2, first="mid.weight")), {}),
    "parameters-not-registered": (
        recipe("fp32", unregistered=Unregistered(tensors=2, first="a[0].weight", shape=(2, 3), file="m.py", line=3)),
        {},
    ),
    "untouched-parameters": (
        recipe("bf16", steps=(step(0, 4.5, gradients=gradients(missing=2, first_missing="added.weight")),)),
        {},
    ),
    "gradients-all-zero": (
        recipe("bf16", steps=DEAD, moved=0.0),
        {"recipes": (recipe("fp32", steps=DEAD), recipe("bf16", steps=DEAD, moved=0.0))},
    ),
    "rate-is-zero": (recipe("fp32", moved=0.0, adapters=HALF.model_copy(update={"learning_rate": 0.0})), {}),
    "rate-too-high": (
        recipe("bf16", steps=RISING, experiments={"rate-0.1": False, "rate-0.01": True}, adapters=HALF),
        {},
    ),
    "parameters-not-in-optimizer": (recipe("fp32", moved=0.0), {}),
    "weights-round-updates-away": (
        recipe("full-bf16", plan_rate=PlanRate(learning_rate=1e-6, steps=8, moved=0.02)),
        {},
    ),
    "updates-too-small": (recipe("bf16", moved=0.02), {}),
    "slower-than-float32": (recipe("bf16", steps=(step(0, 4.5), step(1, 4.49), *(step(2, 4.48),) * 4)), {}),
    "loss-broadcast": (recipe("fp32"), {"broadcast": Broadcast(rows=16, module="", file="model.py", line=3)}),
}
