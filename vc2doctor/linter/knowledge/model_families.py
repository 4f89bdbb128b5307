"""Families of language models: the precision each was trained in, and whether it is known to fail in float16.

A family is ``fails`` if failures were reported or if measured maxima (`vc2doctor headroom`) exceed float16. A family is
``risky`` if it was trained in bfloat16 and nothing else is known. A family that is not in the table is unknown, and no
rule reports it.
"""

import re
from typing import Literal, NamedTuple

from vc2doctor.findings import Severity


class Family(NamedTuple):
    """A family of models."""

    name: str
    trained_in: Literal["bfloat16", "float16"]
    """The precision of the released weights' own training."""
    in_float16: Literal["fails", "risky", "used"]
    """What training in float16 does; ``used``: published recipes train the family in float16."""
    source: str
    """The URL of the report, paper or configuration that says so."""

    @property
    def severity(self) -> Severity:
        """The severity of training this family in float16."""
        return {"fails": Severity.ERROR, "risky": Severity.WARNING, "used": Severity.NOTE}[self.in_float16]


_HUB = "https://huggingface.co"
# The first pattern that matches decides, so a pattern for some releases of a family stands before that of the family.
_FAMILIES: tuple[tuple[str, Family], ...] = (
    (
        r"mistral|mixtral|zephyr",
        Family("Mistral", "bfloat16", "fails", "https://github.com/OpenGVLab/Ask-Anything/issues/190"),
    ),
    (r"gemma-?_?(2-27|3)", Family("Gemma", "bfloat16", "fails", "https://arxiv.org/abs/2605.15572")),
    (r"gpt-?oss", Family("gpt-oss", "bfloat16", "fails", "https://arxiv.org/abs/2605.15572")),
    (r"gemma", Family("Gemma", "bfloat16", "risky", "https://arxiv.org/abs/2605.15572")),
    (
        r"(?<![a-z])phi(?![a-z])",
        Family("Phi", "bfloat16", "risky", f"{_HUB}/microsoft/Phi-3-mini-4k-instruct/blob/main/config.json"),
    ),
    (r"qwen", Family("Qwen", "bfloat16", "risky", f"{_HUB}/Qwen/Qwen2-7B/blob/main/config.json")),
    (r"llama-?_?3", Family("Llama 3", "bfloat16", "risky", f"{_HUB}/meta-llama/Meta-Llama-3-8B/blob/main/config.json")),
    (r"internlm", Family("InternLM", "bfloat16", "risky", "https://github.com/InternLM/xtuner/issues/960")),
    (r"llama-?_?2", Family("Llama 2", "bfloat16", "used", f"{_HUB}/docs/transformers/model_doc/llama2")),
    (r"\bopt\b|opt-?\d|OPTFor", Family("OPT", "float16", "used", "https://arxiv.org/abs/2205.01068")),
    (r"gpt-?j|gpt-?neo", Family("GPT-J", "float16", "used", f"{_HUB}/EleutherAI/gpt-j-6b")),
)


def family_of(text: str) -> Family | None:
    """Return the family that a model's name, path or class belongs to, or ``None``."""
    for pattern, family in _FAMILIES:
        # Every other pattern is lower case. That of OPT has a class name, so it is matched against the text as spelled.
        if re.search(pattern, text if family.name == "OPT" else text.lower()):
            return family
    return None
