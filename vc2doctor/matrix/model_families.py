"""Families of models: the precision each was trained in, and what training in float16 does to it.

A family is ``fails`` if failures were reported or if measured maxima (`vc2doctor headroom`) exceed float16. A family is
``risky`` if it was trained in bfloat16 and nothing else is known. A family that is not in the table is unknown, and
nothing is said about it.
"""

import re
from typing import Literal, NamedTuple

from vc2doctor.findings import Severity


class Family(NamedTuple):
    """A family of models."""

    name: str
    trained_in: Literal["bfloat16", "float16", "unknown"]
    """The precision of the released weights' own training."""
    in_float16: Literal["fails", "risky", "used"]
    """What training in float16 does; ``used``: published recipes train the family in float16."""
    source: str
    """The URL of the report, paper or configuration that says so."""
    why: str
    """What is known, as a clause."""

    @property
    def severity(self) -> Severity:
        """The severity of training this family in float16."""
        return {"fails": Severity.ERROR, "risky": Severity.WARNING, "used": Severity.NOTE}[self.in_float16]


_HUB = "https://huggingface.co"
_UNSLOTH = "https://github.com/unslothai/unsloth-zoo/pull/866"
_BACKWARD = "the loss stays finite and the gradients overflow in the backward pass; forward values reach about 350"
_BFLOAT16 = "it was trained in bfloat16, and its range in float16 training is not known"
# The first pattern that matches decides, so a pattern for some releases of a family stands before that of the family.
_LANGUAGE_MODELS: tuple[tuple[str, Family], ...] = (
    (
        r"mistral|mixtral|zephyr",
        Family(
            *("Mistral", "bfloat16", "fails", "https://github.com/OpenGVLab/Ask-Anything/issues/190"),
            "after one good loss, training in float16 is NaN for good",
        ),
    ),
    (r"gemma-?_?4", Family("Gemma 4", "bfloat16", "fails", _UNSLOTH, _BACKWARD)),
    (
        r"gemma-?_?(2-27|3)",
        Family(
            *("Gemma", "bfloat16", "fails", "https://arxiv.org/abs/2605.15572"),
            "values of the forward pass exceed float16's largest number",
        ),
    ),
    (
        r"gpt-?_?oss",
        Family(
            *("gpt-oss", "bfloat16", "fails", "https://arxiv.org/abs/2605.15572"),
            "values of the forward pass exceed float16's largest number",
        ),
    ),
    (r"gemma", Family("Gemma", "bfloat16", "risky", "https://arxiv.org/abs/2605.15572", _BFLOAT16)),
    (
        r"(?<![a-z])phi(?![a-z])",
        Family(
            *("Phi", "bfloat16", "risky", f"{_HUB}/microsoft/Phi-3-mini-4k-instruct/blob/main/config.json"), _BFLOAT16
        ),
    ),
    (r"qwen-?_?3-?_?moe|qwen3-\d+b-a\d+b", Family("Qwen3 MoE", "bfloat16", "fails", _UNSLOTH, _BACKWARD)),
    (
        r"qwen-?_?3[._]5",
        Family(
            *("Qwen3.5", "bfloat16", "fails", "https://github.com/unslothai/unsloth/pull/6865"),
            "its linear attention makes the gradients NaN",
        ),
    ),
    (r"qwen", Family("Qwen", "bfloat16", "risky", f"{_HUB}/Qwen/Qwen2-7B/blob/main/config.json", _BFLOAT16)),
    (r"glm-?_?4-?_?moe|glm-4\.[5-9]", Family("GLM-4 MoE", "bfloat16", "fails", _UNSLOTH, _BACKWARD)),
    (
        r"llama-?_?3",
        Family(
            *("Llama 3", "bfloat16", "risky", f"{_HUB}/meta-llama/Meta-Llama-3-8B/blob/main/config.json"), _BFLOAT16
        ),
    ),
    (r"internlm", Family("InternLM", "bfloat16", "risky", "https://github.com/InternLM/xtuner/issues/960", _BFLOAT16)),
    (
        r"llama-?_?2",
        Family(
            *("Llama 2", "bfloat16", "used", f"{_HUB}/docs/transformers/model_doc/llama2"),
            "its documentation says that it was trained in bfloat16 and that the published weights are float16",
        ),
    ),
    (
        r"\bopt\b|opt-?\d|OPTFor",
        Family(
            *("OPT", "float16", "used", "https://arxiv.org/abs/2205.01068"),
            "it was trained in float16 with dynamic loss scaling",
        ),
    ),
    (
        r"gpt-?j|gpt-?neo",
        Family("GPT-J", "float16", "used", f"{_HUB}/EleutherAI/gpt-j-6b", "published recipes train it in float16"),
    ),
)
_PARTS_AND_OTHERS: tuple[tuple[str, Family], ...] = (
    (
        r"(?<![a-z0-9])(m|flan-?_?|by|um|long-?)?t5",
        Family(
            *("T5", "bfloat16", "fails", "https://github.com/huggingface/transformers/issues/5651"),
            "a linear layer of the forward pass exceeds float16's largest number",
        ),
    ),
    (
        r"chatglm-?_?6b",
        Family(
            *("ChatGLM-6B", "float16", "used", f"{_HUB}/THUDM/chatglm-6b/blob/main/config.json"),
            "its weights are float16",
        ),
    ),
    (r"glm", Family("GLM", "bfloat16", "risky", f"{_HUB}/THUDM/glm-4-9b/blob/main/config.json", _BFLOAT16)),
    (
        r"eva-?_?(0?2-?_?)?clip|eva-?_?vit|eva0?2",
        Family(
            *("EVA-CLIP", "float16", "used", "https://wandb.ai/baaivision/eva-clip/reports/ViT-g-14--VmlldzoyOTkwMDYy"),
            "it was trained in float16 with dynamic loss scaling",
        ),
    ),
    (
        r"siglip",
        Family(
            *("SigLIP", "unknown", "risky", "https://github.com/huggingface/transformers/pull/46277"),
            "the SigLIP tower of Gemma 4 exceeds float16's largest number; for the others nothing is known",
        ),
    ),
    (
        r"clip",
        Family(
            *("CLIP", "float16", "used", "https://arxiv.org/abs/2103.00020"),
            "it was trained in mixed precision with float16",
        ),
    ),
)
"""Parts of models, and models that mostly stand beside the one that is trained: code that names them is not judged."""


