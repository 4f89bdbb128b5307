"""Ways to run the same training that do not change its precision: compilation, determinism, attention code."""

from typing import Dict, NamedTuple


class Variant(NamedTuple):
    """One way to run a training; its recipes are compared with the same ones without it.

    ``title`` completes "a fault that appears only …".
    """

    name: str
    title: str
    compiled: bool = False
    deterministic: bool = False
    attention: str = ""
    """transformers' name of the attention code; empty: as without the variant."""
    package: str = ""
    """The module that it needs beside the stack."""
    needs_half: bool = False
    """Whether it computes in float16 and bfloat16 only, on a GPU only."""


ATTENTIONS = {"eager": "", "sdpa": "", "flex_attention": "", "flash_attention_2": "flash_attn"}
"""transformers' names of the attention code, with the module that each needs. flash-attn refuses float32 and CPUs:
https://github.com/Dao-AILab/flash-attention."""


def _attention(name: str, package: str) -> Variant:
    return Variant(name, "with attention %s" % name, attention=name, package=package, needs_half=bool(package))


_TABLE = (
    Variant("deterministic", "under torch.use_deterministic_algorithms", deterministic=True),
    Variant("compiled", "under torch.compile", compiled=True),
    *(_attention(name, package) for name, package in ATTENTIONS.items()),
)

VARIANTS: Dict[str, Variant] = {variant.name: variant for variant in _TABLE}
"""The variants by name, in the order in which the probe runs them."""
