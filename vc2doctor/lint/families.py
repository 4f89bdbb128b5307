"""In which precision a family of language models was trained, as far as its publishers or its checkpoints say.

It decides whether float16 is what a model was made for. A family that is not here is unknown, and unknown is not a
fault.
"""

import re
from typing import Literal, NamedTuple


class Family(NamedTuple):
    """A family of models."""

    name: str
    trained: Literal["bfloat16", "float16"]
    sure: bool
    """Whether float16 is known to fail; else it is only not what the model was trained in."""
    source: str


_FAMILIES: tuple[tuple[str, Family], ...] = (
    (
        r"mistral|mixtral|zephyr",
        Family("Mistral", "bfloat16", sure=True, source="https://github.com/OpenGVLab/Ask-Anything/issues/190"),
    ),
    (
        r"(?<![a-z])phi(?![a-z])",
        Family(
            "Phi",
            "bfloat16",
            sure=True,
            source="https://huggingface.co/microsoft/Phi-3-mini-4k-instruct/blob/main/config.json",
        ),
    ),
    (
        r"qwen",
        Family("Qwen", "bfloat16", sure=True, source="https://huggingface.co/Qwen/Qwen2-7B/blob/main/config.json"),
    ),
    (r"gemma", Family("Gemma", "bfloat16", sure=True, source="https://arxiv.org/abs/2605.15572")),
    (
        r"llama-?_?3",
        Family(
            "Llama 3",
            "bfloat16",
            sure=True,
            source="https://huggingface.co/meta-llama/Meta-Llama-3-8B/blob/main/config.json",
        ),
    ),
    (r"internlm", Family("InternLM", "bfloat16", sure=True, source="https://github.com/InternLM/xtuner/issues/960")),
    (
        r"llama-?_?2",
        Family("Llama 2", "bfloat16", sure=False, source="https://huggingface.co/docs/transformers/model_doc/llama2"),
    ),
    (r"\bopt\b|opt-?\d|OPTFor", Family("OPT", "float16", sure=True, source="https://arxiv.org/abs/2205.01068")),
    (r"gpt-?j|gpt-?neo", Family("GPT-J", "float16", sure=False, source="https://huggingface.co/EleutherAI/gpt-j-6b")),
)


def family_of(text: str) -> Family | None:
    """Return the family that a model's name, path or class speaks of."""
    spaced = re.sub(r"([a-z])(OPT)", r"\1 \2", text)
    for pattern, family in _FAMILIES:
        if re.search(pattern, spaced if family.name == "OPT" else spaced.lower()):
            return family
    return None
