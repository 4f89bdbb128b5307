"""The planted faults, and what the probe has to say of each; ``nox -s probe-truth`` runs them all."""

from __future__ import annotations

from typing import NamedTuple

from packaging.specifiers import SpecifierSet


class Fault(NamedTuple):
    """One planted fault: what has to come out under ``recipe``. Its twin, ``NAME_twin``, has to be ``finite``.

    ``torch`` names the releases in which the fault does harm.
    """

    name: str
    recipe: str
    outcome: str
    cause: str | None
    told: str
    torch: str = ""

    def applies(self, torch: str) -> bool:
        """Return whether the fault does harm in this release of torch."""
        return SpecifierSet(self.torch).contains(torch)


class EnvironmentFault(NamedTuple):
    """An environment in which ``recipe`` goes wrong, and the clean one: both as requirements."""

    name: str
    faulty: tuple[str, ...]
    clean: tuple[str, ...]
    recipe: str
    outcome: str
    cause: str | None
    told: str
    profile: str = "videochat2-mistral"
    torch: str = "2.13.0"


_NEWEST = ("torch==2.13.0", "transformers==5.23.0", "peft==0.21.2")
_HALF = ("torch==2.13.0", "transformers==4.40.1", "peft==0.10.0")

ENVIRONMENT_FAULTS = (
    EnvironmentFault(
        "peft_0_10",
        _HALF,
        _NEWEST,
        "fp16-unscaled",
        "poisoned",
        "half-parameters-under-adam",
        "peft 0.10.0 makes float16 adapters (twin: peft 0.21.2)",
    ),
    EnvironmentFault(
        "peft_0_10_scaled",
        _HALF,
        _NEWEST,
        "fp16-scaled",
        "error",
        "unscale-half-parameters",
        "the same under a GradScaler",
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
    Fault("product_overflow", "fp16-amp", "non-finite", "forward-overflow", "a product beyond 65504"),
    Fault(
        "nested_overflow",
        "bf16-in-fp16-autocast",
        "non-finite",
        "nested-autocast-overrides",
        "a square beyond 65504 in a float16 autocast nested in a bfloat16 one",
    ),
    Fault(
        "own_autocast",
        "bf16-amp",
        "non-finite",
        "nested-autocast-overrides",
        "a model that enters a float16 autocast of its own under a bfloat16 one",
        # Older ones ignore float16 in a CPU's autocast.
        torch=">=2.5",
    ),
    Fault(
        "padded_rows_overflow",
        "fp16-unscaled",
        "non-finite",
        "overflow-in-ignored-rows",
        "a product beyond 65504 in padded rows only",
    ),
    Fault("padded_rows_overflow", "fp16-amp", "frozen", "overflow-in-ignored-rows", "the same under a GradScaler"),
    Fault(
        "bfloat16_checkpoint",
        "fp16-amp",
        "non-finite",
        "bfloat16-checkpoint-in-float16",
        "a checkpoint saved in bfloat16, under float16",
    ),
    Fault(
        "float16_checkpoint",
        "bf16",
        "underflow",
        "float16-checkpoint-in-bfloat16",
        "a checkpoint saved in float16, in bfloat16",
    ),
    Fault("labels_ignored", "fp32", "non-finite", "all-labels-ignored", "all labels are -100"),
    Fault("labels_ignored", "bf16", "non-finite", "all-labels-ignored", "the same in bfloat16"),
    Fault("masked_row", "fp32", "non-finite", "fully-masked-row", "a row that is masked entirely"),
    Fault(
        "sdpa_masked_row",
        "fp32",
        "non-finite",
        "fully-masked-row",
        "the same in torch's own attention (sdpa)",
        torch=">=2.0,<2.5",
    ),
    Fault("exploding_rate", "fp32", "non-finite", "exploding-rate", "SGD at a rate far too high"),
    Fault("nan_weight", "fp32", "non-finite", "weight-not-finite", "a NaN weight"),
    Fault("infinite_weight", "bf16", "non-finite", "weight-not-finite", "an infinite weight"),
    Fault("nan_input", "fp32", "non-finite", "data-not-finite", "a NaN in the batch"),
    Fault("infinite_input", "bf16-amp", "non-finite", "data-not-finite", "an infinity in the batch"),
    Fault("untouched_adapters", "fp32", "weak", "untouched-parameters", "parameters that the loss never touches"),
    Fault(
        "all_bfloat16",
        "bf16-in-fp16-autocast",
        "error",
        "autocast-dtype-clash",
        "an all-bfloat16 model that joins tensors in a float16 autocast",
    ),
    Fault("cast_cache", "fp16-amp", "error", "autocast-dtype-clash", "one weight under two autocast dtypes"),
    Fault("huge_scale", "fp16-amp", "frozen", "scale-too-large", "a GradScaler that begins at 2^40"),
    Fault("scale_at_zero", "fp16-amp", "non-finite", "scale-driven-to-zero", "a scale that was halved to 0"),
    Fault("underflow", "fp16-unscaled", "underflow", "gradients-underflow", "gradients too small for float16"),
    Fault("small_steps", "bf16", "weak", "updates-too-small", "steps smaller than bfloat16 can hold"),
    Fault("stale_optimizer", "fp32", "weak", "parameters-not-in-optimizer", "an optimiser made before the parameters"),
    Fault("nothing_trainable", "fp32", "error", "nothing-trainable", "every parameter frozen"),
    Fault("disabled_adapters", "bf16", "error", "nothing-trainable", "adapters that are disabled while it trains"),
    Fault("overflow_everywhere", "fp32", "non-finite", "overflow-in-every-precision", "a square beyond float32"),
    Fault("logarithm_of_zero", "fp32", "non-finite", "undefined-operation", "a logarithm of zero"),
    Fault("divide_by_zero", "fp32", "non-finite", "undefined-operation", "a division by a norm of zero"),
    Fault("backward_overflow", "fp16-unscaled", "non-finite", "backward-overflow", "gradients beyond 65504"),
    Fault("wrong_index", "fp32", "error", None, "a token id beyond the vocabulary: the cause stays unknown"),
)