def family_of(text: str) -> Family | None:
    """Return the family of the language model that a name, path or class belongs to, or ``None``."""
    return _first(_LANGUAGE_MODELS, text)


def is_published_in_bfloat16(name: str) -> bool:
    """Return whether the name of a model says a family whose published weights are bfloat16.

    Those that are trained in bfloat16 and used in float16 are published in float16: the documentation of Llama 2.
    """
    family = family_of(name)
    return family is not None and family.trained_in == "bfloat16" and family.in_float16 != "used"


def any_family_of(text: str) -> Family | None:
    """Return the family that a name belongs to, towers and encoders included, or ``None``."""
    return family_of(text) or _first(_PARTS_AND_OTHERS, text)


def families() -> tuple[Family, ...]:
    """Return every family, those that fail first."""
    order = ("fails", "risky", "used")
    found = [family for _, family in (*_LANGUAGE_MODELS, *_PARTS_AND_OTHERS)]
    return tuple(sorted(found, key=lambda family: (order.index(family.in_float16), family.name)))


def describe(family: Family) -> str:
    """Return one sentence on what training in float16 does to a family."""
    verdict = {"fails": "fails", "risky": "is not known to work", "used": "is in use, with loss scaling"}
    return f"Training {family.name} in float16 {verdict[family.in_float16]}: {family.why}."


def _first(table: tuple[tuple[str, Family], ...], text: str) -> Family | None:
    for pattern, family in table:
        # Every other pattern is lower case. That of OPT has a class name, so it is matched against the text as spelled.
        if re.search(pattern, text if family.name == "OPT" else text.lower()):
            return family
    return None
