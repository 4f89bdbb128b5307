"""Families of language models whose logits no release of transformers took to float32."""

import re
from functools import lru_cache

from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.named_models import named_models

_HALF_HEADS = re.compile(r"pythia|gpt-?_?neox|(?<![a-z])gpt-?2|bloom|(?<![a-z])opt-\d", re.IGNORECASE)
"""Names of families whose heads return the dtype of the weights: ``lm_logits = self.embed_out(hidden_states)``.

https://github.com/huggingface/transformers/blob/v4.45.2/src/transformers/models/gpt_neox/modeling_gpt_neox.py, and the
same in gpt2, bloom and opt.
"""
_ON_HUB = re.compile(r"[\w.-]+/[\w.-]+")
"""A name with its owner, and no path with a variable in it."""


@lru_cache(maxsize=2)
def has_half_heads(facts: Facts) -> bool:
    """Return whether all models that a project names as the Hub does return half logits."""
    names = [model.name for model in named_models(facts) if not model.is_class and _ON_HUB.fullmatch(model.name)]
    return bool(names) and all(_HALF_HEADS.search(name) for name in names)
