"""In which precision a family of language models was trained, and what is known of it in float16.

A family that is not here is unknown, and unknown is no fault. Reported failures and measured maxima (`vc2doctor
headroom`) make ``fails``; a family that was trained in bfloat16 and of which nobody measured more is ``risky``.
"""

import re
from typing import Literal, NamedTuple

from vc2doctor.findings import Severity


class Family(NamedTuple):
    """A family of models."""

    name: str
    trained: Literal["bfloat16", "float16"]
    float16: Literal["fails", "risky", "used"]
    """``used``: published recipes train it in float16, though it was not trained so."""
    source: str

    @property
    def severity(self) -> Severity:
        """How much float16 weighs for it."""
        return {"fails": Severity.ERROR, "risky": Severity.WARNING, "used": Severity.NOTE}[self.float16]


_HUB = "https://huggingface.co"
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
    """Return the family that a model's name, path or class speaks of."""
    spaced = re.sub(r"([a-z])(OPT)", r"\1 \2", text)
    for pattern, family in _FAMILIES:
        if re.search(pattern, spaced if family.name == "OPT" else spaced.lower()):
            return family
    return None
