"""The planted faults, and the outcome and cause that the probe must report; ``nox -s probe-truth`` runs them all."""

from __future__ import annotations

from typing import NamedTuple

from tests.probe_truth.fault import Fault
from tests.probe_truth.graph_table import GRAPH_FAULTS
from tests.probe_truth.plain_table import PLAIN_FAULTS
from tests.probe_truth.silent_table import SILENT_FAULTS


class EnvironmentFault(NamedTuple):
    """An environment in which ``recipe`` fails, and the clean one: both as requirements for pip."""

    name: str
    faulty: tuple[str, ...]
    clean: tuple[str, ...]
    recipe: str
    outcome: str
    cause: str | None
    description: str
    profile: str = "videochat2-mistral"
    torch: str = "2.13.0"


_NEWEST = ("torch==2.13.0", "transformers==5.23.0", "peft==0.21.2")
_WITH_HALF_ADAPTERS = ("torch==2.13.0", "transformers==4.40.1", "peft==0.10.0")

ENVIRONMENT_FAULTS = (
    EnvironmentFault(
        "peft_0_10",
        _WITH_HALF_ADAPTERS,
        _NEWEST,
        "fp16-unscaled",
        "poisoned",
        "half-parameters-under-adam",
        "peft 0.10.0 makes float16 adapters (twin: peft 0.21.2)",
    ),
    EnvironmentFault(
        "peft_0_10_scaled",
        _WITH_HALF_ADAPTERS,
        _NEWEST,
        "fp16-scaled",
        "error",
        "unscale-half-parameters",
        "peft 0.10.0 makes float16 adapters, with a GradScaler (twin: peft 0.21.2)",
    ),
    EnvironmentFault(
        "peft_0_4_nested",
        ("torch==2.13.0", "transformers==4.40.1", "peft==0.4.0"),
        _NEWEST,
        "bf16-in-fp16-autocast",
        "error",
        "autocast-dtype-clash",
        "peft 0.4.0 on transformers 4.40.1: bfloat16 weights in a nested float16 autocast",
        profile="causal-lm",
    ),
)


FAULTS = (
    Fault("half_adapters", "fp16-unscaled", "poisoned", "half-parameters-under-adam", "float16 adapters under AdamW"),
    Fault("half_adapters", "fp16-scaled", "error", "unscale-half-parameters", "float16 adapters under a GradScaler"),
    Fault("product_overflow", "fp16-amp", "non-finite", "forward-overflow", "a product above 65504"),
    Fault(
        "nested_overflow",
        "bf16-in-fp16-autocast",
        "non-finite",
        "nested-autocast-overrides",
        "a square above 65504 in a float16 autocast, nested in a bfloat16 one",
    ),
    Fault(
        "own_autocast",
        "bf16-amp",
        "non-finite",
        "nested-autocast-overrides",
        "a model that enters its own float16 autocast under a bfloat16 one",
        # Older releases ignore float16 in a CPU's autocast.
        torch=">=2.5",
    ),
    Fault(
        "padded_rows_overflow",
        "fp16-unscaled",
        "non-finite",
        "overflow-in-ignored-rows",
        "a product above 65504, in padded rows only",
    ),
    Fault(
        "padded_rows_overflow",
        "fp16-amp",
        "frozen",
        "overflow-in-ignored-rows",
        "a product above 65504, in padded rows only, with a GradScaler",
    ),
    Fault(
        "bfloat16_checkpoint",
        "fp16-amp",
        "non-finite",
        "bfloat16-checkpoint-in-float16",
        "a checkpoint that was saved in bfloat16, in float16",
    ),
    Fault(
        "float16_checkpoint",
        "bf16",
        "underflow",
        "float16-checkpoint-in-bfloat16",
        "a checkpoint that was saved in float16, in bfloat16",
    ),
    Fault("labels_ignored", "fp32", "non-finite", "all-labels-ignored", "a batch whose labels are all -100"),
    Fault(
        "labels_ignored", "bf16", "non-finite", "all-labels-ignored", "a batch whose labels are all -100, in bfloat16"
    ),
    Fault("masked_row", "fp32", "non-finite", "fully-masked-row", "a row that is masked entirely"),
    Fault(
        "sdpa_masked_row",
        "fp32",
        "non-finite",
        "fully-masked-row",
        "a row that is masked entirely, in torch's sdpa",
        torch=">=2.0,<2.5",
    ),
    Fault("exploding_rate", "fp32", "non-finite", "exploding-rate", "SGD with a learning rate that is far too high"),
    Fault("nan_weight", "fp32", "non-finite", "weight-not-finite", "a NaN weight"),
    Fault("infinite_weight", "bf16", "non-finite", "weight-not-finite", "an infinite weight"),
    Fault("nan_input", "fp32", "non-finite", "data-not-finite", "a NaN in the batch"),
    Fault("infinite_input", "bf16-amp", "non-finite", "data-not-finite", "an infinity in the batch"),
    Fault("untouched_adapters", "fp32", "weak", "untouched-parameters", "parameters that the loss does not depend on"),
    Fault(
        "all_bfloat16",
        "bf16-in-fp16-autocast",
        "error",
        "autocast-dtype-clash",
        "an all-bfloat16 model that joins tensors in a float16 autocast",
    ),
    Fault("cast_cache", "fp16-amp", "error", "autocast-dtype-clash", "one weight used under two autocast dtypes"),
    Fault("huge_scale", "fp16-amp", "frozen", "scale-too-large", "a GradScaler that starts at 2^40"),
    Fault("scale_at_zero", "fp16-amp", "non-finite", "scale-driven-to-zero", "a loss scale that was halved to 0"),
    Fault("underflow", "fp16-unscaled", "underflow", "gradients-underflow", "gradients too small for float16"),
    Fault("small_steps", "bf16", "weak", "updates-too-small", "updates that are too small for bfloat16"),
    Fault(
        "stale_optimizer",
        "fp32",
        "weak",
        "parameters-not-in-optimizer",
        "an optimizer that was created before the parameters",
    ),
    Fault("nothing_trainable", "fp32", "error", "nothing-trainable", "a model whose parameters are all frozen"),
    Fault("disabled_adapters", "bf16", "error", "nothing-trainable", "adapters that are disabled during training"),
    Fault(
        "overflow_everywhere",
        "fp32",
        "non-finite",
        "overflow-in-every-precision",
        "a square that is too large for float32",
    ),
    Fault("logarithm_of_zero", "fp32", "non-finite", "undefined-operation", "a logarithm of zero"),
    Fault("divide_by_zero", "fp32", "non-finite", "undefined-operation", "a division by a norm of zero"),
    Fault("backward_overflow", "fp16-unscaled", "non-finite", "backward-overflow", "gradients above 65504"),
    Fault("wrong_index", "fp32", "error", "index-out-of-range", "a token id outside of the vocabulary"),
    *GRAPH_FAULTS,
    *SILENT_FAULTS,
    *PLAIN_FAULTS,
)
