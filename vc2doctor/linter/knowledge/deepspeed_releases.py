"""What DeepSpeed's releases do with the keys of its configuration, and what transformers and accelerate fill in.

Read in the source distributions of DeepSpeed 0.12.6 to 0.19.0. Before 0.17.1 the blocks ``fp16`` and ``bf16`` are plain
dictionaries: an unknown key is ignored, and any text counts as true. From 0.17.1 they are typed models: an unknown key
is refused ("Extra inputs are not permitted"). Unknown keys at the top are ignored by every release.

transformers fills only values that are "auto", and compares every other one with its own argument (``fill_match`` in
``transformers/integrations/deepspeed.py``, read from 4.30.0 to 5.24.0). From 4.30.0 it runs DeepSpeed through
accelerate, whose ``set_mixed_precision`` adds a missing block.
"""

from collections.abc import Mapping
from difflib import get_close_matches

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

_REFUSES_UNKNOWN_KEYS = SpecifierSet(">=0.17.1", prereleases=True)
_FREES_BUFFERS_EARLY = SpecifierSet("<0.19", prereleases=True)
_FILLS_MISSING_LIMIT = SpecifierSet(">=0.30", prereleases=True)
_ADDS_MISSING_BLOCK = SpecifierSet(">=4.30", prereleases=True)

_BF16_KEYS = (
    *("enabled", "immediate_grad_update", "check_grad_overflow", "bf16_master_weights_and_grads"),
    "bf16_optimizer_states",
)
BLOCK_KEYS: Mapping[str, tuple[str, ...]] = {
    "fp16": (
        *("enabled", "auto_cast", "loss_scale", "initial_scale_power", "loss_scale_window", "hysteresis"),
        *("consecutive_hysteresis", "min_loss_scale", "fp16_master_weights_and_grads"),
    ),
    "bf16": _BF16_KEYS,
    "bfloat16": _BF16_KEYS,
}
"""The keys of the blocks that turn a precision on."""

BOOLEAN_KEYS = frozenset(
    {
        *("enabled", "auto_cast", "consecutive_hysteresis", "fp16_master_weights_and_grads"),
        *("immediate_grad_update", "check_grad_overflow", "bf16_master_weights_and_grads", "bf16_optimizer_states"),
    }
)
"""The keys among them that take true or false; the others take a number."""

_TOP_KEYS: Mapping[str, str] = {
    **dict.fromkeys(("float16", "fp_16", "half", "f16", "fp16_enabled"), "fp16"),
    **dict.fromkeys(("bf_16", "bfp16", "bfloat_16", "bf16_enabled"), "bf16"),
    **dict.fromkeys(
        ("gradient_clip", "grad_clip", "grad_clipping", "clip_grad", "max_grad_norm", "clip_grad_norm"),
        "gradient_clipping",
    ),
    **dict.fromkeys(("gradient_clip_val", "gradients_clipping", "gradient_cliping"), "gradient_clipping"),
}
"""Keys at the top that DeepSpeed does not know, and what they are meant to be."""

MIN_LIKENESS = 0.75
"""``difflib``'s likeness from which an unknown key counts as a misspelling: "enable" and "enabled" have 0.92."""


def refuses_unknown_keys(deepspeed: str | None) -> bool | None:
    """Return whether this release refuses unknown keys in its precision blocks; ``None``: the release is unknown."""
    return _is_in(deepspeed, _REFUSES_UNKNOWN_KEYS)


def adds_missing_block(transformers: str | None) -> bool | None:
    """Return whether this release adds a missing ``fp16`` or ``bf16`` block; ``None``: the release is unknown."""
    return _is_in(transformers, _ADDS_MISSING_BLOCK)


def frees_buffers_early(deepspeed: str | None) -> bool | None:
    """Return whether ``overlap_comm`` of ZeRO-2 can free buffers of gradients that are in use; ``None``: unknown.

    https://github.com/deepspeedai/DeepSpeed/pull/7965 repaired it: the stream is recorded from 0.19.0 on, and not in
    0.18.9 (read in the source distributions).
    """
    return _is_in(deepspeed, _FREES_BUFFERS_EARLY)


def meant_key(block: str, key: str) -> str | None:
    """Return the key that an unknown key of a block is meant to be, or ``None``."""
    return next(iter(get_close_matches(key.lower(), BLOCK_KEYS[block], n=1, cutoff=MIN_LIKENESS)), None)


def meant_top_key(key: str) -> str | None:
    """Return the key that an unknown key at the top is meant to be, or ``None``."""
    return _TOP_KEYS.get(key.lower())


def _is_in(version: str | None, releases: SpecifierSet) -> bool | None:
    try:
        return None if version is None else Version(version) in releases
    except InvalidVersion:
        return None


def fills_missing_limit(accelerate: str | None) -> bool | None:
    """Return whether this release of accelerate gives the engine a limit that its file leaves out; ``None``: unknown.

    Before 0.30 ``DeepSpeedPlugin`` writes no ``gradient_clipping`` for the block ``deepspeed_config`` of accelerate's
    own file; later ones write "auto", which transformers and accelerate fill (read in the wheels of 0.23 to 1.15).
    """
    return _is_in(accelerate, _FILLS_MISSING_LIMIT)
