"""The planted faults of sparse gradients, plain lists of layers and rounding: a part of the table."""

from __future__ import annotations

from tests.probe_truth.fault import Fault

_ROWS: tuple[tuple[str, ...], ...] = (
    ("sparse_under_adamw", "fp32", "error", "sparse-gradients", "a sparse embedding under AdamW (twin: SparseAdam)"),
    (
        "dense_under_sparse_adam",
        "fp32",
        "error",
        "sparse-gradients",
        "a dense embedding under SparseAdam (twin: Adam, of which few rows move)",
    ),
    ("sparse_and_exploding", "fp32", "non-finite", "exploding-rate", "sparse gradients at a rate that is too high"),
    ("inserted_in_bfloat16", "bf16-amp", "error", "dtype-mismatch", "`x[mask] = y` with an y of another dtype"),
    ("matched_in_numpy", "bf16-amp", "error", "numpy-without-bfloat16", ".numpy() of a bfloat16 tensor"),
    (
        "penalty_of_fused_attention",
        "fp32",
        "error",
        "no-second-derivative",
        "a gradient penalty through a fused attention (twin: plain products)",
        # Older releases of a CPU compute it by plain products.
        ">=2.2",
    ),
    (
        "layers_in_a_list",
        "fp32",
        "weak",
        "parameters-not-registered",
        "layers in a plain list (twin: nn.ModuleList, and a leaf that the forward pass keeps)",
    ),
    (
        "scale_in_a_dict",
        "fp32",
        "weak",
        "parameters-not-registered",
        "a tensor that requires a gradient, in a plain dict (twin: a parameter, there as well)",
    ),
    (
        "teacher_in_training_mode",
        "fp32",
        "weak",
        "parameters-not-registered",
        "a network in a list, in training mode (twin: in evaluation mode, as one that is not to be trained)",
    ),
    (
        "positions_in_bfloat16",
        "bf16",
        "weak",
        "slower-than-float32",
        "positions that are counted in bfloat16 (twin: in float32)",
    ),
    (
        "clipped_before_unscaling",
        "fp16-amp",
        "weak",
        "slower-than-float32",
        "a hook that clips gradients with the loss scale",
    ),
)

PLAIN_FAULTS: tuple[Fault, ...] = tuple(Fault(*row)._replace(module="plain_faults") for row in _ROWS)
