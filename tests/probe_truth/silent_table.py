"""The planted faults that let every step run, or that break it far from their place: a part of the table."""

from __future__ import annotations

from tests.probe_truth.fault import Fault

_Row = tuple[str, str, str, str, str]

_SILENT: tuple[_Row, ...] = (
    (
        "dropped_and_unused",
        "fp32",
        "weak",
        "untouched-parameters",
        "layers that are not used, beside others that Python's random drops (twin: only those)",
    ),
    (
        "dropped_by_torch",
        "fp32",
        "weak",
        "untouched-parameters",
        "layers that are not used, beside others that torch.rand drops (twin: only those)",
    ),
    ("norm_over_one", "fp32", "weak", "body-without-signal", "a LayerNorm over one feature"),
    ("rounded_weights", "fp32", "weak", "gradients-all-zero", "weights that are rounded, without a straight path"),
    (
        "targets_without_a_column",
        "fp32",
        "weak",
        "loss-broadcast",
        "targets (n,) for predictions (n, 1) (twin: one target for all)",
    ),
    (
        "difference_without_a_column",
        "fp32",
        "weak",
        "loss-broadcast",
        "a difference of (n, 1) and (n,) (twin: that of all pairs of predictions)",
    ),
    ("resumed_past_the_end", "fp32", "weak", "rate-is-negative", "a schedule that goes below 0"),
    ("made_late", "fp32", "weak", "parameters-made-in-forward", "a layer that the forward pass makes"),
    ("hook_returns_zero", "fp32", "weak", "gradients-all-zero", "a hook that returns 0 for every gradient"),
)
_FAR: tuple[_Row, ...] = (
    ("count_in_float16", "fp16-amp", "underflow", "divided-by-infinity", "a count above 65504 as a divisor"),
    ("mask_beyond_float16", "fp16-scaled", "non-finite", "constant-beyond-range", "a buffer of -1e9 in float16"),
    ("variance_rounds_to_zero", "bf16", "non-finite", "rounds-to-zero", "1 - a that is 0 in bfloat16"),
    ("hook_divides_by_zero", "fp32", "non-finite", "undefined-operation", "a hook that divides a gradient of 0"),
    ("first_step_is_zero", "fp32", "poisoned", "undefined-operation", "an optimizer that divides by 1 - beta**0"),
    (
        "backward_outside",
        "bf16-amp",
        "error",
        "backward-outside-autocast",
        "a backward function of its own under autocast",
    ),
    ("frozen_with_its_twin", "fp32", "error", "nothing-trainable", "an embedding frozen with its tied head"),
    ("inference_backbone", "fp32", "error", "inference-tensor", "a backbone in inference_mode (twin: no_grad)"),
    ("labels_in_float", "fp32", "error", "labels-are-no-integers", "classes as floating-point numbers"),
)

SILENT_FAULTS: tuple[Fault, ...] = (
    *(Fault(*row, module="silent_faults") for row in _SILENT),
    Fault(
        "norm_over_one",
        "bf16-amp",
        "weak",
        "body-without-signal",
        "a LayerNorm over one feature, in autocast",
        # CPU autocast of torch 1.13 has no LayerNorm over the output of a linear layer.
        torch=">=2",
        module="silent_faults",
    ),
    *(Fault(*row, module="far_faults") for row in _FAR),
    Fault(
        "growing_rate",
        "fp32",
        "weak",
        "rate-grows",
        "a schedule that multiplies the learning rate by 8 (twin: a warm-up)",
        # register_step_post_hook came with 2.0.
        torch=">=2.0",
        module="silent_faults",
    ),
    Fault(
        "drawn_in_a_checkpoint",
        "fp32",
        "error",
        "recomputation-differs",
        "a layer that is dropped within a checkpoint (twin: before it)",
        # Older releases do not compare what they recompute.
        torch=">=2.1",
        module="far_faults",
    ),
)
