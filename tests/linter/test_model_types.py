"""The type of a published model, by its name."""

from __future__ import annotations

import pytest

from tests.facts import SHIPPED
from vc2doctor.linter.knowledge import model_types
from vc2doctor.linter.knowledge.model_types import model_type_of


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Qwen/Qwen2.5-7B-Instruct", "qwen2"),
        ("Qwen/Qwen2.5-VL-3B-Instruct", "qwen2_5_vl"),
        ("Qwen/Qwen3-30B-A3B", "qwen3_moe"),
        ("Qwen/Qwen3-8B", "qwen3"),
        ("google/gemma-2b", "gemma"),
        ("google/gemma-2-2b", "gemma2"),
        ("google/gemma-3-1b-it", "gemma3_text"),
        ("google/gemma-3-27b-it", "gemma3"),
        ("meta-llama/Llama-3.1-8B", "llama"),
        ("meta-llama/Meta-Llama-3-8B", "llama"),
        ("lmsys/vicuna-7b-v1.5", "llama"),
        ("mistralai/Mixtral-8x7B-v0.1", "mixtral"),
        ("checkpoints/Mistral-7B-Instruct-v0.2", "mistral"),
        ("microsoft/Phi-3-mini-4k-instruct", "phi3"),
        ("microsoft/phi-2", "phi"),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "qwen2"),
        ("deepseek-ai/DeepSeek-V3", "deepseek_v3"),
        ("EleutherAI/pythia-1.4b", "gpt_neox"),
        ("facebook/opt-125m", "opt"),
        ("gpt2", "gpt2"),
        ("openai/gpt-oss-20b", "gpt_oss"),
        ("bert-base-uncased", None),
        ("openai/clip-vit-large-patch14", None),
        ("resnet50", None),
    ],
)
def test_type_of_a_published_model(name: str, expected: str | None) -> None:
    assert model_type_of(name) == expected


def test_transformers_has_every_type_of_the_table() -> None:
    assert {model_type for _, model_type in model_types._TYPES} <= set(SHIPPED.architectures.first)
